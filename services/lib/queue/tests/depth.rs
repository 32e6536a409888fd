//! What the gauges of a shard show, on a real nats-server.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a failed test")]

mod support;

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use hikyaku_queue::{
    depth::{Depth, LaneDepth, depth},
    publish::Publisher,
    reschedule::Rescheduler,
};
use hikyaku_testkit::nats::NatsServer;
use hikyaku_types::envelope::{Envelope, Lane};

use support::{envelope, next, queue, shards};

#[tokio::test]
async fn ready_held_and_scheduled_entries_are_counted() {
    let server = NatsServer::start().unwrap();
    let nats = queue(&server).await;
    let publisher = Publisher::new(nats.clone(), shards(2));
    let rescheduler = Rescheduler::new(nats.clone(), publisher.clone());
    let shard = shards(2).shard_of(&"example.org".parse().unwrap());
    assert_eq!(depth(&nats, shard).await.unwrap(), Depth::default());

    let before = SystemTime::now();
    for id in 1..=4 {
        publisher.accept(None, vec![envelope(id, "example.org", Bytes::from_static(b"x"))]).await.unwrap();
    }
    let finished = next(&nats, "example.org", Lane::Fresh).await;
    finished.done().await;
    let deferred = next(&nats, "example.org", Lane::Fresh).await;
    let later = Envelope { attempt: 1, ..deferred.envelope().clone() };
    let far = SystemTime::now() + Duration::from_secs(3_600);
    rescheduler.retry_at(&deferred, &later, far).await.unwrap();
    deferred.done().await;
    let held = next(&nats, "example.org", Lane::Fresh).await;

    let found = depth(&nats, shard).await.unwrap();
    assert_eq!((found.lanes[0].entries, found.scheduled), (2, 1), "{found:?}");
    assert_eq!(found.lanes[1..], [LaneDepth::default(); 2]);
    let oldest = found.lanes[0].oldest.unwrap();
    assert!(before - Duration::from_secs(1) < oldest && oldest <= SystemTime::now(), "{oldest:?}");
    held.done().await;
}
