//! How many entries there are, without reading them.

use std::{collections::BTreeMap, time::SystemTime};

use futures::{StreamExt as _, TryStreamExt as _};
use hikyaku_types::{destination::Destination, envelope::Lane, outcome::Failure, shard::ShardId};

use super::{BrowseError, Browser, Delivered, Found, Selector, Waits, found, place_of};
use crate::{
    stream::{self, From, Message, Reading},
    subject::{Place, Wanted},
    topology::queue_stream,
};

/// Shards that are asked at the same time.
const PARALLEL: usize = 4;
/// Scheduled entries of a destination that are read for what is said of it.
const SAMPLE: usize = 1_000;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub fresh: u64,
    pub bulk: u64,
    pub due: u64,
    /// Scheduled: for the next attempt, or held.
    pub scheduled: u64,
    /// Of those that are ready: a worker has them.
    pub busy: u64,
}

/// What is known of a destination from its entries (SEED-181).
#[derive(Debug, Clone)]
pub struct DestinationState {
    pub counts: Counts,
    /// The newest failure that an entry remembers.
    pub last_failure: Option<Failure>,
    /// The most attempts that an entry has had.
    pub attempts: u32,
    /// The earliest next attempt of a scheduled entry.
    pub next_attempt: Option<SystemTime>,
    pub oldest: Option<SystemTime>,
    /// Not all scheduled entries were looked at.
    pub is_sample: bool,
}

impl Counts {
    pub fn all(&self) -> u64 {
        self.fresh + self.bulk + self.due + self.scheduled
    }

    fn of(&mut self, place: Place) -> &mut u64 {
        match place {
            Place::Lane(Lane::Fresh) => &mut self.fresh,
            Place::Lane(Lane::Bulk) => &mut self.bulk,
            Place::Lane(Lane::Due) => &mut self.due,
            Place::Retry => &mut self.scheduled,
        }
    }

    fn plus(mut self, other: Self) -> Self {
        for place in places() {
            *self.of(place) += *{ other }.of(place);
        }
        self.busy += other.busy;
        self
    }
}

fn places() -> impl Iterator<Item = Place> {
    Lane::ALL.map(Place::Lane).into_iter().chain([Place::Retry])
}

impl Browser {
    /// Entries that are selected, by what they wait for.
    pub async fn count(&self, selector: &Selector) -> Result<Counts, BrowseError> {
        let of_each: Vec<Counts> = futures::stream::iter(self.shards_of(selector))
            .map(|shard| self.count_in(shard, selector))
            .buffer_unordered(PARALLEL)
            .try_collect()
            .await?;
        Ok(of_each.into_iter().fold(Counts::default(), Counts::plus))
    }

    fn shards_of(&self, selector: &Selector) -> Vec<ShardId> {
        self.filters(selector, None).into_iter().map(|(shard, _)| shard).collect()
    }

    pub(super) async fn count_in(&self, shard: ShardId, selector: &Selector) -> Result<Counts, BrowseError> {
        let delivered = self.delivered(shard).await?;
        let stream = queue_stream(shard);
        let mut counts = Counts::default();
        for place in places() {
            for (_, filter) in self.filters(selector, Some(place)).into_iter().filter(|(it, _)| *it == shard)
            {
                let all = stream::count(&self.nats, &stream, &filter, 1).await?;
                *counts.of(place) += all;
                if let Place::Lane(lane) = place
                    && all > 0
                {
                    let ready = stream::count(&self.nats, &stream, &filter, delivered.of(lane) + 1).await?;
                    counts.busy += all.saturating_sub(ready);
                }
            }
        }
        Ok(counts)
    }

    /// All destinations that have entries. Reads the names of all entries, not the entries.
    pub async fn destinations(&self) -> Result<BTreeMap<Destination, Counts>, BrowseError> {
        let of_each: Vec<BTreeMap<Destination, Counts>> = futures::stream::iter(self.shards.shards())
            .map(|shard| self.destinations_of(shard))
            .buffer_unordered(PARALLEL)
            .try_collect()
            .await?;
        // A destination is in one shard.
        Ok(of_each.into_iter().flatten().collect())
    }

    async fn destinations_of(&self, shard: ShardId) -> Result<BTreeMap<Destination, Counts>, BrowseError> {
        let mut destinations: BTreeMap<Destination, Counts> = BTreeMap::new();
        let filter = Wanted::default().in_shard(shard);
        stream::subjects(&self.nats, &queue_stream(shard), &filter, |name| {
            if let Some(subject) = place_of(name) {
                *destinations.entry(subject.destination).or_default().of(subject.place) += 1;
            }
        })
        .await?;
        Ok(destinations)
    }

    pub async fn destination(&self, destination: &Destination) -> Result<DestinationState, BrowseError> {
        let counts = self.count(&Selector::Destination(destination.clone())).await?;
        let shard = self.shards.shard_of(destination);
        let stream = queue_stream(shard);
        let wanted =
            |place| Wanted { place, destination: Some(destination), ..Wanted::default() }.in_shard(shard);
        let read_from_start = async |place, messages| {
            let reading = Reading { stream: &stream, filter: &wanted(place), messages };
            reading.next(&self.nats, From::Sequence(1)).await
        };
        let delivered = Delivered { fresh: 0, bulk: 0, due: 0 };
        let read = |message: &Message| found(&place_of(&message.subject)?, message, Some(&delivered));
        let batch = read_from_start(Some(Place::Retry), SAMPLE).await?;
        let mut entries: Vec<Found> = batch.messages.iter().filter_map(read).collect();
        let is_sample = batch.pending > 0;
        // The newest write of all is the newest attempt, or nearly.
        let last = stream::last(&self.nats, &stream, &wanted(Some(Place::Retry))).await?;
        entries.extend(last.as_ref().and_then(read));
        let first = read_from_start(None, 1).await?;
        entries.extend(first.messages.iter().filter_map(read));
        Ok(state(counts, &entries, is_sample))
    }
}

fn state(counts: Counts, entries: &[Found], is_sample: bool) -> DestinationState {
    let failures = entries.iter().flat_map(|entry| &entry.envelope.recipients);
    let last_failure = failures.filter_map(|it| it.last_failure.clone()).max_by_key(|failure| failure.at);
    let due = entries.iter().filter(|entry| entry.held.is_none()).filter_map(|entry| match entry.waits {
        Waits::Until(at) => Some(at),
        Waits::Ready(_) => None,
    });
    DestinationState {
        counts,
        last_failure,
        attempts: entries.iter().map(|entry| entry.envelope.attempt).max().unwrap_or(0),
        next_attempt: due.min(),
        oldest: entries.iter().map(|entry| entry.envelope.accepted_at).min(),
        is_sample,
    }
}
