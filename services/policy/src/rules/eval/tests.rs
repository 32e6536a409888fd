//! The rules row by row.

use hikyaku_types::{origin::Listener, reply::Reply};

use super::*;
use crate::{
    document::DocumentName,
    rules::{
        decision::{RecipientVerdict, Scope, Verdict},
        tests::rules,
    },
};

pub(super) const EXT: &str = "203.0.113.9";
pub(super) const INNER: &str = "192.168.0.20";
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

pub(super) fn anonymous(client: &str) -> Asker {
    Asker::new(client.parse().unwrap(), Listener::Relay, None)
}

pub(super) fn user(client: &str, listener: Listener, identity: &str) -> Asker {
    Asker::new(client.parse().unwrap(), listener, Some(identity.parse().unwrap()))
}

pub(super) fn code(reply: &Reply) -> String {
    format!("{} {}", reply.code(), reply.enhanced().unwrap())
}

/// `250 deliver_to via destination` or the reply code, then what decided.
pub(super) fn recipient(rules: &Rules, from: &str, to: &str) -> (String, String) {
    recipient_of(rules, &anonymous(from), "a@x.example", to)
}

pub(super) fn recipient_of(rules: &Rules, asker: &Asker, reverse_path: &str, to: &str) -> (String, String) {
    let decision =
        rules.check_recipient(asker, &reverse_path.parse().unwrap(), &to.parse().unwrap(), SystemTime::now());
    let verdict = match &decision.verdict {
        RecipientVerdict::Accept { deliver_to, destination } => format!("250 {deliver_to} via {destination}"),
        RecipientVerdict::Refuse(reply) => code(reply),
    };
    (verdict, decision.decided_by.to_string())
}

pub(super) fn sender(rules: &Rules, from: &str, reverse_path: &str) -> (String, String) {
    sender_of(rules, &anonymous(from), reverse_path)
}

fn sender_of(rules: &Rules, asker: &Asker, reverse_path: &str) -> (String, String) {
    let decision = rules.check_sender(asker, &reverse_path.parse().unwrap(), SystemTime::now()).decision;
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
        assert!(!nothing.check_connection(client(from)).unlimited);
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
        assert_eq!(gateway.check_connection(client(from)).unlimited, is_relay, "{from}");
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
        let route = rules.resolve_route(&domain.parse().unwrap(), &ReversePath::Null, SystemTime::now());
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

const USER: &str = "user1@domain.co.jp";

/// An access table for each row of SEED-082; the client is the same in all.
fn with_access(access: &str) -> Rules {
    rules(&[
        (DocumentName::OwnDomains, "domain.jp\ndomain.co.jp\n"),
        (DocumentName::Access, access),
        (DocumentName::Aliases, "alias1@domain.co.jp\tuser1@domain.co.jp\n"),
        (DocumentName::Accounts, "user1@domain.co.jp\nuser2@domain.co.jp\nold@domain.co.jp\treceive=off\n"),
    ])
}

/// Every row of the matrix of SEED-082, on both kinds of listener; the last column is MAIL FROM of an
/// own-domain sender, then RCPT of an own valid, an own unknown and a foreign recipient.
#[test]
fn seed_082_the_matrix() {
    const OWN: &str = "user1@domain.co.jp";
    const FOREIGN: &str = "a@x.example";
    let accept = "250";
    for (access, is_user, own_sender, foreign_sender, recipients) in [
        ("203.0.113.0/24 false", false, "550 5.7.1", "550 5.7.1", ["550 5.7.1", "550 5.7.1", "550 5.7.1"]),
        ("203.0.113.0/24 false", true, "550 5.7.1", "550 5.7.1", ["550 5.7.1", "550 5.7.1", "550 5.7.1"]),
        ("203.0.113.9 true", false, accept, accept, ["250", "550 5.1.1", "250"]),
        ("203.0.113.9 true", true, accept, accept, ["250", "550 5.1.1", "250"]),
        ("203.0.113.9 only", false, accept, accept, ["250", "550 5.1.1", "250"]),
        ("*.*.*.* default", false, "530 5.7.0", accept, ["250", "550 5.1.1", "550 5.7.1"]),
        ("", false, "530 5.7.0", accept, ["250", "550 5.1.1", "550 5.7.1"]),
        ("*.*.*.* default", true, accept, "553 5.7.1", ["250", "550 5.1.1", "250"]),
        ("", true, accept, "553 5.7.1", ["250", "550 5.1.1", "250"]),
        ("*.*.*.* norelay", false, "550 5.7.1", accept, ["250", "550 5.1.1", "550 5.7.1"]),
        ("*.*.*.* norelay,0", false, "550 5.7.1", accept, ["250", "550 5.1.1", "550 5.7.1"]),
        ("*.*.*.* norelay,0", true, "550 5.7.1", accept, ["250", "550 5.1.1", "550 5.7.1"]),
        ("10.1.2.3 only", false, "550 5.7.1", accept, ["250", "550 5.1.1", "550 5.7.1"]),
        ("10.1.2.3 only", true, "550 5.7.1", accept, ["250", "550 5.1.1", "550 5.7.1"]),
        ("*.*.*.* norelay,2", false, accept, accept, ["250", "550 5.1.1", "550 5.7.1"]),
        ("*.*.*.* norelay,2", true, accept, "553 5.7.1", ["250", "550 5.1.1", "250"]),
    ] {
        let table = with_access(access);
        let asker = if is_user { user(EXT, Listener::Relay, USER) } else { anonymous(EXT) };
        let said = |sender| sender_of(&table, &asker, sender).0;
        let row = format!("{access:?}, user: {is_user}");
        assert_eq!((said(OWN).as_str(), said(FOREIGN).as_str()), (own_sender, foreign_sender), "{row}");
        for (to, expected) in
            ["user2@domain.co.jp", "nobody@domain.co.jp", "v@z.example"].iter().zip(recipients)
        {
            let said = recipient_of(&table, &asker, FOREIGN, to).0;
            assert!(said.starts_with(expected), "{row}, {to}: {said}");
        }
        // On the submission ports nothing goes without AUTH (SEED-099, SEED-126).
        let without = Asker::new(EXT.parse().unwrap(), Listener::Submission, None);
        let refused = sender_of(&table, &without, OWN).0;
        assert_eq!(refused, "530 5.7.0", "{row}");
        assert_eq!(recipient_of(&table, &without, OWN, "user2@domain.co.jp").0, "530 5.7.0", "{row}");
    }
}

/// SEED-072, SEED-096, SEED-099: trust is of the address, on port 25 only, and is told apart from AUTH.
#[test]
fn seed_099_trust_is_for_port_25() {
    let table = with_access("203.0.113.9 true");
    let trusted = |asker: &Asker| {
        table.check_sender(asker, &"scan@nowhere.example".parse().unwrap(), SystemTime::now()).trusted
    };
    assert!(trusted(&anonymous(EXT)));
    assert!(!trusted(&anonymous(DEVICE)));
    assert!(
        !trusted(&user(EXT, Listener::Relay, USER)),
        "who has authenticated is not let through by address"
    );
    let submission = user(EXT, Listener::Submission, USER);
    assert!(!trusted(&submission));
    assert_eq!(sender_of(&table, &submission, "scan@nowhere.example").0, "553 5.7.1");
}

/// Scenario 4, with the file of spec.md 4.2.
#[test]
fn scenario_4_access_table() {
    let table = |last: &str| {
        with_access(&format!(
            "#<> default\n#blank false\n192.168.0.20 true\npostmaster@domain.jp false\n192.168.0.50\n\
             192.168.1.0/28 false\n192.168.*.* default\n2001:db8:1::/48 default\n{last}\n"
        ))
    };
    let access = table("*.*.*.* norelay,2");
    let user1 = user(EXT, Listener::Submission, USER);
    for (asker, from, mail, recipients) in [
        (
            anonymous("192.168.0.50"),
            "scan@nowhere.example",
            "250",
            &[("v@z.example", "250"), ("nobody@domain.co.jp", "550 5.1.1")][..],
        ),
        (
            anonymous("192.168.0.60"),
            "a@x.example",
            "250",
            &[("v@z.example", "550 5.7.1"), ("user1@domain.co.jp", "250")],
        ),
        (anonymous("192.168.1.5"), "a@x.example", "550 5.7.1", &[]),
        (anonymous("192.168.0.20"), "c@domain.co.jp", "250", &[("v@z.example", "250")]),
        (anonymous(EXT), "postmaster@domain.jp", "550 5.7.1", &[]),
        (anonymous(EXT), "", "250", &[("v@z.example", "550 5.7.1"), ("user1@domain.co.jp", "250")]),
        (user1.clone(), USER, "250", &[("v@z.example", "250")]),
        (user1.clone(), "postmaster@domain.jp", "550 5.7.1", &[]),
    ] {
        assert_eq!(sender_of(&access, &asker, from).0, mail, "{asker:?} {from}");
        for (to, expected) in recipients {
            let said = recipient_of(&access, &asker, from, to).0;
            assert!(said.starts_with(expected), "{asker:?} {from} {to}: {said}");
        }
    }
    let closed = table("*.*.*.* norelay,0");
    assert_eq!(recipient_of(&closed, &user1, USER, "v@z.example").0, "550 5.7.1");
}

/// Scenario 11 and SEED-091, SEED-095.
#[test]
fn scenario_11_relay_list() {
    let table = rules(&[
        (DocumentName::OwnDomains, "example.jp"),
        (DocumentName::Aliases, "info@example.jp\tinfo@example.jp\ninfo2@example.jp\tinfo2@example.jp\n"),
        (DocumentName::Accounts, "info@example.jp"),
        (
            DocumentName::RelayNetworks,
            "192.168.0.100,255.255.255.255\n192.168.1.1,255.255.255.0\n203.0.113.0/28\n::1/128\n2001:db8:10::/48\n",
        ),
        (
            DocumentName::Connections,
            "192.168.0.100 accept\n192.168.1.0/24 accept\n198.18.0.0/24 accept\n198.19.0.0/16 refuse",
        ),
    ]);
    for (from, sender, to, expected, x_relay) in [
        ("192.168.0.100", "info@example.com", "x@example.net", "250", true),
        ("192.168.0.101", "info@example.com", "x@example.net", "550 5.7.1", false),
        ("192.168.1.255", "info@example.com", "x@example.net", "250", true),
        ("203.0.113.15", "info@example.com", "x@example.net", "250", true),
        ("203.0.113.16", "info@example.com", "x@example.net", "550 5.7.1", false),
        ("::1", "info@example.com", "x@example.net", "250", true),
        ("2001:db8:10::5", "info@example.com", "x@example.net", "250", true),
        ("2001:db8:11::5", "info@example.com", "x@example.net", "550 5.7.1", false),
        ("198.18.0.7", "info@example.com", "x@example.net", "550 5.7.1", false),
        ("203.0.113.200", "info@example.com", "info@example.jp", "250", false),
        ("192.168.0.100", "info@example.com", "info@example.jp", "250", true),
    ] {
        let asker = anonymous(from);
        let said = recipient_of(&table, &asker, sender, to).0;
        assert!(said.starts_with(expected), "{from} {to}: {said}");
        assert_eq!(
            table.check_sender(&asker, &sender.parse().unwrap(), SystemTime::now()).trusted,
            x_relay,
            "{from}"
        );
    }
    assert_eq!(sender(&table, "203.0.113.200", "info@example.jp").0, "530 5.7.0");
    let user = user("203.0.113.200", Listener::Submission, "info@example.jp");
    assert_eq!(sender_of(&table, &user, "info@example.jp").0, "250");
    assert!(recipient_of(&table, &user, "info@example.jp", "info2@example.jp").0.starts_with("250"));
    let greeted = |from: &str| table.check_connection(client(from));
    assert!(greeted("198.18.0.7").unlimited && !greeted("203.0.113.200").unlimited);
    let Verdict::Refuse(reply) = greeted("198.19.5.5").decision.verdict else { panic!("greeted") };
    assert_eq!(code(&reply), "554 5.7.1");
}

/// SEED-115.
#[test]
fn seed_115_senders_of_a_user() {
    let table = |level: &str| {
        rules(&[
            (DocumentName::OwnDomains, "domain.jp"),
            (DocumentName::Accounts, "user1@domain.jp\nuser2@domain.jp\n"),
            (
                DocumentName::Aliases,
                "sales@domain.jp\tuser1@domain.jp\nboss@domain.jp\tsales@domain.jp\n*@domain.jp\tuser1@domain.jp\n",
            ),
            (DocumentName::Settings, &format!("sender_trust = {level}")),
        ])
    };
    let user1 = user(EXT, Listener::Submission, "user1@domain.jp");
    for (level, from, expected) in [
        ("1", "a@x.example", "250"),
        ("2", "user1@domain.jp", "250"),
        ("2", "USER1@DOMAIN.JP", "250"),
        ("2", "sales@domain.jp", "250"),
        ("2", "boss@domain.jp", "250"),
        ("2", "user2@domain.jp", "553 5.7.1"),
        ("2", "any@domain.jp", "553 5.7.1"),
        ("2", "a@x.example", "553 5.7.1"),
        ("2", "", "250"),
        ("3", "user2@domain.jp", "553 5.7.1"),
    ] {
        assert_eq!(sender_of(&table(level), &user1, from).0, expected, "{level} {from}");
    }
    let author = |level: &str, authors: &[&str]| {
        let authors: Vec<Mailbox> = authors.iter().map(|author| author.parse().unwrap()).collect();
        match table(level).check_author(&"user1@domain.jp".parse().unwrap(), &authors).verdict {
            Verdict::Accept => "250".to_owned(),
            Verdict::Refuse(reply) => code(&reply),
        }
    };
    assert_eq!(author("3", &["sales@domain.jp"]), "250");
    assert_eq!(author("3", &["user2@domain.jp"]), "550 5.7.1");
    assert_eq!(author("3", &["user1@domain.jp", "user2@domain.jp"]), "550 5.7.1");
    assert_eq!(author("3", &[]), "550 5.7.1");
    assert_eq!(author("2", &["user2@domain.jp"]), "250");
    let asks =
        |level: &str| table(level).check_sender(&user1, &ReversePath::Null, SystemTime::now()).check_author;
    assert!(asks("3") && !asks("2"));
}

/// SEED-117 through RCPT: users and trusted clients, never mail from outside.
#[test]
fn seed_117_recipients_of_a_sender() {
    let table = rules(&[
        (DocumentName::OwnDomains, "domain.jp"),
        (DocumentName::Accounts, "user1@domain.jp\nuser2@domain.jp\n"),
        (DocumentName::Access, "192.168.0.20 true"),
        (DocumentName::SenderRules, "user1@domain.jp *@domain.jp deny\nuser1@domain.jp * allow\n"),
    ]);
    let user1 = user(EXT, Listener::Submission, "user1@domain.jp");
    let said = |asker: &Asker, to: &str| recipient_of(&table, asker, "user1@domain.jp", to);
    assert_eq!(said(&user1, "user2@domain.jp"), ("550 5.7.1".to_owned(), "sender-rules:1".to_owned()));
    assert!(said(&user1, "a@z.example").0.starts_with("250"));
    assert_eq!(said(&anonymous(INNER), "user2@domain.jp").0, "550 5.7.1");
    assert!(recipient(&table, INNER, "user2@domain.jp").0.starts_with("250"), "another sender has no rules");
    assert!(said(&anonymous(EXT), "user2@domain.jp").0.starts_with("250"), "it comes from outside");
    let reach = |asker: &Asker| {
        let (sender, to) = ("user1@domain.jp".parse().unwrap(), "a@z.example".parse().unwrap());
        table.check_recipient(asker, &sender, &to, SystemTime::now()).reach
    };
    assert_eq!((reach(&user1).scope, reach(&user1).sender_bound), (Scope::Address, false));
    assert!(reach(&anonymous(INNER)).sender_bound);
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

/// SEED-024, SEED-025.
#[test]
fn routes_by_sender_and_for_a_time() {
    let table = rules(&[(
        DocumentName::Routes,
        "abcdef.jp,192.0.2.30,25,expires=2030-01-01T00:00:00Z\n*|u@domain.jp,up.example,25\n*|*@b.jp,b.example,25\n\
         abcdef.jp,192.0.2.31,25\n*,other.example,25\n",
    )]);
    let before: SystemTime = time::macros::datetime!(2029-12-31 23:59 UTC).into();
    let after: SystemTime = time::macros::datetime!(2030-01-01 00:00 UTC).into();
    for (domain, sender, now, expected) in [
        ("abcdef.jp", "u@domain.jp", before, "[192.0.2.30]:25"),
        ("abcdef.jp", "u@domain.jp", after, "[up.example]:25"),
        ("abcdef.jp", "x@domain.jp", after, "[192.0.2.31]:25"),
        ("z.example", "U@domain.jp", after, "[up.example]:25"),
        ("z.example", "x@b.jp", after, "[b.example]:25"),
        ("z.example", "", after, "[other.example]:25"),
    ] {
        let route = table.resolve_route(&domain.parse().unwrap(), &sender.parse().unwrap(), now);
        assert_eq!(route.destination.to_string(), expected, "{domain} {sender:?}");
        assert!(route.sender_bound);
    }
    assert_eq!((table.expired_routes(before), table.expired_routes(after)), (vec![], vec![1]));
}
