//! The store on a real nats-server.

use std::time::SystemTime;

use hikyaku_queue::{NatsConfig, connect::Login};
use hikyaku_testkit::{
    eventually::eventually,
    nats::{NatsServer, PASSWORD, USER},
};
use hikyaku_types::address::ReversePath;
use tokio_util::sync::CancellationToken;

use super::{
    commit::{Author, CommitError, EnsureError, Mode, Outcome},
    *,
};
use crate::{
    document::DocumentName,
    rules::grow::{Additions, OwnDomain},
};

const PATIENCE: Duration = Duration::from_secs(30);

/// A broker of this test.
pub(crate) struct Broker(NatsServer);

impl Broker {
    pub(crate) fn start() -> Self {
        Self(NatsServer::start().unwrap())
    }

    pub(crate) async fn connect(&self) -> Nats {
        let password = PASSWORD.to_owned().into();
        let config = NatsConfig {
            url: self.0.url(),
            login: Some(Login { user: USER.to_owned(), password }),
            system_login: None,
            tls: None,
            client_name: "policy-test".to_owned(),
        };
        eventually(PATIENCE, async || Nats::connect(&config).await.map_err(|error| error.to_string())).await
    }

    pub(crate) async fn store(&self) -> Store {
        let surroundings =
            Surroundings { ldap_servers: Some(vec!["corp".to_owned()]), ..Surroundings::default() };
        Store::open(&self.connect().await, 1, surroundings).await.unwrap()
    }
}

fn author() -> Author {
    Author { name: "ann".to_owned(), comment: "for a test".to_owned() }
}

fn change(document: DocumentName, text: &str) -> Documents {
    Documents::from_iter([(document, text)])
}

async fn accepted(store: &Store, base: u64, changes: &Documents) -> u64 {
    let outcome = store.commit(base, changes, Mode::Store, &author()).await.unwrap();
    assert!(outcome.accepted, "{:?}", outcome.problems);
    outcome.version
}

#[tokio::test]
async fn every_process_follows_a_commit() {
    let nats = Broker::start();
    let (one, other) = (nats.store().await, nats.store().await);
    let stop = CancellationToken::new();
    let followers: Vec<_> = [one.clone(), other.clone()]
        .into_iter()
        .map(|store| {
            let stop = stop.clone();
            tokio::spawn(async move { store.follow(stop).await })
        })
        .collect();

    assert!(other.wait_for_version(0, PATIENCE).await, "an empty store is version 0");
    let version = accepted(&one, 0, &change(DocumentName::Routes, "a.jp,192.0.2.1,25")).await;
    assert_eq!(version, 1);
    assert!(other.wait_for_version(1, PATIENCE).await);
    let route =
        other.rules().unwrap().resolve_route(&"a.jp".parse().unwrap(), &ReversePath::Null, SystemTime::now());
    assert_eq!(route.destination.to_string(), "[192.0.2.1]:25");

    // Texts larger than a message.
    let large: String = (0..80_000).map(|n| format!("user{n}@big.jp\tuser{n}@big.jp\n")).collect();
    assert!(large.len() > 2 * 1024 * 1024);
    assert_eq!(accepted(&other, 1, &change(DocumentName::Aliases, &large)).await, 2);
    assert!(one.wait_for_version(2, PATIENCE).await);
    assert_eq!(&*one.rules().unwrap().documents().text(DocumentName::Aliases), large);

    stop.cancel();
    for follower in followers {
        follower.await.unwrap();
    }
}

#[tokio::test]
async fn a_set_with_an_error_is_refused_as_a_whole() {
    let nats = Broker::start();
    let store = nats.store().await;
    accepted(&store, 0, &change(DocumentName::OwnDomains, "a.jp")).await;

    let bad = Documents::from_iter([
        (DocumentName::OwnDomains, "b.jp"),
        (DocumentName::Routes, "b.jp,192.168.0.x,25"),
        (DocumentName::RelayNetworks, "0.0.0.0/0"),
    ]);
    let outcome = store.commit(1, &bad, Mode::Store, &author()).await.unwrap();
    assert_eq!((outcome.version, outcome.accepted), (1, false));
    let codes: Vec<&str> = outcome.problems.iter().map(|problem| problem.code).collect();
    for code in ["E-PM-OPENRELAY", "E-GW-NEXTHOP"] {
        assert!(codes.contains(&code), "{codes:?}");
    }
    let snapshot = store.snapshot().await.unwrap();
    assert_eq!(&*snapshot.documents.text(DocumentName::OwnDomains), "a.jp");
    assert_eq!((snapshot.version(), snapshot.documents.iter().count()), (1, 1));
}

#[tokio::test]
async fn a_check_stores_nothing_and_the_same_text_makes_no_version() {
    let nats = Broker::start();
    let store = nats.store().await;
    let change = change(DocumentName::OwnDomains, "a.jp");
    let checked = store.commit(0, &change, Mode::ValidateOnly, &author()).await.unwrap();
    assert_eq!((checked.version, checked.accepted), (0, true));
    assert_eq!(store.snapshot().await.unwrap().version(), 0);
    assert_eq!(accepted(&store, 0, &change).await, 1);
    assert_eq!(accepted(&store, 1, &change).await, 1);
}

#[tokio::test]
async fn of_two_commits_on_one_version_one_is_stored() {
    let nats = Broker::start();
    let store = nats.store().await;
    let commits = (0..8).map(|n| {
        let store = store.clone();
        tokio::spawn(async move {
            let change = change(DocumentName::OwnDomains, &format!("d{n}.jp"));
            (n, store.commit(0, &change, Mode::Store, &author()).await)
        })
    });
    let mut winner = None;
    for commit in commits.collect::<Vec<_>>() {
        match commit.await.unwrap() {
            (n, Ok(outcome)) => {
                assert_eq!((outcome.version, outcome.accepted), (1, true));
                assert_eq!(winner.replace(n), None, "two commits were stored");
            }
            (_, Err(CommitError::Stale { .. } | CommitError::Raced)) => {}
            (_, Err(error @ CommitError::Store(_))) => panic!("{error}"),
        }
    }
    let snapshot = store.snapshot().await.unwrap();
    assert_eq!(*snapshot.documents.text(DocumentName::OwnDomains), format!("d{}.jp", winner.unwrap()));
}

#[tokio::test]
async fn additions_are_made_once_also_by_several_at_a_time() {
    let nats = Broker::start();
    let store = nats.store().await;
    let additions = Additions {
        own_domains: vec![OwnDomain {
            domain: "domain.jp".parse().unwrap(),
            host: "192.168.0.20".parse().unwrap(),
            port: 25,
        }],
        relay_networks: vec!["192.168.0.0/24".parse().unwrap()],
    };
    let tasks = (0..4).map(|_| {
        let (store, additions) = (store.clone(), additions.clone());
        tokio::spawn(async move { store.ensure(&additions).await })
    });
    for task in tasks.collect::<Vec<_>>() {
        let Outcome { version, accepted, .. } = task.await.unwrap().unwrap();
        assert_eq!((version, accepted), (1, true));
    }
    let documents = store.snapshot().await.unwrap().documents;
    assert_eq!(&*documents.text(DocumentName::Routes), "domain.jp, 192.168.0.20, 25\n");

    let loop_back = Additions {
        own_domains: vec![OwnDomain {
            domain: "loop.jp".parse().unwrap(),
            host: "198.51.100.11".parse().unwrap(),
            port: 25,
        }],
        ..Additions::default()
    };
    let surroundings =
        Surroundings { own_addresses: vec!["198.51.100.11".parse().unwrap()], ..Surroundings::default() };
    let strict = Store::open(&nats.connect().await, 1, surroundings).await.unwrap();
    let refused = strict.ensure(&loop_back).await.unwrap_err();
    assert!(matches!(refused, EnsureError::Refused { .. }));
    assert_eq!(
        refused.to_string(),
        "the directory would have errors with the additions: routes:2: error E-GW-SELF: next hop is one \
        of this \
         cluster's own addresses"
    );
}

/// Each version can be had back, with who made it, until there are too many.
#[tokio::test]
async fn versions_are_kept_and_texts_do_not_pile_up() {
    let nats = Broker::start();
    let store = nats.store().await;
    for base in 0..103 {
        accepted(&store, base, &change(DocumentName::OwnDomains, &format!("d{base}.jp"))).await;
    }
    let versions = store.versions().await.unwrap();
    let numbers: Vec<u64> = versions.iter().map(|manifest| manifest.version).collect();
    assert_eq!(numbers, (3..=103).rev().collect::<Vec<_>>(), "a hundred and the one in force");
    let made = &versions[1].made;
    assert_eq!((made.by.as_str(), made.comment.as_str()), ("ann", "for a test"));
    assert_eq!(made.changed, ["own-domains"]);
    let of = async |version| store.documents_of(version).await.unwrap();
    assert_eq!(&*of(3).await.unwrap().text(DocumentName::OwnDomains), "d2.jp");
    assert_eq!(&*of(103).await.unwrap().text(DocumentName::OwnDomains), "d102.jp");
    assert_eq!((of(2).await, of(104).await), (None, None));

    let keys = store.bucket.keys().await.unwrap();
    let mut texts = 0;
    for key in keys.iter().filter(|key| key.starts_with("doc.")) {
        texts += usize::from(!store.bucket.get(key).await.unwrap().unwrap().value.is_empty());
    }
    assert_eq!(texts, 101);
}
