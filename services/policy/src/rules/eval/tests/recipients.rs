//! Aliases, accounts, and what an address may look like.

use super::*;

#[test]
fn aliases_rewrite_but_never_widen_relaying() {
    let gateway = gateway();
    for (from, to, verdict) in [
        // SEED-033: the route is that of the target.
        (EXT, "info@domain.co.jp", ("250 user1@domain.jp via [192.168.0.20]:25", "aliases:3")),
        // Our alias leads outside: the target is accepted.
        (EXT, "OUT@domain.co.jp", ("250 x@z.example via z.example", "aliases:4")),
        (EXT, "x@z.example", ("550 5.7.1", "builtin:default")),
        // An alias of a foreign domain rewrites; the target must stand for itself.
        (EXT, "boss@y.example", ("550 5.7.1", "builtin:default")),
        (DEVICE, "boss@y.example", ("250 boss@z.example via z.example", "relay-networks:1")),
        (EXT, "help@y.example", ("250 user1@domain.co.jp via domain.co.jp", "aliases:2")),
        (EXT, "nobody@y.example", ("550 5.1.1", "builtin:unknown-recipient")),
        (EXT, "a@w.example", ("550 5.7.1", "builtin:default")),
        (DEVICE, "a@w.example", ("250 a@w.example via w.example", "relay-networks:1")),
        // Two steps.
        (EXT, "literal@domain.co.jp", ("250 user1@domain.jp via [192.168.0.20]:25", "aliases:9")),
    ] {
        let (said, by) = recipient(&gateway, from, to);
        assert_eq!((said.as_str(), by.as_str()), verdict, "{from} {to}");
    }
}

/// SEED-111, RFC 5321 4.5.1.
#[test]
fn postmaster_is_always_accepted() {
    let gateway = gateway();
    for (to, said) in [
        ("Postmaster@domain.co.jp", "250 Postmaster@domain.co.jp via domain.co.jp"),
        ("postmaster@bare.jp", "250 postmaster@bare.jp via bare.jp"),
        ("postmaster", "250 postmaster@domain.jp via [192.168.0.20]:25"),
    ] {
        assert_eq!(recipient(&gateway, EXT, to).0, said, "{to}");
    }
    assert_eq!(recipient(&gateway, EXT, "postmaster@z.example").0, "550 5.7.1");
    assert_eq!(recipient(&rules(&[]), EXT, "postmaster").0, "550 5.1.1");
    let moved = rules(&[
        (DocumentName::OwnDomains, "domain.jp"),
        (DocumentName::Aliases, "postmaster@domain.jp\tadmin@z.example"),
    ]);
    assert_eq!(recipient(&moved, EXT, "POSTMASTER").0, "250 admin@z.example via z.example");
}

#[test]
fn address_literals_are_foreign() {
    let gateway = gateway();
    assert_eq!(recipient(&gateway, EXT, "a@[192.0.2.1]").0, "550 5.7.1");
    assert_eq!(recipient(&gateway, DEVICE, "a@[192.0.2.1]").0, "250 a@[192.0.2.1] via [192.0.2.1]:25");
    assert_eq!(
        recipient(&gateway, DEVICE, "a@[IPv6:2001:db8::1]").0,
        "250 a@[IPv6:2001:db8::1] via [2001:db8::1]:25"
    );
}

/// SEED-043, SEED-111, SEED-119.
#[test]
fn accounts_are_recipients() {
    let table = with_access("");
    assert_eq!(recipient(&table, EXT, "USER1@domain.co.jp").1, "accounts:1");
    assert_eq!(recipient(&table, EXT, "alias1@domain.co.jp").0, "250 user1@domain.co.jp via domain.co.jp");
    assert_eq!(recipient(&table, EXT, "old@domain.co.jp"), ("550 5.2.1".to_owned(), "accounts:3".to_owned()));
    let moved = rules(&[
        (DocumentName::OwnDomains, "domain.jp"),
        (DocumentName::Settings, "postmaster = admin@inner.example"),
    ]);
    for to in ["postmaster@domain.jp", "Postmaster"] {
        let expected = ("250 admin@inner.example via inner.example".to_owned(), "settings:1".to_owned());
        assert_eq!(recipient(&moved, EXT, to), expected);
    }
}

/// SEED-228.
#[test]
fn local_parts_that_ask_to_be_routed() {
    let table = rules(&[
        (DocumentName::OwnDomains, "own.jp"),
        (DocumentName::Aliases, "*@own.jp\t*@own.jp\nlisted%x@own.jp\tlisted%x@own.jp\n"),
        (DocumentName::Access, "192.168.0.20 true"),
    ]);
    for to in ["user%z.example@own.jp", "\"u@z.example\"@own.jp", "z.example!u@own.jp"] {
        assert_eq!(
            recipient(&table, EXT, to),
            ("550 5.7.1".to_owned(), "builtin:routed-local-part".to_owned())
        );
        assert!(recipient(&table, INNER, to).0.starts_with("250"), "{to}");
    }
    assert!(recipient(&table, EXT, "listed%x@own.jp").0.starts_with("250"));
}

#[test]
fn a_chain_longer_than_its_parts_defers() {
    let wildcards: String = (0..8).map(|n| format!("*@w{n}.jp\t*@w{}.jp\n", n + 1)).collect();
    let exact: String = (0..8)
        .map(|n| {
            format!("{}\tu{}@e.jp\n", if n == 0 { "u@w8.jp".to_owned() } else { format!("u{n}@e.jp") }, n + 1)
        })
        .collect();
    let long = rules(&[(DocumentName::OwnDomains, "w0.jp"), (DocumentName::Aliases, &(wildcards + &exact))]);
    assert_eq!(recipient(&long, EXT, "u@w0.jp").0, "451 4.3.5");
    assert_eq!(recipient(&long, EXT, "other@w0.jp").0, "250 other@w8.jp via w8.jp");
}

/// The answers of a large table are found by hash, not by search.
#[test]
fn a_large_table() {
    let lines: String = (0..20_000).map(|n| format!("user{n}@big.jp\tuser{n}@big.jp\n")).collect();
    let big = rules(&[(DocumentName::OwnDomains, "big.jp"), (DocumentName::Aliases, &lines)]);
    assert_eq!(recipient(&big, EXT, "user19999@big.jp").1, "aliases:20000");
    assert_eq!(recipient(&big, EXT, "user20000@big.jp").0, "550 5.1.1");
}

#[test]
fn an_answer_holds_for_a_domain_only_when_it_is_the_same_for_every_address() {
    let gateway = gateway();
    let scope_in = |rules: &Rules, to: &str| {
        let (asker, sender) = (anonymous(EXT), "a@x.example".parse().unwrap());
        rules.check_recipient(&asker, &sender, &to.parse().unwrap(), SystemTime::now()).reach.scope
    };
    let scope = |to: &str| scope_in(&gateway, to);
    for (to, expected) in [
        ("v@z.example", Scope::Domain), // foreign, no aliases
        ("v%z.example@domain.jp", Scope::Address),
        ("v@domain.jp", Scope::Domain),         // mode A, nothing else
        ("user1@domain.co.jp", Scope::Address), // mode B
        ("v@y.example", Scope::Address),        // foreign with aliases
        ("v@w.example", Scope::Address),
        ("v@bare.jp", Scope::Address), // everybody refused but postmaster
        ("postmaster@bare.jp", Scope::Address),
        ("postmaster", Scope::Address),
        ("v@[192.0.2.1]", Scope::Address),
    ] {
        assert_eq!(scope(to), expected, "{to}");
    }
    let mixed = rules(&[
        (DocumentName::OwnDomains, "d.jp\nmoved.jp"),
        (DocumentName::Aliases, "*@d.jp\t*@d.jp\nvip@d.jp\tvip@e.jp\n*@moved.jp\t*@d.jp"),
    ]);
    for to in ["a@d.jp", "a@moved.jp"] {
        assert_eq!(scope_in(&mixed, to), Scope::Address, "{to}");
    }
    let sender_scope = |text: &str| {
        gateway.check_sender(&anonymous(EXT), &text.parse().unwrap(), SystemTime::now()).decision.reach.scope
    };
    assert_eq!(sender_scope("a@b.example"), Scope::Domain);
    assert_eq!(sender_scope(""), Scope::Address);
}
