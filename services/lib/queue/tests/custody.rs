//! Custody on a real nats-server: what an audit finds.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a failed test")]

mod support;

use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use hikyaku_queue::{
    Nats,
    browse::{Browser, Selector},
    custody::{
        End, Event,
        audit::{Audit, Auditor, Tally, Window},
    },
    publish::Publisher,
    reschedule::Rescheduler,
};
use hikyaku_testkit::nats::NatsServer;
use hikyaku_types::envelope::{Envelope, Lane};

use support::{envelope, next, progress, queue, shards};

const CONTENT: Bytes = Bytes::from_static(b"content");

/// Everything up to now.
async fn audit(nats: &Nats) -> Audit {
    let window = Window { since: SystemTime::UNIX_EPOCH, until: SystemTime::now() };
    Auditor::new(nats.clone(), shards(2)).audit(window, 10).await.unwrap()
}

async fn end(nats: &Nats, envelope: &Envelope, end: End) {
    let address = &envelope.recipients[0].address;
    nats.custody().record(&[Event::ended(envelope, address, end, SystemTime::now())]).await;
}

#[tokio::test]
async fn every_life_has_one_end() {
    let server = NatsServer::start().unwrap();
    let nats = queue(&server).await;
    let publisher = Publisher::new(nats.clone(), shards(2));
    let rescheduler = Rescheduler::new(nats.clone(), publisher.clone());
    let [delivered, waiting, deleted, moved] =
        [(1, "one.example"), (2, "two.example"), (3, "three.example"), (4, "[192.0.2.4]:25")]
            .map(|(id, destination)| envelope(id, destination, CONTENT));
    for one in [&delivered, &waiting, &deleted, &moved] {
        publisher.accept(None, vec![one.clone()]).await.unwrap();
    }
    publisher.store(vec![envelope(5, "five.example", CONTENT)]).await.unwrap();
    let tally = audit(&nats).await.tally;
    assert_eq!(tally, Tally { accepted: 5, queued: 5, ..Tally::default() });

    let lease = next(&nats, "one.example", Lane::Fresh).await;
    end(&nats, &delivered, End::Delivered).await;
    lease.done().await;
    let lease = next(&nats, "two.example", Lane::Fresh).await;
    let later = Envelope { attempt: 1, ..waiting };
    rescheduler.retry_at(&lease, &later, SystemTime::now() + Duration::from_secs(3_600)).await.unwrap();
    lease.done().await;
    let browser = Browser::new(nats.clone(), shards(2));
    let progress = progress();
    browser.delete(&Selector::Entry(deleted.entry), &progress).await.unwrap();
    assert_eq!(progress.borrow().done, 1);
    let lease = next(&nats, "[192.0.2.4]:25", Lane::Fresh).await;
    rescheduler.reroute(lease, vec![("[192.0.2.5]:25".parse().unwrap(), moved.recipients)]).await.unwrap();

    let found = audit(&nats).await;
    let expected = Tally { accepted: 5, ended: [1, 0, 0, 1, 0], queued: 3, ..Tally::default() };
    assert_eq!((found.tally, found.missing), (expected, Vec::new()));
}

/// Parts of an entry are entries of their own; their recipients are the same as before.
#[tokio::test]
async fn recipients_that_part_keep_their_identity() {
    let server = NatsServer::start().unwrap();
    let nats = queue(&server).await;
    let publisher = Publisher::new(nats.clone(), shards(2));
    let rescheduler = Rescheduler::new(nats.clone(), publisher.clone());
    let mut both = envelope(1, "[192.0.2.1]:25", CONTENT);
    let other = hikyaku_types::envelope::Recipient::new("c@example.net".parse().unwrap(), None);
    both.recipients.push(other.clone());
    publisher.accept(None, vec![both.clone()]).await.unwrap();
    let lease = next(&nats, "[192.0.2.1]:25", Lane::Fresh).await;
    let parts = vec![
        ("[192.0.2.1]:25".parse().unwrap(), vec![both.recipients[0].clone()]),
        ("[192.0.2.2]:25".parse().unwrap(), vec![other]),
    ];
    rescheduler.reroute(lease, parts).await.unwrap();
    let tally = audit(&nats).await.tally;
    assert_eq!(tally, Tally { accepted: 2, queued: 2, ..Tally::default() });
}

/// Behind the relay's back.
#[tokio::test]
async fn a_message_that_vanished_is_named() {
    let server = NatsServer::start().unwrap();
    let nats = queue(&server).await;
    let publisher = Publisher::new(nats.clone(), shards(2));
    for id in 1..=3 {
        publisher.accept(None, vec![envelope(id, "example.org", CONTENT)]).await.unwrap();
    }
    let gone = next(&nats, "example.org", Lane::Fresh).await;
    let entry = gone.envelope().entry;
    gone.done().await;
    let found = audit(&nats).await;
    assert_eq!(found.tally, Tally { accepted: 3, queued: 2, missing: 1, ..Tally::default() });
    let [missing] = &found.missing[..] else { panic!("{found:?}") };
    assert_eq!((missing.entry, missing.recipient.as_str()), (entry, "b@example.org"));
}

#[tokio::test]
async fn what_the_broker_refused_was_promised_to_nobody() {
    let server = NatsServer::start().unwrap();
    let nats = queue(&server).await;
    let publisher = Publisher::new(nats.clone(), shards(2));
    // No message of the broker is so large.
    let mut unstorable = envelope(1, "example.org", CONTENT);
    let many = (0..40_000).map(|n| format!("r{n}@{}.example", "x".repeat(60)));
    unstorable.recipients =
        many.map(|address| hikyaku_types::envelope::Recipient::new(address.parse().unwrap(), None)).collect();
    assert!(publisher.accept(None, vec![unstorable.clone()]).await.is_err());
    let tally = audit(&nats).await.tally;
    assert_eq!(tally, Tally { unpromised: 40_000, ..Tally::default() });
}

/// Mail is never stopped by its custody, nor does each message wait for it.
#[tokio::test]
async fn a_custody_stream_that_is_gone_delays_only_the_first() {
    let mut server = NatsServer::start().unwrap();
    let nats = queue(&server).await;
    let sample = envelope(1, "example.org", CONTENT);
    end(&nats, &sample, End::Delivered).await;
    server.kill().unwrap();
    // Were each of them to wait as the first one does, this would take ten times as long.
    let without_custody = async {
        for _ in 0..101 {
            end(&nats, &sample, End::Delivered).await;
        }
    };
    tokio::time::timeout(support::LIMIT, without_custody).await.unwrap();

    // And nothing is lost when it is back.
    server.restart().unwrap();
    hikyaku_testkit::eventually::eventually(support::LIMIT, async || {
        let event = Event::Ended {
            entry: sample.entry,
            recipient: "other@example.org".to_owned(),
            end: End::Failed,
            at: SystemTime::now(),
            attempt: 1,
        };
        let start = Instant::now();
        nats.custody().record(&[event]).await;
        let waited = start.elapsed();
        if waited > Duration::from_micros(200) { Ok(()) } else { Err(format!("{waited:?}")) }
    })
    .await;
    let publisher = Publisher::new(nats.clone(), shards(2));
    publisher.store(vec![sample]).await.unwrap();
    let tally = audit(&nats).await.tally;
    assert_eq!((tally.accepted, tally.of(End::Delivered), tally.duplicates), (1, 1, 1), "{tally:?}");
}
