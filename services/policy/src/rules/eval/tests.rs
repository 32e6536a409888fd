//! The rules row by row.

use super::*;
use crate::rules::tests::rules;

const EXT: &str = "203.0.113.9";
const INNER: &str = "192.168.0.20";
const DEVICE: &str = "192.168.0.50";

/// Gateway of the specification: mode A, mode B and a rewriting, one smart host.
fn gateway() -> Rules {
    rules(&[
        (DocumentName::OwnDomains, "domain.jp\ndomain.co.jp\nbare.jp\n"),
        (DocumentName::RelayNetworks, "192.168.0.0/24\n2001:db8:1::/48\n"),
        (
            DocumentName::Aliases,
            "*@domain.jp\t*@domain.jp\nuser1@domain.co.jp\tuser1@domain.co.jp\n\
             info@domain.co.jp\tuser1@domain.jp\nout@domain.co.jp\tx@z.example\nboss@y.example\tboss@z.example\n\
             help@y.example\tuser1@domain.co.jp\nnobody@y.example\tuser9@domain.co.jp\n\
             *@w.example\t*@w.example\nliteral@domain.co.jp\tinfo@domain.co.jp\n",
        ),
        (DocumentName::Routes, "domain.jp,192.168.0.20,25\n*.domain.co.jp,192.168.0.21,25\n"),
    ])
}

fn client(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn code(reply: &Reply) -> String {
    format!("{} {}", reply.code(), reply.enhanced().unwrap())
}

/// `250 deliver_to via destination` or the reply code, then what decided.
fn recipient(rules: &Rules, from: &str, to: &str) -> (String, String) {
    let decision = rules.check_recipient(client(from), &to.parse().unwrap());
    let verdict = match &decision.verdict {
        RecipientVerdict::Accept { deliver_to, destination } => format!("250 {deliver_to} via {destination}"),
        RecipientVerdict::Refuse(reply) => code(reply),
    };
    (verdict, decision.decided_by.to_string())
}

fn sender(rules: &Rules, from: &str, reverse_path: &str) -> (String, String) {
    let decision = rules.check_sender(client(from), &reverse_path.parse().unwrap());
    let verdict = match &decision.verdict {
        Verdict::Accept => "250".to_owned(),
        Verdict::Refuse(reply) => code(reply),
    };
    (verdict, decision.decided_by.to_string())
}

/// SEED-082, rows "true" and "default or no line" without AUTH; SEED-091.
#[test]
fn the_default_matrix() {
    let gateway = gateway();
    for (from, reverse_path, verdict) in [
        (DEVICE, "any@domain.jp", ("250", "relay-networks:1")),
        (DEVICE, "a@x.example", ("250", "relay-networks:1")),
        (DEVICE, "", ("250", "relay-networks:1")),
        (EXT, "made.up@domain.jp", ("530 5.7.0", "builtin:own-sender")),
        (EXT, "postmaster@domain.co.jp", ("530 5.7.0", "builtin:own-sender")),
        (EXT, "a@sub.domain.jp", ("250", "builtin:default")),
        (EXT, "a@x.example", ("250", "builtin:default")),
        (EXT, "a@[203.0.113.9]", ("250", "builtin:default")),
        (EXT, "", ("250", "builtin:default")),
    ] {
        let (said, by) = sender(&gateway, from, reverse_path);
        assert_eq!((said.as_str(), by.as_str()), verdict, "{from} {reverse_path:?}");
    }
    for (from, to, verdict) in [
        // Own valid, own unknown, foreign: a trusted client.
        (DEVICE, "user1@domain.co.jp", ("250 user1@domain.co.jp via domain.co.jp", "aliases:2")),
        (DEVICE, "user3@domain.co.jp", ("550 5.1.1", "builtin:unknown-recipient")),
        (DEVICE, "v@z.example", ("250 v@z.example via z.example", "relay-networks:1")),
        // The same for anybody else.
        (EXT, "user1@domain.co.jp", ("250 user1@domain.co.jp via domain.co.jp", "aliases:2")),
        (EXT, "user3@domain.co.jp", ("550 5.1.1", "builtin:unknown-recipient")),
        (EXT, "v@z.example", ("550 5.7.1", "builtin:default")),
        // Mode A.
        (EXT, "Any-Thing@domain.jp", ("250 Any-Thing@domain.jp via [192.168.0.20]:25", "aliases:1")),
        (EXT, "a@sub.domain.jp", ("550 5.7.1", "builtin:default")),
        // Unlisted inner users (SEED-044): no aliases at all.
        (EXT, "a@bare.jp", ("550 5.1.1", "builtin:unknown-recipient")),
    ] {
        let (said, by) = recipient(&gateway, from, to);
        assert_eq!((said.as_str(), by.as_str()), verdict, "{from} {to}");
    }
}

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

/// SEED-090.
#[test]
fn empty_documents_relay_for_nobody() {
    let nothing = rules(&[]);
    for from in [EXT, DEVICE, "127.0.0.1", "::1"] {
        assert_eq!(recipient(&nothing, from, "v@z.example").0, "550 5.7.1", "{from}");
        assert!(!nothing.check_connection(client(from)).relay_network);
    }
}

#[test]
fn a_catch_all_grants_nothing() {
    let gateway =
        rules(&[(DocumentName::Routes, "*,smtp.domain.jp,25"), (DocumentName::SmartHost, "192.0.2.77")]);
    assert_eq!(recipient(&gateway, EXT, "v@z.example").0, "550 5.7.1");
}

#[test]
fn ipv6_and_mapped_clients() {
    let gateway = gateway();
    for (from, is_relay) in [
        ("2001:db8:1::5", true),
        ("2001:db8:2::5", false),
        ("::ffff:192.168.0.20", true),
        ("::ffff:203.0.113.9", false),
    ] {
        assert_eq!(gateway.check_connection(client(from)).relay_network, is_relay, "{from}");
    }
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

/// SEED-004 (b).
#[test]
fn mail_is_not_sent_back_to_where_it_came_from() {
    let looping = rules(&[
        (DocumentName::RelayNetworks, "192.168.0.0/24\n127.0.0.0/8"),
        (DocumentName::SmartHost, "192.168.0.20"),
        (DocumentName::Routes, "named.example,inner.domain.jp,25\nlocal.example,127.0.0.1,2525"),
        (DocumentName::Hosts, "inner.domain.jp 192.168.0.20 2001:db8::20"),
    ]);
    let refused = ("554 5.4.6".to_owned(), "loop:next-hop-is-client".to_owned());
    assert_eq!(recipient(&looping, INNER, "a@z.example"), refused);
    assert_eq!(recipient(&looping, "::ffff:192.168.0.20", "a@z.example"), refused);
    assert_eq!(recipient(&looping, INNER, "a@named.example"), refused);
    assert_eq!(recipient(&looping, DEVICE, "a@z.example").0, "250 a@z.example via [192.168.0.20]:25");
    assert_eq!(
        recipient(&looping, "127.0.0.1", "a@local.example").0,
        "250 a@local.example via [127.0.0.1]:2525"
    );
}

/// SEED-015, 016, 019, 020, 021.
#[test]
fn route_order() {
    let route = |rules: &Rules, domain: &str| {
        let route = rules.resolve_route(&domain.parse().unwrap());
        (route.destination.to_string(), route.decided_by.map_or(String::new(), |by| by.to_string()))
    };
    let pair = |destination: &str, by: &str| (destination.to_owned(), by.to_owned());
    let both = rules(&[
        (DocumentName::Routes, "; inner\ndomain.jp,192.168.0.20,25"),
        (DocumentName::SmartHost, "192.168.0.100:587"),
    ]);
    assert_eq!(route(&both, "domain.jp"), pair("[192.168.0.20]:25", "routes:2"));
    assert_eq!(route(&both, "z.example"), pair("[192.168.0.100]:587", "smart-host:1"));
    assert_eq!(route(&gateway(), "z.example"), pair("z.example", ""));
    let ordered = rules(&[(DocumentName::Routes, "*,a.example,25\nlate.example,b.example,25")]);
    assert_eq!(route(&ordered, "late.example"), pair("[a.example]:25", "routes:1"));
}

#[test]
fn an_answer_holds_for_a_domain_only_when_it_is_the_same_for_every_address() {
    let gateway = gateway();
    let scope = |to: &str| gateway.check_recipient(client(EXT), &to.parse().unwrap()).scope;
    for (to, expected) in [
        ("v@z.example", Scope::Domain),         // foreign, no aliases
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
        assert_eq!(mixed.check_recipient(client(EXT), &to.parse().unwrap()).scope, Scope::Address, "{to}");
    }
    assert_eq!(gateway.check_sender(client(EXT), &"a@b.example".parse().unwrap()).scope, Scope::Domain);
    assert_eq!(gateway.check_sender(client(EXT), &ReversePath::Null).scope, Scope::Address);
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
