//! Content that is kept apart from its entry, on a real nats-server.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a failed test")]

mod support;

use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use hikyaku_queue::{
    Lease, Nats, Owner,
    body_store::{BodyStore, DEFERRED_INLINE_LIMIT, INLINE_LIMIT},
    check::{Checker, Findings},
    orphans::Collector,
    publish::Publisher,
    reschedule::Rescheduler,
};
use hikyaku_testkit::nats::NatsServer;
use hikyaku_types::{
    body::Body,
    envelope::{Envelope, Lane, Recipient},
};

use support::{envelope, next, queue, shards};

fn content(size: usize) -> Bytes {
    (0..size).map(|n| u8::try_from(n % 251).unwrap()).collect()
}

struct Queue {
    nats: Nats,
    publisher: Publisher,
    rescheduler: Rescheduler,
    bodies: BodyStore,
}

impl Queue {
    async fn new(server: &NatsServer) -> Self {
        let nats = queue(server).await;
        let publisher = Publisher::new(nats.clone(), shards(2));
        let rescheduler = Rescheduler::new(nats.clone(), publisher.clone());
        Self { bodies: BodyStore::new(nats.clone()), nats, publisher, rescheduler }
    }

    async fn accept(&self, id: u128, size: usize) -> Envelope {
        let envelope = envelope(id, "example.org", content(size));
        self.publisher.accept(None, vec![envelope.clone()]).await.unwrap();
        envelope
    }

    /// Writes the retry, due now, and leaves the original where it is.
    async fn write_retry(&self, lease: &Lease) {
        let next = Envelope { attempt: lease.envelope().attempt + 1, ..lease.envelope().clone() };
        self.rescheduler.retry_at(lease, &next, SystemTime::now()).await.unwrap();
    }

    async fn end(&self, lease: Lease) {
        let body = lease.envelope().body.clone();
        assert!(lease.done().await);
        self.bodies.free(&body).await;
    }

    async fn check(&self) -> Findings {
        Checker::new(self.nats.clone(), shards(2)).check(SystemTime::now()).await.unwrap()
    }

    /// What the owners of both shards collect when nothing is given time.
    async fn collect(&self) -> u64 {
        let mut collected = 0;
        for shard in shards(2).shards() {
            let mut collector = Collector::new(self.nats.clone(), shards(2), shard, Duration::ZERO);
            collected += collector.round(Instant::now()).await.unwrap();
        }
        collected
    }
}

#[tokio::test]
async fn content_leaves_the_envelope_at_the_first_deferral() {
    let server = NatsServer::start().unwrap();
    let queue = Queue::new(&server).await;
    for (id, size) in [(1, DEFERRED_INLINE_LIMIT), (2, DEFERRED_INLINE_LIMIT + 1), (3, INLINE_LIMIT)] {
        queue.accept(id, size).await;
        let lease = next(&queue.nats, "example.org", Lane::Fresh).await;
        assert!(matches!(lease.envelope().body, Body::Inline(_)));
        queue.write_retry(&lease).await;
        lease.done().await;
        for _ in 0..2 {
            let lease = next(&queue.nats, "example.org", Lane::Due).await;
            let body = &lease.envelope().body;
            assert_eq!(matches!(body, Body::Stored(_)), size > DEFERRED_INLINE_LIMIT);
            assert_eq!(queue.bodies.load(body).await.unwrap().concat(), content(size));
            assert_eq!(queue.check().await.missing.count, 0);
            queue.write_retry(&lease).await;
            lease.done().await;
        }
        queue.end(next(&queue.nats, "example.org", Lane::Due).await).await;
        let found = queue.check().await;
        assert_eq!((found.entries, found.stored, found.orphans.count), (0, 0, 0), "{found:?}");
    }
}

/// The process dies after the content was written, and the attempt is repeated.
#[tokio::test]
async fn a_crash_at_the_first_deferral_loses_nothing_and_leaves_nothing() {
    let server = NatsServer::start().unwrap();
    let queue = Queue::new(&server).await;
    queue.accept(1, INLINE_LIMIT).await;
    let lease = next(&queue.nats, "example.org", Lane::Fresh).await;
    queue.write_retry(&lease).await;
    queue.write_retry(&lease).await;
    lease.done().await;
    let lease = next(&queue.nats, "example.org", Lane::Due).await;
    assert_eq!(queue.bodies.load(&lease.envelope().body).await.unwrap().concat(), content(INLINE_LIMIT));
    assert_eq!(queue.collect().await, 0, "its entry lives");
    queue.end(lease).await;
    assert_eq!(queue.check().await.orphans.count, 1);
    assert_eq!(queue.collect().await, 1);
    assert_eq!(queue.check().await.orphans.count, 0);
}

/// One recipient becomes a dead letter and the other goes on and is delivered.
#[tokio::test]
async fn a_dead_letter_keeps_its_content() {
    let server = NatsServer::start().unwrap();
    let queue = Queue::new(&server).await;
    let mut both = envelope(1, "example.org", content(700 * 1024));
    both.recipients.push(Recipient::new("c@example.org".parse().unwrap(), None));
    queue.publisher.accept(None, vec![both]).await.unwrap();
    let lease = next(&queue.nats, "example.org", Lane::Fresh).await;
    let mut dead = lease.envelope().clone();
    dead.recipients.truncate(1);
    queue.publisher.bury(&dead).await.unwrap();
    let found = queue.check().await;
    assert_eq!((found.entries, found.dead_letters, found.stored), (1, 1, 2), "{found:?}");
    queue.end(lease).await;
    assert_eq!(queue.collect().await, 0);
    let found = queue.check().await;
    assert_eq!((found.stored, found.stored_bytes, found.missing.count), (1, 700 * 1024, 0), "{found:?}");
    assert_eq!(found.orphans.count, 0, "{found:?}");

    // It goes with the dead letter.
    server.ask("$JS.API.STREAM.PURGE.HIKYAKU_DEAD", "").unwrap();
    assert_eq!(queue.collect().await, 1);
    assert_eq!(queue.check().await.orphans.count, 0);
}

#[tokio::test]
async fn content_without_an_owner_is_collected_and_no_other() {
    let server = NatsServer::start().unwrap();
    let queue = Queue::new(&server).await;
    // Its end was recorded, and then the process died.
    queue.accept(1, INLINE_LIMIT + 1).await;
    next(&queue.nats, "example.org", Lane::Fresh).await.done().await;
    // These wait: ready, scheduled, and in another shard than their content.
    queue.accept(2, INLINE_LIMIT + 1).await;
    let lease = next(&queue.nats, "example.org", Lane::Fresh).await;
    queue.rescheduler.park(lease, SystemTime::now() + Duration::from_secs(3_600)).await.unwrap();
    let here = shards(2).shard_of(&"example.org".parse().unwrap());
    let elsewhere = (1..).map(|n| format!("[192.0.2.{n}]:25").parse().unwrap());
    let elsewhere = elsewhere.into_iter().find(|place| shards(2).shard_of(place) != here).unwrap();
    let moved = queue.accept(3, INLINE_LIMIT + 1).await;
    let lease = next(&queue.nats, "example.org", Lane::Fresh).await;
    queue.rescheduler.reroute(lease, vec![(elsewhere, moved.recipients.clone())]).await.unwrap();
    queue.accept(4, INLINE_LIMIT + 1).await;

    let found = queue.check().await;
    assert_eq!((found.stored, found.missing.count, found.orphans.count), (3, 0, 1), "{found:?}");
    // What is young may wait for its entry.
    let mut patient = Collector::new(queue.nats.clone(), shards(2), here, Duration::from_secs(60));
    assert_eq!(patient.round(Instant::now()).await.unwrap(), 0);
    assert_eq!(patient.round(Instant::now() + Duration::from_secs(61)).await.unwrap(), 1);
    let found = queue.check().await;
    assert_eq!((found.stored, found.missing.count, found.orphans.count), (3, 0, 0), "{found:?}");
}

#[tokio::test]
async fn missing_content_and_what_cannot_be_read_are_named() {
    let server = NatsServer::start().unwrap();
    let queue = Queue::new(&server).await;
    let whole = queue.accept(1, 1024 * 1024).await;
    let broken = queue.accept(2, 1024 * 1024).await;
    for shard in shards(2).shards() {
        let filter = format!("{{\"filter\":\"hikyaku.body.v1.{shard}.{}\",\"keep\":1}}", broken.entry);
        server.ask(&format!("$JS.API.STREAM.PURGE.HIKYAKU_BODY_{shard}"), &filter).unwrap();
    }
    server.ask("hikyaku.v1.1.fresh.example_org.stranger", "not an entry").unwrap();
    let found = queue.check().await;
    assert_eq!((found.entries, found.stored, found.missing.count), (2, 2, 1), "{found:?}");
    assert_eq!(found.missing.first, [Owner::Entry(broken.entry)]);
    assert_ne!(found.missing.first, [Owner::Entry(whole.entry)]);
    assert_eq!(found.undecodable.count, 1);
    assert_eq!(found.undecodable.first[0].subject, "hikyaku.v1.1.fresh.example_org.stranger");
}
