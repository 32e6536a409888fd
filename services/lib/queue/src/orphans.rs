//! Content that nothing refers to: of an acceptance that failed, of a crash between an
//! acknowledgement and the freeing, of a dead letter that has gone. The owner of a shard collects
//! it, by subjects alone.
//!
//! Content is written before its entry, so what is young may only wait for it. An orphan is what
//! is found without its owner for a whole margin, and in the end by two looks at everything.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use hikyaku_types::shard::{ShardCount, ShardId};

use crate::{
    Nats, stream,
    subject::{self, Owner, Subject},
    topology::{DEAD_STREAM, body_stream, queue_stream},
};

/// Much longer than anything takes that writes content and then its entry.
pub const MARGIN: Duration = Duration::from_secs(3_600);
/// Owners that are remembered, and those that are looked for and collected in one round.
const MAX_SUSPECTS: usize = 10_000;
const MAX_COLLECTED: usize = 100;
/// An entry that changes its shard during one look can be in neither.
const LOOKS: u32 = 2;

#[derive(Debug, thiserror::Error)]
#[error("failed to look for content without an owner")]
pub struct OrphanError(#[source] async_nats::Error);

fn failed(error: impl Into<async_nats::Error>) -> OrphanError {
    OrphanError(error.into())
}

/// For one shard, for as long as it is ours.
#[derive(Debug)]
pub struct Collector {
    homes: Homes,
    shard: ShardId,
    margin: Duration,
    suspects: Suspects,
    /// Where the next round goes on in the list of a shard with very much content.
    offset: usize,
}

impl Collector {
    pub fn new(nats: Nats, shards: ShardCount, shard: ShardId, margin: Duration) -> Self {
        let homes = Homes { nats, shards };
        Self { homes, shard, margin, suspects: Suspects::default(), offset: 0 }
    }

    /// Looks at a page of the content and collects what was without its owner for long enough.
    /// Returns how many owners' content went.
    pub async fn round(&mut self, now: Instant) -> Result<u64, OrphanError> {
        let homeless = self.homeless().await?;
        self.suspects.found(homeless, now);
        let mut collected = 0;
        for owner in self.suspects.due(now, self.margin) {
            let is_homeless = !self.homes.have(owner).await?;
            if is_homeless && self.collect(owner).await? {
                collected += 1;
            }
            // Whatever it was, it is not suspected any more, or anew.
            self.suspects.forget(owner);
        }
        Ok(collected)
    }

    async fn homeless(&mut self) -> Result<HashSet<Owner>, OrphanError> {
        let (nats, stream) = (&self.homes.nats, body_stream(self.shard));
        let filter = subject::all_bodies(self.shard);
        let mut owners: HashSet<Owner> = HashSet::new();
        let found = |name: &str| owners.extend(subject::body_owner(name));
        let next = stream::subjects_from(nats, &stream, &filter, self.offset, found).await.map_err(failed)?;
        self.offset = next.unwrap_or(0);
        // Content stays where it is when its entry is sent elsewhere, so its own shard is only
        // the most likely place.
        let own_first = std::iter::once(self.shard);
        let others = self.homes.shards.shards().filter(|shard| *shard != self.shard);
        for shard in own_first.chain(others) {
            if owners.iter().any(|owner| matches!(owner, Owner::Entry(_))) {
                self.homes.remove_queued(shard, &mut owners).await?;
            }
        }
        if !owners.is_empty() {
            self.homes.remove_dead(&mut owners).await?;
        }
        Ok(owners)
    }

    async fn collect(&self, owner: Owner) -> Result<bool, OrphanError> {
        let stream = body_stream(self.shard);
        let handle = self.homes.nats.jetstream.get_stream_no_info(&stream).await.map_err(failed)?;
        let purge = handle.purge().filter(subject::body(self.shard, owner)).await.map_err(failed)?;
        if purge.purged > 0 {
            tracing::info!(%owner, shard = %self.shard, chunks = purge.purged, "content without an owner was collected");
        }
        Ok(purge.purged > 0)
    }
}

/// Where owners of content live: the queue, and the dead letters.
#[derive(Debug, Clone)]
pub(crate) struct Homes {
    pub(crate) nats: Nats,
    pub(crate) shards: ShardCount,
}

impl Homes {
    async fn remove_queued(&self, shard: ShardId, owners: &mut HashSet<Owner>) -> Result<(), OrphanError> {
        let found = |name: &str| {
            if let Ok(subject) = name.parse::<Subject>() {
                owners.remove(&Owner::Entry(subject.entry));
            }
        };
        let (stream, filter) = (queue_stream(shard), subject::all_of_shard(shard));
        stream::subjects(&self.nats, &stream, &filter, found).await.map_err(failed)
    }

    /// Dead letters of earlier versions use the content of their entry.
    async fn remove_dead(&self, owners: &mut HashSet<Owner>) -> Result<(), OrphanError> {
        let found = |name: &str| {
            if let Some(entry) = subject::dead_entry(name) {
                owners.remove(&Owner::Entry(entry));
                owners.remove(&Owner::DeadLetter(entry));
            }
        };
        stream::subjects(&self.nats, DEAD_STREAM, subject::ALL_DEAD, found).await.map_err(failed)
    }

    /// Looks for one owner everywhere, twice.
    pub(crate) async fn have(&self, owner: Owner) -> Result<bool, OrphanError> {
        for _ in 0..LOOKS {
            if self.have_now(owner).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn have_now(&self, owner: Owner) -> Result<bool, OrphanError> {
        let dead = subject::dead(owner.entry());
        if stream::has_subject(&self.nats, DEAD_STREAM, &dead).await.map_err(failed)? {
            return Ok(true);
        }
        let Owner::Entry(entry) = owner else { return Ok(false) };
        for shard in self.shards.shards() {
            let filter = subject::entry_filter(shard, entry);
            if stream::has_subject(&self.nats, &queue_stream(shard), &filter).await.map_err(failed)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Owners that were not found, and since when. Pure.
#[derive(Debug, Default)]
struct Suspects(HashMap<Owner, Instant>);

impl Suspects {
    fn found(&mut self, homeless: HashSet<Owner>, now: Instant) {
        for owner in homeless {
            let is_full = self.0.len() >= MAX_SUSPECTS;
            if !is_full || self.0.contains_key(&owner) {
                self.0.entry(owner).or_insert(now);
            }
        }
    }

    /// The oldest suspects that have been so for long enough.
    fn due(&self, now: Instant, margin: Duration) -> Vec<Owner> {
        let old = self.0.iter().filter(|(_, since)| now.saturating_duration_since(**since) >= margin);
        let mut old: Vec<(Instant, Owner)> = old.map(|(owner, since)| (*since, *owner)).collect();
        old.sort_by_key(|(since, _)| *since);
        old.into_iter().take(MAX_COLLECTED).map(|(_, owner)| owner).collect()
    }

    fn forget(&mut self, owner: Owner) {
        self.0.remove(&owner);
    }
}

#[cfg(test)]
mod tests {
    use hikyaku_types::ids::QueueId;

    use super::*;

    fn owners(range: std::ops::Range<u128>) -> HashSet<Owner> {
        range.map(|n| Owner::Entry(QueueId::new(1, n).entry(0))).collect()
    }

    #[test]
    fn content_is_an_orphan_only_after_the_margin() {
        let (start, mut suspects) = (Instant::now(), Suspects::default());
        suspects.found(owners(0..1), start);
        suspects.found(owners(0..2), start + MARGIN / 2);
        assert_eq!(suspects.due(start + MARGIN / 2, MARGIN), []);
        let due = suspects.due(start + MARGIN, MARGIN);
        assert_eq!(due.iter().copied().collect::<HashSet<_>>(), owners(0..1));
    }

    #[test]
    fn a_round_and_the_memory_have_limits() {
        let (start, mut suspects) = (Instant::now(), Suspects::default());
        suspects.found(owners(0..20_000), start);
        assert_eq!(suspects.0.len(), MAX_SUSPECTS);
        let mut rounds = 0;
        loop {
            let due = suspects.due(start + MARGIN, MARGIN);
            if due.is_empty() {
                break;
            }
            assert!(due.len() <= MAX_COLLECTED);
            due.into_iter().for_each(|owner| suspects.forget(owner));
            rounds += 1;
        }
        assert_eq!(rounds, 100);
    }
}
