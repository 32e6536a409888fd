//! Recipients and logins that somebody else knows (SEED-064, SEED-236).

use hikyaku_queue::recipients::Existence;
use hikyaku_types::origin::Listener;

use super::{
    tests::{EXT, INNER, anonymous, recipient, recipient_of, user},
    *,
};
use crate::{
    document::{DocumentName, Documents},
    rules::{
        Surroundings,
        decision::{RecipientDecision, RecipientVerdict, Scope},
    },
};

/// One domain of each kind: taken whole, listed, not listed at all; each with somebody who knows more.
fn asking(more: &[(DocumentName, &str)]) -> Rules {
    let texts = [
        (DocumentName::OwnDomains, "whole.jp\nlisted.jp\nbare.jp\nplain.jp"),
        (
            DocumentName::Aliases,
            "*@whole.jp\t*@whole.jp\nsure@whole.jp\tsure@whole.jp\nsure@listed.jp\tsure@listed.jp\n\
             info@listed.jp\tann@bare.jp\n*@old.jp\t*@bare.jp\n*@plain.jp\t*@plain.jp",
        ),
        (DocumentName::Accounts, "bob@bare.jp\noff@bare.jp\treceive=off\tsmtp=off"),
        (
            DocumentName::Sources,
            "gone.jp login=ldap:corp\nwhole.jp recipients=next-hop\nlisted.jp recipients=next-hop when-down=accept\n\
             bare.jp recipients=ldap:corp login=ldap:corp",
        ),
        (DocumentName::Access, "192.168.0.20 true"),
        (DocumentName::Settings, "postmaster = sure@listed.jp"),
    ];
    let documents: Documents = texts.iter().chain(more).map(|(document, text)| (*document, *text)).collect();
    let surroundings = Surroundings { ldap_servers: Some(vec!["corp".into()]), ..Surroundings::default() };
    match Rules::build(1, &documents, &surroundings, None) {
        Ok(accepted) => accepted.rules,
        Err(rejected) => panic!("{:?}", rejected.problems),
    }
}

fn decision(rules: &Rules, from: &str, to: &str) -> RecipientDecision {
    let sender = "a@x.example".parse().unwrap();
    rules.check_recipient(&anonymous(from), &sender, &to.parse().unwrap(), SystemTime::now())
}

/// Who is asked, with the line that decided so far.
fn asked(rules: &Rules, to: &str) -> (Option<String>, String) {
    let decision = decision(rules, EXT, to);
    (decision.unconfirmed.map(|it| it.source.to_string()), decision.decided_by.to_string())
}

#[test]
fn seed_064_who_is_asked_about_whom() {
    let rules = asking(&[]);
    let next_hop = Some("the next hop".to_owned());
    let ldap = Some("LDAP server corp".to_owned());
    for (to, source, line) in [
        ("x@whole.jp", &next_hop, "aliases:1"),
        ("x@listed.jp", &next_hop, "sources:3"),
        ("x@bare.jp", &ldap, "sources:4"),
        // The end of an alias is asked about.
        ("info@listed.jp", &ldap, "aliases:4"),
        // What a document names needs nobody else.
        ("sure@whole.jp", &None, "aliases:2"),
        ("Sure@listed.jp", &None, "aliases:3"),
        ("bob@bare.jp", &None, "accounts:1"),
        ("postmaster@whole.jp", &None, "aliases:1"),
        ("postmaster@bare.jp", &None, "settings:1"),
        ("x@plain.jp", &None, "aliases:6"),
        // Refused without a question.
        ("off@bare.jp", &None, "accounts:2"),
        ("x@z.example", &None, "builtin:default"),
    ] {
        assert_eq!(asked(&rules, to), (source.clone(), line.to_owned()), "{to}");
    }
    assert_eq!(recipient(&rules, EXT, "off@bare.jp").0, "550 5.2.1");
    assert_eq!(recipient(&rules, EXT, "x@z.example").0, "550 5.7.1");
    // SEED-072: a trusted client skips no check of recipients.
    assert!(decision(&rules, INNER, "x@bare.jp").unconfirmed.is_some());
    for domain in ["whole.jp", "bare.jp"] {
        assert_eq!(decision(&rules, EXT, &format!("x@{domain}")).reach.scope, Scope::Address);
    }
}

/// A next hop that trusts us might send `user%host` on: it is not even asked.
#[test]
fn seed_064_a_question_is_no_way_to_relay() {
    let rules = asking(&[]);
    for to in ["v%z.example@whole.jp", "v%z.example@bare.jp", "z.example!v@listed.jp"] {
        assert_eq!(recipient(&rules, EXT, to), ("550 5.7.1".into(), "builtin:routed-local-part".into()));
    }
    assert!(rules.test_for_open_relay(SystemTime::now()).iter().all(|tested| tested.refused));
}

/// While a source is down nobody hears 550 (SEED-236).
#[test]
fn seed_064_what_a_client_hears() {
    let rules = asking(&[]);
    let unclear = || Existence::Unclear("connection refused".into());
    for (to, existence, said) in [
        ("x@whole.jp", Existence::Exists, "250 by aliases:1"),
        ("x@whole.jp", Existence::Unknown, "550 5.1.1 by sources:2"),
        ("x@whole.jp", unclear(), "451 4.3.0 by sources:2"),
        ("x@listed.jp", Existence::Exists, "250 by sources:3"),
        ("x@listed.jp", Existence::Unknown, "550 5.1.1 by sources:3"),
        ("x@listed.jp", unclear(), "250 by sources:3"),
        ("sure@whole.jp", Existence::Unknown, "250 by aliases:2"),
    ] {
        let confirmed = decision(&rules, EXT, to).confirmed(&existence);
        let code = match &confirmed.verdict {
            RecipientVerdict::Accept { .. } => "250".to_owned(),
            RecipientVerdict::Refuse(reply) => format!("{} {}", reply.code(), reply.enhanced().unwrap()),
        };
        assert_eq!(format!("{code} by {}", confirmed.decided_by), said, "{to} {existence:?}");
        assert_eq!(confirmed.unconfirmed, None);
    }
}

/// SEED-236: who has no secret here may have one there; what is said here comes first.
#[test]
fn seed_236_whose_password_is_asked_for_elsewhere() {
    let rules = asking(&[]);
    for (login, server) in [
        ("ann@bare.jp", Some("corp")),
        ("bob@bare.jp", Some("corp")),
        ("off@bare.jp", None),
        ("ann@whole.jp", None),
        ("ann@gone.jp", None),
        ("ann@z.example", None),
    ] {
        assert_eq!(rules.login_elsewhere(&login.parse().unwrap()), server, "{login}");
    }
    let relays = |identity: &str| {
        let asker = user(EXT, Listener::Submission, identity);
        recipient_of(&rules, &asker, identity, "v@z.example").0
    };
    assert_eq!(relays("ann@bare.jp"), "250 v@z.example via z.example");
    assert_eq!(relays("bob@bare.jp"), "250 v@z.example via z.example");
    // An account that was switched off, and one whose domain has nobody to ask any more.
    assert_eq!(relays("off@bare.jp"), "530 5.7.0");
    assert_eq!(relays("ann@whole.jp"), "530 5.7.0");
}

/// SEED-111: the administrator's mailbox may be one that only a source knows.
#[test]
fn seed_111_postmaster_may_be_known_elsewhere() {
    let documents: Documents = [
        (DocumentName::OwnDomains, "bare.jp"),
        (DocumentName::Sources, "bare.jp recipients=next-hop"),
        (DocumentName::Settings, "postmaster = admin@bare.jp"),
    ]
    .into_iter()
    .collect();
    assert!(Rules::build(1, &documents, &Surroundings::default(), None).is_ok());
}

#[test]
fn a_source_needs_a_domain_of_ours() {
    let documents = [(DocumentName::Sources, "foreign.jp recipients=next-hop")];
    let documents: Documents = documents.into_iter().collect();
    let accepted = Rules::build(1, &documents, &Surroundings::default(), None).unwrap();
    let problems: Vec<String> = accepted.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        ["sources:1: warning W-SRC-FOREIGN: foreign.jp is not in own-domains: nobody is asked about it"]
    );
}
