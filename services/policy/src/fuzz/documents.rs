//! Documents to rules.

use std::{net::IpAddr, time::SystemTime};

use hikyaku_types::{address::ReversePath, origin::Listener};
use proptest::{prelude::*, test_runner::TestCaseError};

use super::{changes, check_shown, lines_of, seeds, try_cases};
use crate::{
    document::Documents,
    problem::{Problem, has_errors},
    rules::{
        Accepted, Asker, Rejected, Rules, Surroundings,
        decision::RecipientVerdict,
        explain::Question,
        grow::{Additions, OwnDomain, grow},
    },
};

const CASES: u32 = 1_500;
/// Of no network of the seeds.
const STRANGER: &str = "9.9.9.9";
const CLIENTS: [&str; 4] = [STRANGER, "192.168.0.20", "::1", "2001:db8:10::5"];
const SENDERS: [&str; 3] = ["", "user1@domain.jp", "a@x.example"];
const RECIPIENTS: [&str; 6] = [
    "postmaster",
    "user1@domain.jp",
    "info@a.abc.jp",
    "v@elsewhere.example",
    "user%host@domain.jp",
    "vip@z.example",
];

fn surroundings() -> Surroundings {
    Surroundings {
        own_addresses: vec!["198.51.100.11".parse().unwrap()],
        dns_servers: vec!["192.168.0.53".parse().unwrap()],
        hostname: "gw.example".to_owned(),
        ldap_servers: Some(vec!["corp".to_owned()]),
    }
}

fn build(documents: &Documents, previous: Option<&Rules>) -> Result<Accepted, Rejected> {
    Rules::build(2, documents, &surroundings(), previous)
}

fn first() -> Rules {
    build(&seeds(), None).unwrap_or_else(|rejected| panic!("{:?}", rejected.problems)).rules
}

fn problems(built: &Result<Accepted, Rejected>) -> &[Problem] {
    match built {
        Ok(accepted) => &accepted.problems,
        Err(rejected) => &rejected.problems,
    }
}

#[test]
fn the_seeds_are_valid() {
    first();
}

/// SEED-023, SEED-228.
#[test]
fn a_set_becomes_rules_or_a_list_of_problems() {
    let previous = first();
    try_cases(CASES, &changes(), |changes| {
        let documents = seeds().with(&changes);
        let built = build(&documents, Some(&previous));
        for problem in problems(&built) {
            check_shown(
                &problem.to_string(),
                problem.document.name(),
                lines_of(&documents, problem.document),
            )?;
        }
        prop_assert_eq!(built.is_err(), has_errors(problems(&built)));
        // What is not read again is as if it were.
        let anew = build(&documents, None);
        prop_assert_eq!((built.is_ok(), problems(&built)), (anew.is_ok(), problems(&anew)));
        prop_assert_eq!(previous.documents(), seeds());
        let Ok(Accepted { rules, .. }) = built else { return Ok(()) };
        prop_assert_eq!(rules.documents(), documents);
        check_answers(&rules)?;
        check_additions(&rules)
    });
}

/// Every question has an answer, and a stranger relays nothing.
fn check_answers(rules: &Rules) -> Result<(), TestCaseError> {
    let now = SystemTime::now();
    for client in CLIENTS {
        let client: IpAddr = client.parse().unwrap();
        rules.check_connection(client);
        for (identity, listener) in [(None, Listener::Relay), (Some("user1@domain.jp"), Listener::Submission)]
        {
            let identity = identity.map(|identity| identity.parse().unwrap());
            let asker = Asker::new(client, listener, identity);
            for sender in SENDERS {
                for recipient in RECIPIENTS {
                    let question = Question {
                        asker: asker.clone(),
                        reverse_path: if sender.is_empty() {
                            ReversePath::Null
                        } else {
                            sender.parse().unwrap()
                        },
                        recipient: recipient.parse().unwrap(),
                    };
                    rules.explain(&question, now);
                    rules.outcome(&question, now);
                }
            }
        }
    }
    for listener in [Listener::Relay, Listener::Submission] {
        let stranger = Asker::new(STRANGER.parse().unwrap(), listener, None);
        let answer = rules.check_recipient(
            &stranger,
            &"a@x.example".parse().unwrap(),
            &"v@elsewhere.example".parse().unwrap(),
            now,
        );
        prop_assert!(matches!(answer.verdict, RecipientVerdict::Refuse(_)), "{:?}", answer);
    }
    Ok(())
}

/// What a new installation adds is added once.
fn check_additions(rules: &Rules) -> Result<(), TestCaseError> {
    let additions = Additions {
        own_domains: vec![OwnDomain {
            domain: "abc.jp".parse().unwrap(),
            host: "192.168.0.77".parse().unwrap(),
            port: 26,
        }],
        relay_networks: vec!["192.168.77.0/24".parse().unwrap()],
    };
    let grown = rules.documents().with(&grow(rules, &additions));
    let Ok(Accepted { rules, .. }) = build(&grown, Some(rules)) else { return Ok(()) };
    prop_assert_eq!(grow(&rules, &additions), Documents::default());
    Ok(())
}
