//! The queue on a real nats-server.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a failed test")]

mod support;

use std::{
    collections::HashSet,
    ops::Range,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use hikyaku_queue::{
    Nats,
    body_store::{BodyStore, INLINE_LIMIT},
    browse::{Browser, Selector, Waits},
    depth::depth,
    holds::Hold,
    kv::{KvBucket, KvError},
    publish::{PublishError, Publisher},
    pull::LanePuller,
    reschedule::Rescheduler,
    tenure::Tenure,
    topology::{TopologyConfig, TopologyError, reconcile},
};
use hikyaku_testkit::{
    eventually::eventually,
    nats::{NatsServer, PASSWORD, USER},
    nats_cluster::NatsCluster,
};
use hikyaku_types::{
    body::Body,
    destination::Destination,
    envelope::{Envelope, Lane},
};
use support::{LIMIT, connect, connect_to, envelope, every, next, progress, queue, shards};

#[tokio::test]
async fn reconciling_again_changes_nothing_and_another_shard_count_is_refused() {
    let server = NatsServer::start().unwrap();
    let nats = queue(&server).await;
    let same = TopologyConfig { shards: shards(2), replicas: 1, mail_log: None };
    reconcile(&nats, &same).await.unwrap();
    let other = TopologyConfig { shards: shards(4), replicas: 1, mail_log: None };
    let error = reconcile(&nats, &other).await.unwrap_err();
    assert!(matches!(error, TopologyError::ShardCount { wanted: 4, .. }), "{error}");
}

#[tokio::test]
async fn nothing_is_accepted_without_syncing() {
    let server = NatsServer::start_with("sync_interval: \"1s\"").unwrap();
    let nats = connect(&server).await;
    reconcile(&nats, &TopologyConfig { shards: shards(2), replicas: 1, mail_log: None }).await.unwrap();
    let _ = nats.durability().first_verdict().await;
    let publisher = Publisher::new(nats, shards(2));
    let refused = publisher.accept(None, vec![envelope(1, "example.org", Bytes::from_static(b"x"))]).await;
    assert!(matches!(refused, Err(PublishError::NotDurable(_))), "{refused:?}");
}

#[tokio::test]
async fn a_retry_waits_in_no_lane_and_comes_at_its_time() {
    let server = NatsServer::start().unwrap();
    let nats = queue(&server).await;
    let publisher = Publisher::new(nats.clone(), shards(2));
    let rescheduler = Rescheduler::new(nats.clone(), publisher.clone());
    let browser = Browser::new(nats.clone(), shards(2));
    let accepted = envelope(1, "example.org", Bytes::from_static(b"content"));
    publisher.accept(None, vec![accepted.clone()]).await.unwrap();

    let lease = next(&nats, "example.org", Lane::Fresh).await;
    assert_eq!(*lease.envelope(), accepted);
    let later = Envelope { attempt: 1, ..accepted.clone() };
    let far = SystemTime::now() + Duration::from_secs(3_600);
    assert!(!rescheduler.is_scheduled(&lease).await.unwrap());
    rescheduler.retry_at(&lease, &later, far).await.unwrap();
    // A crash here would hand the original out again: the retry is found.
    assert!(rescheduler.is_scheduled(&lease).await.unwrap());
    assert!(lease.done().await);
    let listed = every(&browser, &Selector::Entry(accepted.entry)).await;
    assert!(
        matches!(listed[..], [ref one] if matches!(one.waits, Waits::Until(at) if at <= far)),
        "{listed:?}"
    );

    // Now instead of in an hour; and again within the broker's window for duplicates.
    for attempt in 1..4 {
        let progress = progress();
        browser.retry(&Selector::QueueId(accepted.entry.queue_id), &progress).await.unwrap();
        assert_eq!(progress.borrow().done, 1);
        let lease = next(&nats, "example.org", Lane::Due).await;
        assert_eq!(lease.envelope().attempt, attempt);
        let later = Envelope { attempt: attempt + 1, ..lease.envelope().clone() };
        rescheduler.retry_at(&lease, &later, far).await.unwrap();
        assert!(lease.done().await);
    }
    let progress = progress();
    browser.delete(&Selector::Destination(accepted.destination), &progress).await.unwrap();
    assert_eq!(progress.borrow().done, 1);
    assert!(every(&browser, &Selector::All).await.is_empty());
}

/// Acknowledgements that go astray can leave a consumer behind entries that were never settled.
#[tokio::test]
async fn what_a_consumer_overlooks_is_handed_out_all_the_same() {
    let server = NatsServer::start().unwrap();
    overlooked_entries_come(&queue(&server).await, server.url()).await;
}

#[tokio::test]
async fn what_a_consumer_of_three_brokers_overlooks_is_handed_out_too() {
    let cluster = NatsCluster::start().await.unwrap();
    overlooked_entries_come(&queue_of_three(&cluster).await, cluster.url()).await;
}

async fn overlooked_entries_come(nats: &Nats, url: String) {
    const ENOUGH: Duration = Duration::from_secs(60);
    let publisher = Publisher::new(nats.clone(), shards(2));
    for id in 1..4 {
        publisher.accept(None, vec![envelope(id, "example.org", Bytes::from_static(b"x"))]).await.unwrap();
    }
    let held = next(nats, "example.org", Lane::Fresh).await;
    let tenure = held.tenure().clone();
    held.give_back().await;
    let mut puller = LanePuller::new(nats.clone(), tenure.clone(), Lane::Fresh, Arc::new(SystemTime::now));
    // It believes that all that there is was settled long ago.
    let reset = format!("$JS.API.CONSUMER.RESET.HIKYAKU_QUEUE_{}.fresh", tenure.shard());
    let login = async_nats::ConnectOptions::with_user_and_password(USER.to_owned(), PASSWORD.to_owned());
    let client = login.connect(url.split(',').next().unwrap()).await.unwrap();
    let answer = client.request(reset, r#"{"seq":1000}"#.into()).await.unwrap();
    assert!(String::from_utf8_lossy(&answer.payload).contains("\"num_pending\":0"), "{answer:?}");
    let mut found = HashSet::new();
    while found.len() < 3 {
        let lease = tokio::time::timeout(ENOUGH, puller.next()).await.unwrap();
        assert!(found.insert(lease.envelope().entry), "twice");
        assert!(lease.done().await);
    }
}

async fn queue_of_three(cluster: &NatsCluster) -> Nats {
    let nats = connect_to(cluster.url()).await;
    let topology = TopologyConfig { shards: shards(2), replicas: 3, mail_log: None };
    eventually(LIMIT, async || reconcile(&nats, &topology).await.map_err(|error| error.to_string())).await;
    let durability = nats.durability();
    eventually(LIMIT, async || durability.check().map_err(|reason| reason.to_string())).await;
    nats
}

/// What a worker wrote while it was cut off may be stored when somebody else has ended the entry.
#[tokio::test]
async fn a_write_after_the_end_of_its_original_is_refused() {
    let server = NatsServer::start().unwrap();
    late_writes_are_refused(&queue(&server).await).await;
}

#[tokio::test]
async fn a_write_after_the_end_of_its_original_is_refused_by_three_brokers() {
    let cluster = NatsCluster::start().await.unwrap();
    late_writes_are_refused(&queue_of_three(&cluster).await).await;
}

async fn late_writes_are_refused(nats: &Nats) {
    let publisher = Publisher::new(nats.clone(), shards(2));
    let rescheduler = Rescheduler::new(nats.clone(), publisher.clone());
    let here = "example.org".parse().unwrap();
    let soon = SystemTime::now();
    let browser = Browser::new(nats.clone(), shards(2));
    for id in 1..5 {
        publisher.accept(None, vec![envelope(id, "example.org", Bytes::from_static(b"x"))]).await.unwrap();
        let late = next(nats, "example.org", Lane::Fresh).await;
        let again = Envelope { attempt: 1, ..late.envelope().clone() };
        // The next owner has it too; every other time it was set aside and brought back meanwhile.
        let mut lease = next(nats, "example.org", Lane::Fresh).await;
        if id % 2 == 0 {
            let aside = rescheduler.park(lease, soon + Duration::from_secs(3_600)).await.unwrap();
            assert!(rescheduler.recall(&here, aside).await.unwrap());
            lease = next(nats, "example.org", Lane::Fresh).await;
        }
        assert!(lease.done().await);
        // Brokers confirm a moment before the original is gone from all of them.
        let gone = async || every(&browser, &Selector::All).await.is_empty();
        eventually(LIMIT, async || gone().await.then_some(()).ok_or("still there".to_owned())).await;
        let written = match id {
            1 => rescheduler.retry_at(&late, &again, soon).await,
            2 => rescheduler.reroute(late, vec![(elsewhere(), again.recipients)]).await,
            3 => rescheduler.park(late, soon).await.map(|_| ()),
            _ => rescheduler.hold(late, &hold(), soon).await,
        };
        // Of two successors with the same name the second one is a repeat, or late as well.
        let is_refused = matches!(written, Err(PublishError::Superseded));
        assert!(is_refused || (id == 4 && written.is_ok()), "{id}: {written:?}");
        // A replica that lags may show the original once more; what was written would stay.
        eventually(LIMIT, async || {
            let left = every(&browser, &Selector::All).await;
            if left.is_empty() { Ok(()) } else { Err(format!("{id}: {left:?}")) }
        })
        .await;
    }
}

/// In the same shard as example.org.
fn elsewhere() -> Destination {
    let shard = shards(2).shard_of(&"example.org".parse().unwrap());
    let mut all = (1..255).map(|n| format!("[192.0.2.{n}]:25").parse().unwrap());
    all.find(|there| shards(2).shard_of(there) == shard).unwrap()
}

fn hold() -> Hold {
    let since = SystemTime::now();
    Hold { until: None, since, reason: "planned work".to_owned(), who: "ann".to_owned() }
}

/// It was stored while the original still stood, from a worker that had lost it.
#[tokio::test]
async fn the_end_of_an_entry_takes_a_retry_of_a_former_owner_along() {
    let server = NatsServer::start().unwrap();
    let nats = queue(&server).await;
    let publisher = Publisher::new(nats.clone(), shards(2));
    let rescheduler = Rescheduler::new(nats.clone(), publisher.clone());
    publisher.accept(None, vec![envelope(1, "example.org", Bytes::from_static(b"x"))]).await.unwrap();
    let late = next(&nats, "example.org", Lane::Fresh).await;
    let lease = next(&nats, "example.org", Lane::Fresh).await;
    let far = SystemTime::now() + Duration::from_secs(3_600);
    rescheduler.retry_at(&late, late.envelope(), far).await.unwrap();
    assert!(rescheduler.end(lease).await);
    assert!(every(&Browser::new(nats.clone(), shards(2)), &Selector::All).await.is_empty());
}

/// A retry that has fired while its original was not acknowledged: the original has no need of another
/// attempt.
#[tokio::test]
async fn an_original_goes_when_its_successor_is_there() {
    let server = NatsServer::start().unwrap();
    let nats = queue(&server).await;
    let publisher = Publisher::new(nats.clone(), shards(2));
    let rescheduler = Rescheduler::new(nats.clone(), publisher.clone());
    let accepted = Envelope { lane: Lane::Due, ..envelope(1, "example.org", Bytes::from_static(b"x")) };
    publisher.accept(None, vec![accepted.clone()]).await.unwrap();
    let original = next(&nats, "example.org", Lane::Due).await;
    let again = Envelope { attempt: 1, ..accepted };
    rescheduler.retry_at(&original, &again, SystemTime::now()).await.unwrap();
    let depth = async || depth(&nats, shards(2).shard_of(&again.destination)).await.unwrap();
    eventually(LIMIT, async || (depth().await.scheduled == 0).then_some(()).ok_or("not fired".to_owned()))
        .await;
    rescheduler.leave(original).await;
    let successor = next(&nats, "example.org", Lane::Due).await;
    assert_eq!(successor.envelope().attempt, 1);
    assert!(successor.done().await);
    assert!(every(&Browser::new(nats.clone(), shards(2)), &Selector::All).await.is_empty());
}

/// There and back and there again within the window for duplicates: nothing is taken for a repeat.
#[tokio::test]
async fn a_route_that_flips_loses_nothing() {
    let server = NatsServer::start().unwrap();
    let nats = queue(&server).await;
    let publisher = Publisher::new(nats.clone(), shards(2));
    let rescheduler = Rescheduler::new(nats.clone(), publisher.clone());
    publisher.accept(None, vec![envelope(1, "[192.0.2.1]:25", Bytes::from_static(b"x"))]).await.unwrap();
    let mut here = "[192.0.2.1]:25";
    for there in ["[192.0.2.2]:25", "[192.0.2.1]:25", "[192.0.2.2]:25", "[192.0.2.1]:25"] {
        let lease = next(&nats, here, Lane::Fresh).await;
        let recipients = lease.envelope().recipients.clone();
        rescheduler.reroute(lease, vec![(there.parse().unwrap(), recipients)]).await.unwrap();
        here = there;
    }
    next(&nats, here, Lane::Fresh).await.done().await;
}

#[tokio::test]
async fn a_lease_that_is_dropped_comes_again() {
    let server = NatsServer::start().unwrap();
    let nats = queue(&server).await;
    let publisher = Publisher::new(nats.clone(), shards(2));
    publisher.accept(None, vec![envelope(1, "example.org", Bytes::from_static(b"x"))]).await.unwrap();
    drop(next(&nats, "example.org", Lane::Fresh).await);
    let again = next(&nats, "example.org", Lane::Fresh).await;
    assert!(again.is_redelivery());
    again.done().await;
    let left = every(&Browser::new(nats, shards(2)), &Selector::All).await;
    assert!(left.is_empty(), "{left:?}");
}

/// As when a broker goes with what it was about to send: the consumer believes that the owner has it.
#[tokio::test]
async fn what_was_lost_on_its_way_comes_again_soon() {
    let server = NatsServer::start().unwrap();
    let nats = queue(&server).await;
    let publisher = Publisher::new(nats.clone(), shards(2));
    let destination: Destination = "example.org".parse().unwrap();
    let shard = shards(2).shard_of(&destination);
    let tenure = Tenure::begin(&nats, shard).await.unwrap();
    let mut puller = LanePuller::new(nats.clone(), tenure, Lane::Fresh, Arc::new(SystemTime::now));
    let entries: Vec<_> =
        (0..4).map(|n| envelope(n, "example.org", Bytes::from_static(b"content"))).collect();
    let accept = async |which: Range<usize>| publisher.accept(None, entries[which].to_vec()).await.unwrap();
    let next = async |puller: &mut LanePuller| tokio::time::timeout(LIMIT, puller.next()).await.unwrap();

    accept(0..1).await;
    let stolen = format!("$JS.API.CONSUMER.MSG.NEXT.HIKYAKU_QUEUE_{shard}.fresh");
    let _ = server.ask(&stolen, "{\"batch\":1}"); // an envelope is no text
    accept(1..3).await;
    let (held, ended) = (next(&mut puller).await, next(&mut puller).await);
    assert_eq!((held.envelope(), ended.envelope()), (&entries[1], &entries[2]));
    assert!(ended.done().await);

    // What has its end, or is held, does not come again.
    let lost = next(&mut puller).await;
    assert!(lost.envelope() == &entries[0] && lost.is_redelivery(), "{lost:?}");
    accept(3..4).await;
    let newer = next(&mut puller).await;
    assert_eq!(newer.envelope(), &entries[3]);
    for lease in [held, lost, newer] {
        assert!(lease.done().await);
    }
    eventually(LIMIT, async || match depth(&nats, shard).await.unwrap().lanes[0].entries {
        0 => Ok(()),
        left => Err(format!("{left} are left")),
    })
    .await;
}

#[tokio::test]
async fn large_content_is_stored_in_chunks_and_freed() {
    let server = NatsServer::start().unwrap();
    let nats = queue(&server).await;
    let publisher = Publisher::new(nats.clone(), shards(2));
    let bodies = BodyStore::new(nats.clone());
    for (id, size) in [(1, INLINE_LIMIT), (2, INLINE_LIMIT + 1), (3, 3 * 1024 * 1024 + 7)] {
        let content: Bytes = (0..size).map(|n| u8::try_from(n % 251).unwrap()).collect();
        publisher.accept(None, vec![envelope(id, "example.org", content.clone())]).await.unwrap();
        let lease = next(&nats, "example.org", Lane::Fresh).await;
        let body = lease.envelope().body.clone();
        assert_eq!(matches!(body, Body::Inline(_)), size <= INLINE_LIMIT);
        assert_eq!(bodies.load(&body).await.unwrap().concat(), content);
        assert_eq!(bodies.load_start(&body, 1_000).await.unwrap(), content[..1_000]);
        lease.done().await;
        bodies.free(&body).await;
        assert_eq!(bodies.load(&body).await.is_err(), size > INLINE_LIMIT);
    }
}

#[tokio::test]
async fn a_key_is_written_only_over_what_was_read() {
    let server = NatsServer::start().unwrap();
    let nats = connect(&server).await;
    let bucket = KvBucket::open(&nats, "test", 1).await.unwrap();
    let revision = bucket.update("key", Bytes::from_static(b"1"), 0).await.unwrap();
    let taken = bucket.update("key", Bytes::from_static(b"2"), 0).await;
    assert!(matches!(taken, Err(KvError::Conflict)), "{taken:?}");
    bucket.update("key", Bytes::from_static(b"2"), revision).await.unwrap();
    let stale = bucket.update("key", Bytes::from_static(b"3"), revision).await;
    assert!(matches!(stale, Err(KvError::Conflict)), "{stale:?}");
    assert_eq!(bucket.get("key").await.unwrap().unwrap().value, "2");
}
