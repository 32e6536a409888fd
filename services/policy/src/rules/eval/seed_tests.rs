//! The acceptance criteria of the requirements, each under its number, where the tests beside this file do not
//! name it already.

use hikyaku_types::origin::Listener;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    tests::{EXT, INNER, anonymous, code, recipient, recipient_of, sender, user},
    *,
};
use crate::{
    document::{DocumentName, Documents},
    rules::{
        Surroundings,
        decision::{RecipientVerdict, Scope, Verdict},
        explain::Question,
        tests::rules,
    },
};

const MODE_A: [(DocumentName, &str); 4] = [
    (DocumentName::OwnDomains, "domain.jp"),
    (DocumentName::Aliases, "*@domain.jp\t*@domain.jp"),
    (DocumentName::Routes, "domain.jp,192.168.0.20,25"),
    (DocumentName::Access, "192.168.0.20 true"),
];

fn mode_b(access: &str) -> Rules {
    rules(&[
        (DocumentName::OwnDomains, "domain.co.jp\ndomain.jp"),
        (
            DocumentName::Aliases,
            "user1@domain.co.jp\tuser1@domain.co.jp\nuser2@domain.co.jp\tuser2@domain.co.jp",
        ),
        (DocumentName::Accounts, "user1@domain.co.jp"),
        (DocumentName::Access, access),
    ])
}

fn route(rules: &Rules, domain: &str) -> String {
    let route = rules.resolve_route(&domain.parse().unwrap(), &ReversePath::Null, SystemTime::now());
    route.destination.to_string()
}

fn problems(documents: &[(DocumentName, &str)]) -> Vec<String> {
    let documents: Documents = documents.iter().map(|(document, text)| (*document, *text)).collect();
    let problems = match Rules::build(1, &documents, &Surroundings::default(), None) {
        Ok(accepted) => accepted.problems,
        Err(rejected) => rejected.problems,
    };
    problems.iter().map(ToString::to_string).collect()
}

fn accepted(said: &(String, String)) -> bool {
    said.0.starts_with("250")
}

#[test]
fn seed_010_the_record_of_a_route() {
    let table = rules(&[(
        DocumentName::Routes,
        "domain.jp, 192.168.0.20, 25\nsame.jp,192.168.0.20,25\ndomain.co.jp, 192.168.0.20",
    )]);
    for domain in ["domain.jp", "same.jp", "domain.co.jp"] {
        assert_eq!(route(&table, domain), "[192.168.0.20]:25");
    }
    assert_eq!(
        problems(&[(DocumentName::Routes, "abc.jp,192.168.0.9,70000")]),
        ["routes:1: error E-GW-PORT: \"70000\" is not 1-65535"]
    );
}

/// Only the envelope is asked about; there is no question about a header.
#[test]
fn seed_012_the_envelope_decides() {
    let table = rules(&[
        (DocumentName::OwnDomains, "domain.jp\nabc.jp"),
        (DocumentName::Aliases, "*@domain.jp\t*@domain.jp\n*@abc.jp\t*@abc.jp"),
        (DocumentName::Routes, "domain.jp,192.168.0.20,25\nabc.jp,192.168.0.21,25"),
    ]);
    assert_eq!(recipient(&table, EXT, "b@domain.jp").0, "250 b@domain.jp via [192.168.0.20]:25");
}

#[test]
fn seed_013_a_domain_is_itself() {
    let table = rules(&MODE_A);
    assert_eq!(route(&table, "DOMAIN.JP"), "[192.168.0.20]:25");
    assert_eq!(route(&table, "domain.jp."), "[192.168.0.20]:25");
    assert_eq!(route(&table, "sub.domain.jp"), "sub.domain.jp");
}

/// A route to a host is a host: what the next hop is called is not looked up by MX.
#[test]
fn seed_017_the_next_hop_is_a_host() {
    let table = rules(&[(DocumentName::Routes, "a.jp,smtp01.domain.jp,25\nb.jp,[2001:db8::1],25")]);
    let route =
        |domain: &str| table.resolve_route(&domain.parse().unwrap(), &ReversePath::Null, SystemTime::now());
    assert!(matches!(route("a.jp").destination, hikyaku_types::destination::Destination::Host { .. }));
    assert_eq!(route("b.jp").destination.to_string(), "[2001:db8::1]:25");
}

#[test]
fn seed_018_the_port_of_a_route() {
    let table = rules(&[(DocumentName::Routes, "test.jp,192.168.0.30,20025")]);
    assert_eq!(route(&table, "test.jp"), "[192.168.0.30]:20025");
}

#[test]
fn seed_023_one_bad_line_refuses_all() {
    let lines: String = (0..499).map(|n| format!("d{n}.jp,192.168.0.20,25\n")).collect();
    let text = format!("{lines}bad.jp,192.168.0.x,25\n");
    assert_eq!(
        problems(&[(DocumentName::Routes, &text)]),
        ["routes:500: error E-GW-NEXTHOP: \"192.168.0.x\" looks like an IPv4 address but is not one"]
    );
}

#[test]
fn seed_028_a_route_is_no_right() {
    let table = rules(&[(DocumentName::Routes, "*,smtp.domain.jp,25")]);
    assert_eq!(recipient(&table, EXT, "v@z.example").0, "550 5.7.1");
}

/// SEED-005, SEED-030: accounts only say who is a valid recipient: mail goes to the next hop.
#[test]
fn seed_030_accounts_have_no_mailboxes() {
    let table = rules(&[
        (DocumentName::OwnDomains, "domain.co.jp"),
        (DocumentName::Accounts, "user1@domain.co.jp"),
        (DocumentName::Routes, "domain.co.jp,192.168.0.20,25"),
    ]);
    assert_eq!(
        recipient(&table, EXT, "user1@domain.co.jp").0,
        "250 user1@domain.co.jp via [192.168.0.20]:25"
    );
}

/// SEED-041, SEED-110 too: every address is taken, and none of them may be posed as.
#[test]
fn seed_040_mode_a() {
    let table = rules(&MODE_A);
    assert_eq!(
        recipient(&table, EXT, "any-thing-at-all@domain.jp").0,
        "250 any-thing-at-all@domain.jp via [192.168.0.20]:25"
    );
    for from in ["made.up@domain.jp", "postmaster@domain.jp"] {
        assert_eq!(sender(&table, EXT, from).0, "530 5.7.0");
        assert_eq!(recipient_of(&table, &anonymous(EXT), from, "v@z.example").0, "550 5.7.1");
    }
    let off = [&MODE_A[..], &[(DocumentName::Settings, "own_senders = accept")]].concat();
    let off = rules(&off);
    assert_eq!(sender(&off, EXT, "made.up@domain.jp").0, "250");
    assert_eq!(recipient_of(&off, &anonymous(EXT), "made.up@domain.jp", "v@z.example").0, "550 5.7.1");
    let warned = problems(&MODE_A);
    assert!(
        warned.contains(&"aliases:1: warning W-AL-MODEA: every address of domain.jp is accepted".to_owned())
    );
}

/// SEED-060, SEED-062 too.
#[test]
fn seed_042_mode_b() {
    let table = mode_b("");
    for (to, is_valid) in
        [("user1@domain.co.jp", true), ("user2@domain.co.jp", true), ("user3@domain.co.jp", false)]
    {
        for from in ["a@x.example", ""] {
            let said = recipient_of(&table, &anonymous(EXT), from, to);
            assert_eq!(accepted(&said), is_valid, "{from} {to}");
            assert!(is_valid || said.0 == "550 5.1.1");
        }
    }
    assert_eq!(recipient_of(&table, &anonymous(EXT), "", "v@z.example").0, "550 5.7.1");
}

/// SEED-044, SEED-045: trust is for the address of the inner server, whatever sender it names.
#[test]
fn seed_045_what_the_inner_server_sends_on() {
    for (access, expected) in [("", "550 5.7.1"), ("192.168.0.20 true", "250")] {
        let table = mode_b(access);
        for from in ["orig@x.example", "c@domain.co.jp"] {
            let said = recipient_of(&table, &anonymous(INNER), from, "me@free.example").0;
            assert!(said.starts_with(expected), "{access:?} {from}: {said}");
        }
        assert_eq!(recipient(&table, EXT, "c@domain.co.jp").0, "550 5.1.1");
    }
}

/// SEED-065: what can be known at RCPT is said at RCPT; nothing is accepted that has no place to go.
#[test]
fn seed_065_nothing_is_accepted_to_be_returned() {
    let table = mode_b("");
    for to in ["nobody@domain.co.jp", "a@domain.jp", "v@z.example", "a@[192.0.2.1]"] {
        assert!(!accepted(&recipient(&table, EXT, to)), "{to}");
    }
}

/// SEED-070, SEED-071, SEED-074: all kinds of patterns and values, in any case.
#[test]
fn seed_070_patterns_and_values() {
    let text = "192.168.0.20 TRUE\n10.*.*.* False\n192.168.1.0/28 Default\n2001:db8::/48 norelay\nx@partner.example NoRelay,2\n\
                partner.example norelay,0\n*.spam.example false\n#<> default\n#blank false\n192.168.0.50\n192.168.9.9 only";
    assert_eq!(problems(&[(DocumentName::Access, text)]), Vec::<String>::new());
    for bad in ["192.168.0.1 yes", "192.168.0.1 norelay,1", "192.168.0.1 true false"] {
        assert!(problems(&[(DocumentName::Access, bad)])[0].contains("E-EFF-VALUE"), "{bad}");
    }
    assert_eq!(recipient(&mode_b("203.0.113.9 default"), EXT, "v@z.example").0, "550 5.7.1");
}

#[test]
fn seed_073_false_refuses() {
    let table = mode_b("203.0.113.0/24 false\npostmaster@domain.jp false");
    assert_eq!(sender(&table, EXT, "a@x.example").0, "550 5.7.1");
    assert_eq!(sender(&table, "198.51.100.1", "postmaster@domain.jp").0, "550 5.7.1");
    assert_eq!(sender(&table, "198.51.100.1", "a@x.example").0, "250");
}

#[test]
fn seed_076_norelay() {
    let user1 = user(EXT, Listener::Submission, "user1@domain.co.jp");
    for (access, with_auth) in
        [("*.*.*.* norelay,2", true), ("*.*.*.* norelay,0", false), ("*.*.*.* norelay", false)]
    {
        let table = mode_b(access);
        let said = |asker: &Asker, to: &str| accepted(&recipient_of(&table, asker, "user1@domain.co.jp", to));
        assert!(said(&anonymous(EXT), "user2@domain.co.jp"), "{access}");
        assert!(!said(&anonymous(EXT), "v@z.example"), "{access}");
        assert_eq!(said(&user1, "v@z.example"), with_auth, "{access}");
    }
    // SEED-086: a forwarder that keeps the sender.
    assert_eq!(sender(&mode_b("203.0.113.9 norelay,2"), EXT, "user1@domain.co.jp").0, "250");
}

#[test]
fn seed_078_own_domains_are_never_trusted() {
    for line in ["domain.jp true", "domain.jp", "domain.jp only", "info@domain.jp true", "*@domain.jp true"] {
        let found = problems(&[(DocumentName::OwnDomains, "domain.jp"), (DocumentName::Access, line)]);
        assert!(
            found.iter().any(|problem| problem.contains("access:1: error E-EFF-OWNDOMAIN")),
            "{line}: {found:?}"
        );
    }
}

/// Devices that cannot authenticate.
#[test]
fn seed_081_devices() {
    let table = mode_b("192.168.0.50 true");
    let said = |to: &str| recipient_of(&table, &anonymous("192.168.0.50"), "scanner@nowhere.example", to);
    assert_eq!(sender(&table, "192.168.0.50", "scanner@nowhere.example").0, "250");
    assert!(accepted(&said("x@z.example")));
    assert_eq!(said("nobody@domain.co.jp").0, "550 5.1.1");
}

#[test]
fn seed_085_the_default_without_any_line() {
    let table = mode_b("");
    assert!(table.test_for_open_relay(SystemTime::now()).iter().all(|tested| tested.refused));
    let user1 = user(EXT, Listener::Submission, "user1@domain.co.jp");
    assert!(accepted(&recipient_of(&table, &user1, "user1@domain.co.jp", "v@z.example")));
}

/// SEED-092, SEED-093, SEED-094: three ways to write a network.
#[test]
fn seed_092_networks_of_the_relay_list() {
    let table = rules(&[(
        DocumentName::RelayNetworks,
        "192.168.1.1,255.255.255.0\n203.0.113.0/28\n::1/128\n2001:db8:10::/48",
    )]);
    for (from, is_allowed) in [
        ("192.168.1.1", true),
        ("192.168.1.77", true),
        ("192.168.1.255", true),
        ("192.168.2.1", false),
        ("203.0.113.15", true),
        ("203.0.113.16", false),
        ("::1", true),
        ("2001:db8:10::5", true),
        ("2001:db8:11::5", false),
    ] {
        assert_eq!(accepted(&recipient(&table, from, "x@z.example")), is_allowed, "{from}");
    }
}

/// SEED-114: an account without a secret is no hole.
#[test]
fn seed_114_an_account_without_a_secret() {
    let table =
        rules(&[(DocumentName::OwnDomains, "domain.jp"), (DocumentName::Accounts, "user1@domain.jp")]);
    assert_eq!(sender(&table, EXT, "user1@domain.jp").0, "530 5.7.0");
    assert!(table.account_for_login(&"user1@domain.jp".parse().unwrap()).is_none());
}

#[test]
fn seed_120_a_local_part_is_nothing_without_its_domain() {
    let table = rules(&[
        (DocumentName::OwnDomains, "domain.jp"),
        (DocumentName::Accounts, "info@domain.jp\nuser1@domain.jp"),
    ]);
    for from in ["info@x.example", "postmaster@x.example"] {
        assert_eq!(sender(&table, EXT, from).0, "250");
        assert!(accepted(&recipient_of(&table, &anonymous(EXT), from, "user1@domain.jp")));
    }
}

/// Mon-Fri 09:00-18:00 in Tokyo, at 18:01 and at 09:00 of the next day. Mail for the account is taken at any
/// time, and mail of strangers knows no hours.
#[test]
fn seed_118_hours_of_an_account() {
    let table = rules(&[
        (DocumentName::OwnDomains, "domain.jp"),
        (DocumentName::Accounts, "user1@domain.jp\thours=Mon-Fri 09:00-18:00 JST\nuser2@domain.jp"),
        (DocumentName::RelayNetworks, "192.168.0.0/24"),
    ]);
    let at = |text: &str| SystemTime::from(OffsetDateTime::parse(text, &Rfc3339).unwrap());
    let (open, closed, opening) =
        (at("2026-11-19T17:59:00+09:00"), at("2026-11-19T18:01:00+09:00"), at("2026-11-20T09:00:00+09:00"));
    let sent = |asker: &Asker, from: &str, now| {
        let decision = table.check_sender(asker, &from.parse().unwrap(), now).decision;
        let said = match decision.verdict {
            Verdict::Accept => "250".to_owned(),
            Verdict::Refuse(reply) => code(&reply),
        };
        (said, decision.decided_by.to_string(), decision.reach.scope)
    };
    let user1 = user(EXT, Listener::Submission, "user1@domain.jp");
    let device = anonymous("192.168.0.50");
    for asker in [&user1, &device] {
        for (now, expected) in [(open, "250"), (closed, "450 4.7.1"), (opening, "250")] {
            let (said, decided_by, scope) = sent(asker, "user1@domain.jp", now);
            assert_eq!((said.as_str(), scope), (expected, Scope::Address));
            assert_eq!(decided_by == "accounts:1", expected != "250", "{decided_by}");
        }
    }
    // Those of the account that sends, not of the name that it shows.
    assert_eq!(sent(&user1, "", closed).0, "450 4.7.1");
    let user2 = user(EXT, Listener::Submission, "user2@domain.jp");
    assert_eq!(sent(&user2, "user2@domain.jp", closed).0, "250");
    assert_eq!(sent(&anonymous(EXT), "a@x.example", closed).0, "250");
    let asked = |now| {
        let to = "user1@domain.jp".parse().unwrap();
        let question =
            Question { asker: anonymous(EXT), reverse_path: "a@x.example".parse().unwrap(), recipient: to };
        let explanation = table.explain(&question, now);
        assert!(matches!(explanation.recipient.verdict, RecipientVerdict::Accept { .. }));
        explanation.steps[2].1.clone().unwrap().finding
    };
    assert_eq!(asked(open), "user1@domain.jp is accepted for an own domain");
    assert_eq!(
        asked(closed),
        "user1@domain.jp is accepted for an own domain, and delivered from 2026-11-20T00:00:00Z on (accounts:1)"
    );
    let (hours, version) = table.hours_of_mail();
    let hours: Vec<String> = hours.map(|(hours, accounts)| format!("{hours} {}", accounts[0])).collect();
    assert_eq!(
        (hours.as_slice(), version > 0),
        (["Mon-Fri 09:00-18:00 JST user1@domain.jp".to_owned()].as_slice(), true)
    );
}

/// A session may be older than the change that took the right away.
#[test]
fn an_account_that_is_gone_sends_nothing() {
    let user1 = user(EXT, Listener::Submission, "user1@domain.jp");
    for (accounts, expected) in [("user1@domain.jp", true), ("user1@domain.jp\tsmtp=off", false), ("", false)]
    {
        let table = rules(&[(DocumentName::OwnDomains, "domain.jp"), (DocumentName::Accounts, accounts)]);
        let may_send = table
            .check_sender(&user1, &"user1@domain.jp".parse().unwrap(), SystemTime::now())
            .decision
            .verdict
            == Verdict::Accept;
        assert_eq!(may_send, expected, "{accounts:?}");
        assert_eq!(accepted(&recipient_of(&table, &user1, "user1@domain.jp", "v@z.example")), expected);
    }
}

/// Neither the address that is named nor the one it stands for.
#[test]
fn rules_of_senders_see_both_sides_of_an_alias() {
    let table = |rule: &str| {
        rules(&[
            (DocumentName::OwnDomains, "d.jp"),
            (DocumentName::Accounts, "u@d.jp\nuser2@d.jp"),
            (DocumentName::Aliases, "info@d.jp\tx@z.example"),
            (DocumentName::SenderRules, &format!("u@d.jp {rule} deny\nu@d.jp * allow")),
        ])
    };
    let u = user(EXT, Listener::Submission, "u@d.jp");
    for (rule, allowed) in
        [("info@d.jp", false), ("*@d.jp", false), ("x@z.example", false), ("y@z.example", true)]
    {
        assert_eq!(accepted(&recipient_of(&table(rule), &u, "u@d.jp", "info@d.jp")), allowed, "{rule}");
    }
}

/// SEED-004 (a), SEED-111.
#[test]
fn what_only_shows_together_is_an_error() {
    let surroundings =
        Surroundings { own_addresses: vec!["198.51.100.11".parse().unwrap()], ..Surroundings::default() };
    let documents: Documents = [
        (DocumentName::OwnDomains, "d.jp"),
        (DocumentName::Routes, "d.jp,inner.jp,25"),
        (DocumentName::Hosts, "inner.jp 198.51.100.11"),
        (DocumentName::Settings, "postmaster = admin@d.jp"),
    ]
    .into_iter()
    .collect();
    let found = Rules::build(1, &documents, &surroundings, None).unwrap_err().problems;
    let shown: Vec<String> = found.iter().map(ToString::to_string).collect();
    for expected in [
        "routes:1: error E-GW-SELF: next hop is one of this cluster's own addresses",
        "settings:1: error E-SET-POSTMASTER: admin@d.jp is not a recipient of its own domain",
    ] {
        assert!(shown.contains(&expected.to_owned()), "{shown:?}");
    }
}

/// Ten thousand lines of the forms that are found by sender: as many look-ups, not as many squared.
#[test]
fn many_routes_and_rules_of_senders() {
    let routes: String = (0..20_000).map(|n| format!("*|user{n}@tenant.jp,h{n}.example,25\n")).collect();
    let senders: String = (0..20_000).map(|n| format!("* blocked{n}@z.example deny\n")).collect();
    let table = rules(&[(DocumentName::Routes, &routes), (DocumentName::SenderRules, &senders)]);
    let sender = "user19999@tenant.jp".parse().unwrap();
    let route = table.resolve_route(&"z.example".parse().unwrap(), &sender, SystemTime::now());
    assert_eq!(route.destination.to_string(), "[h19999.example]:25");
}
