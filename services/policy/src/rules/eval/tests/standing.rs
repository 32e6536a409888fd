//! What the client may do: documents of networks and the access table.

use super::*;

const USER: &str = "user1@domain.co.jp";

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
