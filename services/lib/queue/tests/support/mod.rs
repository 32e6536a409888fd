//! A queue on a broker of its own.

#![allow(dead_code, reason = "each test program uses some of it")]

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use hikyaku_queue::{
    Lease, Nats, NatsConfig,
    browse::{Browser, Filter, Found, Progress, Selector},
    connect::Login,
    pull::LanePuller,
    tenure::Tenure,
    topology::{TopologyConfig, reconcile},
};
use hikyaku_testkit::{
    eventually::eventually,
    nats::{NatsServer, PASSWORD, SYSTEM_USER, USER},
};
use hikyaku_types::{
    body::Body,
    destination::Destination,
    envelope::{Envelope, Lane, Recipient, Transfer},
    ids::QueueId,
    shard::ShardCount,
};

pub(crate) const LIMIT: Duration = Duration::from_secs(20);

pub(crate) fn shards(count: u16) -> ShardCount {
    ShardCount::new(count).unwrap()
}

pub(crate) async fn connect(server: &NatsServer) -> Nats {
    connect_to(server.url()).await
}

pub(crate) async fn connect_to(url: String) -> Nats {
    let login = |user: &str| Some(Login { user: user.to_owned(), password: PASSWORD.to_owned().into() });
    let config = NatsConfig {
        url,
        login: login(USER),
        system_login: login(SYSTEM_USER),
        tls: None,
        client_name: "test".to_owned(),
    };
    eventually(LIMIT, async || Nats::connect(&config).await.map_err(|error| error.to_string())).await
}

pub(crate) async fn queue(server: &NatsServer) -> Nats {
    let nats = connect(server).await;
    reconcile(&nats, &TopologyConfig { shards: shards(2), replicas: 1, mail_log: None }).await.unwrap();
    nats.durability().first_verdict().await.unwrap();
    nats
}

pub(crate) fn envelope(id: u128, destination: &str, content: Bytes) -> Envelope {
    let recipient = Recipient::new("b@example.org".parse().unwrap(), None);
    Envelope {
        entry: QueueId::new(1, id).entry(0),
        destination: destination.parse().unwrap(),
        reverse_path: "a@example.net".parse().unwrap(),
        recipients: vec![recipient],
        body: Body::Inline(content),
        transfer: Transfer::default(),
        accepted_at: SystemTime::now() - Duration::from_secs(60),
        attempt: 0,
        first_attempt_at: None,
        delay_reported: false,
        client: None,
        lane: Lane::Fresh,
    }
}

pub(crate) async fn next(nats: &Nats, destination: &str, lane: Lane) -> Lease {
    let destination: Destination = destination.parse().unwrap();
    let shard = shards(2).shard_of(&destination);
    let tenure = Tenure::begin(nats, shard).await.unwrap();
    let mut puller = LanePuller::new(nats.clone(), tenure, lane, Arc::new(SystemTime::now));
    tokio::time::timeout(LIMIT, puller.next()).await.unwrap()
}

pub(crate) fn progress() -> Progress {
    Progress::default()
}

/// Everything that is selected, in one page.
pub(crate) async fn every(browser: &Browser, selector: &Selector) -> Vec<Found> {
    browser.list(selector, &Filter::default(), 1_000_000, None).await.unwrap().entries
}
