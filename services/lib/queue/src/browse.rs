//! What an operator sees of the queue and does to it. Reads go by subject, so a look at one
//! destination or one entry does not read the others.

use std::time::SystemTime;

use async_nats::{
    header,
    jetstream::{message::StreamMessage, stream::DirectGetErrorKind},
};
use hikyaku_types::{
    destination::Destination,
    envelope::{Envelope, Lane},
    ids::{EntryId, QueueId},
    shard::{ShardCount, ShardId},
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    Nats, codec,
    custody::Event,
    reschedule::schedule_headers,
    subject::{self, Place, Subject},
    topology::queue_stream,
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    All,
    Destination(Destination),
    /// All entries of a transaction.
    QueueId(QueueId),
    Entry(EntryId),
}

/// One entry with what it waits for.
#[derive(Debug, Clone)]
pub struct Found {
    pub envelope: Envelope,
    pub waits: Waits,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    /// Ready, in this lane.
    Ready(Lane),
    /// For its next attempt.
    Until(SystemTime),
}

#[derive(Debug, thiserror::Error)]
#[error("failed to read or change the queue")]
pub struct BrowseError(#[source] async_nats::Error);

fn failed(error: impl Into<async_nats::Error>) -> BrowseError {
    BrowseError(error.into())
}

#[derive(Clone, Debug)]
pub struct Browser {
    nats: Nats,
    shards: ShardCount,
}

impl Browser {
    pub fn new(nats: Nats, shards: ShardCount) -> Self {
        Self { nats, shards }
    }

    /// Entries that match, oldest first within a shard, at most `limit`.
    pub async fn list(&self, selector: &Selector, limit: usize) -> Result<Vec<Found>, BrowseError> {
        let mut found = Vec::new();
        for (shard, filter) in self.filters(selector) {
            let mut sequence = 1;
            while found.len() < limit {
                let Some(message) = self.next(shard, &filter, sequence).await? else { break };
                sequence = message.sequence + 1;
                if let Some(entry) = read(&message).filter(|entry| matches(selector, entry)) {
                    found.push(entry);
                }
            }
        }
        Ok(found)
    }

    /// Makes waiting entries due now and returns how many. Give-up clocks go on.
    pub async fn retry(&self, selector: &Selector) -> Result<u64, BrowseError> {
        let mut retried = 0;
        for (shard, filter) in self.filters(selector) {
            // Written again, an entry stands behind all that were there: stop before those.
            let stream = self.nats.jetstream.get_stream_no_info(queue_stream(shard)).await.map_err(failed)?;
            let last = stream.get_info().await.map_err(failed)?.state.last_sequence;
            let mut sequence = 1;
            while let Some(message) = self.next(shard, &filter, sequence).await? {
                sequence = message.sequence + 1;
                if message.sequence > last {
                    break;
                }
                let waiting = read(&message)
                    .is_some_and(|entry| matches(selector, &entry) && matches!(entry.waits, Waits::Until(_)));
                if waiting && self.pull_forward(message).await? {
                    retried += 1;
                }
            }
        }
        Ok(retried)
    }

    /// Writes the schedule again, due now: there is one schedule for each subject.
    async fn pull_forward(&self, message: StreamMessage) -> Result<bool, BrowseError> {
        let Some(target) = message.headers.get(header::NATS_SCHEDULE_TARGET) else { return Ok(false) };
        let mut headers = schedule_headers(SystemTime::now(), target.as_str());
        for (name, values) in message.headers.iter() {
            let name: &str = name.as_ref();
            let ours = !name.starts_with("Nats-");
            for value in values.iter().filter(|_| ours) {
                headers.append(name, value.clone());
            }
        }
        // Only if nobody was faster: an entry that has fired meanwhile must not come twice.
        headers.insert(header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, message.sequence.to_string());
        let subject = message.subject.clone();
        let sent = self.nats.jetstream.publish_with_headers(subject, headers, message.payload).await;
        Ok(sent.map_err(failed)?.await.is_ok())
    }

    /// Removes entries without a report and returns how many. An attempt that is running ends
    /// as it ends.
    pub async fn delete(&self, selector: &Selector) -> Result<u64, BrowseError> {
        let mut deleted = 0;
        let bodies = crate::body_store::BodyStore::new(self.nats.clone());
        for (shard, filter) in self.filters(selector) {
            let stream = self.nats.jetstream.get_stream_no_info(queue_stream(shard)).await.map_err(failed)?;
            let mut sequence = 1;
            while let Some(message) = self.next(shard, &filter, sequence).await? {
                sequence = message.sequence + 1;
                let Some(entry) = read(&message).filter(|entry| matches(selector, entry)) else { continue };
                self.nats.custody().record(&Event::deleted(&entry.envelope, SystemTime::now())).await;
                let purged = stream.purge().filter(message.subject.to_string()).await.map_err(failed)?.purged;
                if purged > 0 {
                    deleted += 1;
                    tracing::info!(target: "mail", event = "deleted", entry = %entry.envelope.entry,
                        queue_id = %entry.envelope.entry.queue_id, destination = %entry.envelope.destination,
                        sender = %entry.envelope.reverse_path, recipients = recipients(&entry.envelope));
                    bodies.free(&entry.envelope.body).await;
                }
            }
        }
        Ok(deleted)
    }

    fn filters(&self, selector: &Selector) -> Vec<(ShardId, String)> {
        let everywhere = |filter: &dyn Fn(ShardId) -> String| {
            self.shards.shards().map(|shard| (shard, filter(shard))).collect()
        };
        match selector {
            Selector::All | Selector::QueueId(_) => everywhere(&subject::all_of_shard),
            Selector::Entry(entry) => everywhere(&|shard| subject::entry_filter(shard, &entry.to_string())),
            Selector::Destination(destination) => {
                let shard = self.shards.shard_of(destination);
                vec![(shard, subject::destination_filter(shard, destination))]
            }
        }
    }

    async fn next(
        &self,
        shard: ShardId,
        filter: &str,
        from: u64,
    ) -> Result<Option<StreamMessage>, BrowseError> {
        let stream = self.nats.jetstream.get_stream_no_info(queue_stream(shard)).await.map_err(failed)?;
        match stream.direct_get_next_for_subject(filter, Some(from)).await {
            Ok(message) => Ok(Some(message)),
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }
}

fn matches(selector: &Selector, found: &Found) -> bool {
    match selector {
        Selector::QueueId(queue_id) => found.envelope.entry.queue_id == *queue_id,
        Selector::All | Selector::Destination(_) | Selector::Entry(_) => true,
    }
}

fn read(message: &StreamMessage) -> Option<Found> {
    let subject: Subject = match message.subject.parse() {
        Ok(subject) => subject,
        Err(error) => {
            tracing::error!(%error, "a stranger in the queue stream");
            return None;
        }
    };
    let envelope = match codec::decode(message.payload.clone()) {
        Ok(envelope) => envelope,
        Err(error) => {
            tracing::error!(subject = %message.subject, %error, "entry cannot be read");
            return None;
        }
    };
    let waits = match subject.place {
        Place::Lane(lane) => Waits::Ready(lane),
        Place::Retry => {
            let at = message.headers.get(header::NATS_SCHEDULE)?.as_str().strip_prefix("@at ")?;
            Waits::Until(OffsetDateTime::parse(at, &Rfc3339).ok()?.into())
        }
    };
    Some(Found { envelope, waits })
}

fn recipients(envelope: &Envelope) -> String {
    let addresses: Vec<String> = envelope.recipients.iter().map(|r| r.address.to_string()).collect();
    addresses.join(",")
}
