//! What an operator sees of the queue and does to it. Counts come from the broker's indexes, one
//! entry or one destination is found by its subject, and what is changed is written under the
//! condition that nobody was faster.

pub mod list; // entries, page by page
pub mod count; // how many, and of which destinations
mod target; // the entries that a change is about, in the order of their arrival
pub mod change; // retry, hold, release, delete
pub mod take; // entries out of the hands of the workers, for what else is done to them

use std::time::SystemTime;

use async_nats::header;
use hikyaku_types::{
    destination::Destination,
    envelope::{Envelope, Lane},
    ids::{EntryId, QueueId},
    shard::{ShardCount, ShardId},
};
use tokio::sync::watch;

use crate::{
    Nats, codec,
    holds::{HeldBy, HeldMark},
    stamp, stream,
    stream::Message,
    subject::{Place, Subject, Wanted},
    topology::queue_stream,
};
pub use list::{Filter, Page, PageToken, State};
pub use take::{Content, Taken};

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
    pub held: Option<EntryHold>,
    /// A worker has it now.
    pub is_busy: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    /// Ready, in this lane.
    Ready(Lane),
    /// For its next attempt.
    Until(SystemTime),
}

/// An entry waits because of a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryHold {
    /// Absent: until it is released.
    pub until: Option<SystemTime>,
    pub since: SystemTime,
    pub by: HeldBy,
}

/// What came of a change, also while it runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Entries that fitted when it began.
    pub before: u64,
    /// Entries that were changed.
    pub done: u64,
    /// Left alone: a worker had them, or took them in that moment.
    pub busy: u64,
    /// Left alone: they are held.
    pub held: u64,
    /// Left alone: nothing was to be done.
    pub unchanged: u64,
    /// Not changed because of a fault; asking again is safe.
    pub failed: u64,
    /// Entries that fit when it has ended.
    pub after: u64,
}

/// Hears how a change goes on.
pub type Progress = watch::Sender<Tally>;

#[derive(Debug, thiserror::Error)]
#[error("failed to read or change the queue")]
pub struct BrowseError(#[from] async_nats::Error);

pub(crate) fn failed(error: impl Into<async_nats::Error>) -> BrowseError {
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

    /// The shards that may have what is selected, and how it is asked for there.
    fn filters(&self, selector: &Selector, place: Option<Place>) -> Vec<(ShardId, String)> {
        let wanted = Wanted { place, ..Wanted::default() };
        let (wanted, only) = match selector {
            Selector::All => (wanted, None),
            Selector::QueueId(queue_id) => (Wanted { queue_id: Some(*queue_id), ..wanted }, None),
            Selector::Entry(entry) => (wanted.entry(*entry), None),
            Selector::Destination(destination) => {
                (Wanted { destination: Some(destination), ..wanted }, Some(self.shards.shard_of(destination)))
            }
        };
        let shards = self.shards.shards().filter(|shard| only.is_none_or(|only| only == *shard));
        shards.map(|shard| (shard, wanted.in_shard(shard))).collect()
    }

    /// The newest sequences that the lanes of a shard have handed out.
    async fn delivered(&self, shard: ShardId) -> Result<Delivered, BrowseError> {
        let name = queue_stream(shard);
        let of = |lane: Lane| stream::delivered(&self.nats, &name, lane.name());
        let (fresh, bulk, due) = tokio::try_join!(of(Lane::Fresh), of(Lane::Bulk), of(Lane::Due))?;
        Ok(Delivered { fresh, bulk, due })
    }
}

/// What stands in a lane at or before this was handed out and has no end yet.
#[derive(Debug, Clone, Copy)]
struct Delivered {
    fresh: u64,
    bulk: u64,
    due: u64,
}

impl Delivered {
    fn of(&self, lane: Lane) -> u64 {
        match lane {
            Lane::Fresh => self.fresh,
            Lane::Bulk => self.bulk,
            Lane::Due => self.due,
        }
    }

    fn has(&self, place: Place, sequence: u64) -> bool {
        match place {
            Place::Lane(lane) => sequence <= self.of(lane),
            Place::Retry => false,
        }
    }
}

/// The subject of a message of a queue stream.
fn place_of(text: &str) -> Option<Subject> {
    text.parse().inspect_err(|error| tracing::error!(%error, "a stranger in the queue stream")).ok()
}

/// The hold that keeps an entry where it is; one in a lane was released.
fn hold_of(place: Place, message: &Message) -> Option<HeldMark> {
    HeldMark::read(&message.headers).filter(|_| place == Place::Retry)
}

/// When a schedule comes.
fn due(message: &Message) -> Option<SystemTime> {
    stamp::read(message.headers.get(header::NATS_SCHEDULE)?.as_str().strip_prefix("@at ")?)
}

fn found(subject: &Subject, message: &Message, delivered: Option<&Delivered>) -> Option<Found> {
    let envelope = match codec::decode(message.payload.clone()) {
        Ok(envelope) => envelope,
        Err(error) => {
            tracing::error!(subject = %message.subject, %error, "entry cannot be read");
            return None;
        }
    };
    let waits = match subject.place {
        Place::Lane(lane) => Waits::Ready(lane),
        Place::Retry => Waits::Until(due(message)?),
    };
    let held =
        hold_of(subject.place, message).map(|HeldMark { until, since, by }| EntryHold { until, since, by });
    let is_busy = delivered.is_some_and(|delivered| delivered.has(subject.place, message.sequence));
    Some(Found { envelope, waits, held, is_busy })
}
