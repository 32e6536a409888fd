//! A retry is a scheduled message: the broker keeps it, out of every lane, until its time.
//! First the schedule is acknowledged, then the original: a crash between the two repeats
//! an attempt and loses nothing.
//!
//! A write may reach the broker long after it was made, from a worker that was cut off and has lost
//! the entry meanwhile. So it counts only while the original stands where it was taken from.

use std::time::{Duration, SystemTime};

use async_nats::{
    HeaderMap, header,
    jetstream::{context::PublishErrorKind, stream::DirectGetErrorKind},
};
use hikyaku_types::{
    body::Body,
    destination::Destination,
    envelope::{Envelope, Lane, Recipient},
    ids::EntryId,
    shard::fnv1a,
};

use crate::{
    Lease, Nats,
    body_store::{BodyStore, DEFERRED_INLINE_LIMIT},
    custody::Event,
    forward::{forwarded, only_behind},
    holds::{self, HeldBy, HeldMark, Hold},
    metrics::operation,
    publish::{PublishError, Publisher},
    stamp,
    stream::{self, Message},
    subject::{Place, Subject},
    topology::queue_stream,
};

/// A worker that hears late of a release may set an entry aside behind it: it comes back after this
/// time, and is set aside again if its destination is held still.
const HOLD_STEP: Duration = Duration::from_secs(3_600);

#[derive(Debug, thiserror::Error)]
#[error("failed to look for a retry in the queue")]
pub struct ReadError(#[source] async_nats::Error);

#[derive(Debug, thiserror::Error)]
#[error("failed to bring an entry back that was set aside")]
pub struct RecallError(#[from] async_nats::Error);

/// An entry that was set aside, with the sequence of its schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aside {
    entry: EntryId,
    sequence: u64,
}

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

    /// Writes `next` (the envelope as it should be at its next attempt) to come at `at`. The
    /// lease is to be settled when that has succeeded, and to be left when the entry has been
    /// [superseded](PublishError::Superseded).
    ///
    /// Content that the broker would write and read again with every retry is kept apart from now
    /// on. A crash behind that repeats the attempt with the content that the original has, and the
    /// copy goes with the entry's end.
    pub async fn retry_at(&self, lease: &Lease, next: &Envelope, at: SystemTime) -> Result<(), PublishError> {
        match &next.body {
            Body::Inline(content) if content.len() > DEFERRED_INLINE_LIMIT => {
                let body = self.publisher.kept_body(next, content.clone()).await?;
                let next = Envelope { body, ..next.clone() };
                self.schedule(lease, &next, Lane::Due, at, HeaderMap::new()).await?;
            }
            Body::Inline(_) | Body::Stored(_) => {
                self.schedule(lease, next, Lane::Due, at, HeaderMap::new()).await?;
            }
        }
        Ok(())
    }

    /// Sets an entry aside unattempted; it returns to its lane at `at`, or when it is recalled.
    pub async fn park(&self, lease: Lease, at: SystemTime) -> Result<Aside, PublishError> {
        let entry = lease.envelope().entry;
        let written = self.schedule(&lease, lease.envelope(), lease.lane(), at, HeaderMap::new()).await;
        let sequence = self.settle(lease, written).await?;
        Ok(Aside { entry, sequence })
    }

    /// Settles a lease whose entry has its end, and says whether the stream has recorded that. A
    /// former owner may have written a retry while the original still stood; it goes too. Behind the
    /// original no other can come.
    pub async fn end(&self, lease: Lease) -> bool {
        let (place, is_redelivery) = (lease.place(), lease.is_redelivery());
        let retry = Subject { place: Place::Retry, ..lease.subject() };
        if !lease.done().await {
            return false;
        }
        if is_redelivery && let Err(error) = self.remove_retry(&retry, place.sequence).await {
            tracing::warn!(entry = %retry.entry, %error, "entry has its end and may come again");
        }
        true
    }

    async fn remove_retry(&self, retry: &Subject, behind: u64) -> Result<(), async_nats::Error> {
        let stream = queue_stream(retry.shard);
        let last = stream::last(&self.nats, &stream, &retry.to_string()).await?;
        if let Some(last) = last.filter(|last| last.sequence > behind) {
            stream::delete(&self.nats, &stream, last.sequence).await?;
        }
        Ok(())
    }

    /// Ends a lease whose entry was [superseded](PublishError::Superseded). An original that stands
    /// beside its successor has no need of another attempt; what is gone needs nothing.
    pub async fn leave(&self, lease: Lease) {
        let (subject, place) = (lease.subject().to_string(), lease.place());
        match stream::last(&self.nats, &queue_stream(place.shard), &subject).await {
            Ok(Some(last)) if last.sequence > place.sequence => {
                lease.done().await;
            }
            // Without certainty it comes again, if it is there.
            Ok(_) | Err(_) => lease.forget(),
        }
    }

    /// Settles a lease as the write went that takes its place.
    async fn settle<T>(&self, lease: Lease, written: Result<T, PublishError>) -> Result<T, PublishError> {
        match &written {
            Ok(_) => {
                lease.done().await;
            }
            Err(PublishError::Superseded) => self.leave(lease).await,
            Err(_) => drop(lease), // it goes back
        }
        written
    }

    /// Brings an entry of this destination back into its lane. False: it came by itself, or somebody
    /// has done something else with it.
    pub async fn recall(&self, destination: &Destination, aside: Aside) -> Result<bool, RecallError> {
        let shard = self.publisher.shards().shard_of(destination);
        let (destination, entry) = (destination.clone(), aside.entry);
        let subject = Subject { shard, place: Place::Retry, destination, entry };
        let (name, subject) = (queue_stream(shard), subject.to_string());
        let is_there = |message: &Message| message.sequence >= aside.sequence;
        let found = match stream::last(&self.nats, &name, &subject).await?.filter(is_there) {
            Some(message) => Some(message),
            // A replica that lags does not have it yet. The leader knows.
            None => stream::last_of_leader(&self.nats, &name, &subject).await?,
        };
        let Some(message) = found.filter(|message| message.sequence == aside.sequence) else {
            return Ok(false);
        };
        let (target, headers) = forwarded(&message, SystemTime::now())?;
        let sent = self.nats.jetstream.publish_with_headers(target, headers, message.payload).await;
        match sent.map_err(async_nats::Error::from)?.await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => Ok(false),
            Err(error) => Err(async_nats::Error::from(error).into()),
        }
    }

    /// Sets an entry of a held destination aside until the hold ends or is released, in steps of an
    /// hour. Its give-up clocks stand still for that time. `now` is the broker's time: by a clock that
    /// is behind, the step would be over at once.
    pub async fn hold(&self, lease: Lease, hold: &Hold, now: SystemTime) -> Result<(), PublishError> {
        let accepted_at = lease.envelope().accepted_at;
        let ended = lease.origin().held_until().unwrap_or(accepted_at);
        let since = hold.since.max(accepted_at).max(ended);
        let mark = HeldMark { until: hold.until, since, by: HeldBy::Destination };
        let mut headers = HeaderMap::new();
        holds::put(&mut headers, mark);
        let at = hold.ends_at().min(now + HOLD_STEP);
        let written = self.schedule(&lease, lease.envelope(), lease.lane(), at, headers).await;
        self.settle(lease, written).await.map(|_| ())
    }

    /// Puts `parts` in the place of an entry whose route has changed: its recipients, grouped by
    /// where they go now. Each part gets content of its own.
    pub async fn reroute(
        &self,
        lease: Lease,
        parts: Vec<(Destination, Vec<Recipient>)>,
    ) -> Result<(), PublishError> {
        let is_split = parts.len() > 1;
        let body = lease.envelope().body.clone();
        match self.put_parts(&lease, parts).await {
            Ok(()) => {
                if lease.done().await && is_split {
                    BodyStore::new(self.nats.clone()).free(&body).await;
                }
                Ok(())
            }
            failed @ Err(_) => self.settle(lease, failed).await,
        }
    }

    async fn put_parts(
        &self,
        lease: &Lease,
        parts: Vec<(Destination, Vec<Recipient>)>,
    ) -> Result<(), PublishError> {
        let bodies = BodyStore::new(self.nats.clone());
        let old = lease.envelope();
        let is_split = parts.len() > 1;
        let lane = if old.attempt == 0 { old.lane } else { Lane::Due };
        let mut moved = Vec::new();
        for (destination, recipients) in parts {
            let mut part = Envelope { destination, recipients, ..old.clone() };
            let identity = identity(&part);
            if is_split {
                part.entry = part_of(old.entry, identity);
                let content = bodies.load(&old.body).await?.concat();
                part.body = self.publisher.own_body(&part, content.into()).await?;
            }
            let mut headers = HeaderMap::new();
            lease.origin().write(&mut headers);
            self.bind(&mut headers, lease, &part.destination);
            let message_id = format!("{}/{identity:x}", lease.successor_id());
            self.publisher.put(&part, Place::Lane(lane), &message_id, headers, operation::ACCEPT).await?;
            moved.extend(Event::moved(old.entry, &part, SystemTime::now()));
        }
        self.nats.custody().record(&moved).await;
        Ok(())
    }

    /// Whether the retry of this entry was already written: then a redelivered original is only
    /// the trace of a crash between the two writes. Only a schedule behind the original counts: a
    /// replica that lags may still show the one that the original came from.
    pub async fn is_scheduled(&self, lease: &Lease) -> Result<bool, ReadError> {
        let envelope = lease.envelope();
        let place = lease.place();
        let (destination, entry) = (envelope.destination.clone(), envelope.entry);
        let subject = Subject { shard: place.shard, place: Place::Retry, destination, entry };
        let failed = |error: async_nats::Error| ReadError(error);
        let stream = self.nats.jetstream.get_stream_no_info(queue_stream(place.shard)).await;
        let stream = stream.map_err(|error| failed(error.into()))?;
        match stream.direct_get_last_for_subject(subject.to_string()).await {
            Ok(message) => Ok(message.sequence > place.sequence),
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed(error.into())),
        }
    }

    async fn schedule(
        &self,
        lease: &Lease,
        next: &Envelope,
        lane: Lane,
        at: SystemTime,
        mut headers: HeaderMap,
    ) -> Result<u64, PublishError> {
        let shard = self.publisher.shards().shard_of(&next.destination);
        let (destination, entry) = (next.destination.clone(), next.entry);
        let target = Subject { shard, place: Place::Lane(lane), destination, entry };
        schedule(&mut headers, at, &target.to_string());
        lease.origin().write(&mut headers);
        self.bind(&mut headers, lease, &next.destination);
        self.publisher.put(next, Place::Retry, &lease.successor_id(), headers, operation::SCHEDULE).await
    }

    /// Binds a write to the original. A stream can only look at itself, so what goes into another
    /// shard is free.
    fn bind(&self, headers: &mut HeaderMap, lease: &Lease, destination: &Destination) {
        let place = lease.place();
        if self.publisher.shards().shard_of(destination) == place.shard {
            only_behind(headers, &lease.subject().to_string(), place.sequence);
        }
    }
}

/// What a part is: who gets it and from where. The same for each repeat.
fn identity(part: &Envelope) -> u64 {
    let mut text = format!("{}/{}", part.entry, part.destination);
    for recipient in &part.recipients {
        text += "/";
        text += &recipient.address.to_string();
    }
    fnv1a(&text)
}

/// Another number for each part, above those that ingress usually gives out.
fn part_of(entry: EntryId, identity: u64) -> EntryId {
    const FIRST: u64 = 4_096;
    let hop = FIRST + identity % (u64::from(u16::MAX) - FIRST);
    entry.queue_id.entry(u16::try_from(hop).unwrap_or(u16::MAX)) // below 65,535, so it fits
}

/// Makes a message a schedule: it comes on `target` at that time.
pub(crate) fn schedule(headers: &mut HeaderMap, at: SystemTime, target: &str) {
    // A year beyond 9999 cannot be written; it cannot be meant either.
    let at = stamp::write(at).unwrap_or_else(|| "1970-01-01T00:00:00Z".to_owned());
    headers.insert(header::NATS_SCHEDULE, format!("@at {at}"));
    headers.insert(header::NATS_SCHEDULE_TARGET, target);
}
