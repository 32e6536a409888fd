//! A retry is a scheduled message: the broker keeps it, out of every lane, until its time.
//! First the schedule is acknowledged, then the original: a crash between the two repeats
//! an attempt and loses nothing.

use std::time::SystemTime;

use async_nats::{HeaderMap, header};
use hikyaku_types::envelope::{Envelope, Lane};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    Lease, Nats,
    metrics::operation,
    publish::{PublishError, Publisher},
    subject::{Place, Subject},
    topology::queue_stream,
};

/// Moves entries between a lane and the waiting room.
#[derive(Clone, Debug)]
pub struct Rescheduler {
    nats: Nats,
    publisher: Publisher,
}

impl Rescheduler {
    pub fn new(nats: Nats, publisher: Publisher) -> Self {
        Self { nats, publisher }
    }

    /// Writes `next` (the envelope as it should be at its next attempt) to come at `at`, then
    /// settles the lease. When the write fails the lease goes back, and the attempt is repeated.
    pub async fn retry_at(&self, lease: Lease, next: &Envelope, at: SystemTime) -> Result<(), PublishError> {
        // A repeat of the same retry is the same message; the next attempt's retry is another.
        let message_id = format!("{}r{}", next.entry, next.attempt);
        self.write(&lease, next, Lane::Due, at, &message_id).await?;
        lease.done().await;
        Ok(())
    }

    /// Sets an entry aside unattempted; it returns to its lane at `at`.
    pub async fn park(&self, lease: Lease, at: SystemTime) -> Result<(), PublishError> {
        let envelope = lease.envelope().clone();
        let millis = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
        let message_id = format!("{}p{millis}", envelope.entry);
        self.write(&lease, &envelope, lease.lane(), at, &message_id).await?;
        lease.done().await;
        Ok(())
    }

    /// Sends an entry to another destination, because its route has changed.
    pub async fn reroute(&self, lease: Lease, changed: &Envelope) -> Result<(), PublishError> {
        self.publisher.reroute(changed).await?;
        lease.done().await;
        Ok(())
    }

    /// Whether the retry of this entry was already written: then a redelivered original is
    /// only the trace of a crash between the two writes.
    pub async fn is_scheduled(&self, envelope: &Envelope) -> bool {
        let shard = self.publisher.shards().shard_of(&envelope.destination);
        let (destination, entry) = (envelope.destination.clone(), envelope.entry);
        let subject = Subject { shard, place: Place::Retry, destination, entry };
        let Ok(stream) = self.nats.jetstream.get_stream_no_info(queue_stream(shard)).await else {
            return false;
        };
        stream.direct_get_last_for_subject(subject.to_string()).await.is_ok()
    }

    async fn write(
        &self,
        lease: &Lease,
        next: &Envelope,
        lane: Lane,
        at: SystemTime,
        message_id: &str,
    ) -> Result<(), PublishError> {
        let shard = self.publisher.shards().shard_of(&next.destination);
        let (destination, entry) = (next.destination.clone(), next.entry);
        let target = Subject { shard, place: Place::Lane(lane), destination, entry };
        let mut headers = schedule_headers(at, &target.to_string());
        lease.origin().write(&mut headers);
        self.publisher.put(next, Place::Retry, message_id, headers, operation::SCHEDULE).await
    }
}

pub(crate) fn schedule_headers(at: SystemTime, target: &str) -> HeaderMap {
    // A year beyond 9999 cannot be written; it cannot be meant either.
    let at = OffsetDateTime::from(at).format(&Rfc3339).unwrap_or_else(|_| "1970-01-01T00:00:00Z".to_owned());
    let mut headers = HeaderMap::new();
    headers.insert(header::NATS_SCHEDULE, format!("@at {at}"));
    headers.insert(header::NATS_SCHEDULE_TARGET, target);
    headers
}
