//! Proves that all content that an entry or a dead letter refers to is there completely, and lists
//! what is there for nobody. Entries are read in batches; of content only subjects and sizes.
//!
//! First the entries are read and then the content, because content is written before its entry.
//! What seems to be missing is looked at once more, since its entry may have had its end meanwhile.

use std::{
    collections::{HashMap, HashSet, hash_map::RandomState},
    hash::BuildHasher as _,
    time::{Duration, SystemTime},
};

use async_nats::jetstream::{
    consumer::{DeliverPolicy, pull},
    stream::RawMessageErrorKind,
};
use futures::StreamExt as _;
use hikyaku_types::{
    body::{Body, BodyRef},
    envelope::Envelope,
    ids::EntryId,
    shard::{ShardCount, ShardId, fnv1a},
};

use crate::{
    Nats, codec,
    orphans::Homes,
    stream::{self, From, Reading},
    subject::{self, Owner},
    topology::{DEAD_STREAM, body_stream, queue_stream},
};

/// Entries of which one pass knows everything: 150 MB when each has content of its own.
const PASS_ENTRIES: u64 = 1_000_000;
const BATCH: usize = 500;
/// What is looked at a second time; of more only the number is told.
const MAX_SECOND_LOOKS: usize = 1_000;
/// A broker that says nothing for so long has nothing more.
const SILENCE: Duration = Duration::from_secs(5);
const SIZE_HEADER: &str = "Nats-Msg-Size";

#[derive(Debug, thiserror::Error)]
#[error("failed to read the queue or its content")]
pub struct CheckError(#[source] async_nats::Error);

fn failed(error: impl Into<async_nats::Error>) -> CheckError {
    CheckError(error.into())
}

#[derive(Debug, Default)]
pub struct Findings {
    pub entries: u64,
    pub dead_letters: u64,
    /// Of these, with content that is kept apart.
    pub stored: u64,
    /// Their bytes.
    pub stored_bytes: u64,
    /// Whose content is not there, or not all of it.
    pub missing: Named<Owner>,
    /// Content whose owner is gone.
    pub orphans: Named<Orphan>,
    pub undecodable: Named<Undecodable>,
}

/// The number, and the first of them.
#[derive(Debug)]
pub struct Named<T> {
    pub count: u64,
    pub first: Vec<T>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    pub owner: Owner,
    pub shard: ShardId,
    pub bytes: u64,
}

/// A message that is no entry of this version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecodable {
    pub stream: String,
    pub sequence: u64,
    pub subject: String,
}

#[derive(Clone, Debug)]
pub struct Checker {
    homes: Homes,
}

impl Checker {
    pub fn new(nats: Nats, shards: ShardCount) -> Self {
        Self { homes: Homes { nats, shards } }
    }

    /// Content that was written after `until` may still wait for its entry.
    pub async fn check(&self, until: SystemTime) -> Result<Findings, CheckError> {
        let mut findings = Findings::default();
        let of = self.passes().await?;
        for index in 0..of {
            let mut known = Known::new(index, of);
            for shard in self.shards() {
                self.read(&queue_stream(shard), &subject::all_of_shard(shard), &mut known, &mut findings)
                    .await?;
            }
            self.read(DEAD_STREAM, subject::ALL_DEAD, &mut known, &mut findings).await?;
            let mut strangers = HashMap::new();
            for shard in self.shards() {
                self.look(shard, until, &mut known, &mut strangers).await?;
            }
            self.judge(known, strangers, &mut findings).await?;
        }
        Ok(findings)
    }

    async fn passes(&self) -> Result<u64, CheckError> {
        let streams = self.shards().map(queue_stream).chain([DEAD_STREAM.to_owned()]);
        let mut entries = 0;
        for stream in streams {
            entries += stream::extent(&self.homes.nats, &stream).await.map_err(failed)?.messages;
        }
        Ok(entries / PASS_ENTRIES + 1)
    }

    /// Reads all entries of a stream.
    async fn read(
        &self,
        stream: &str,
        filter: &str,
        known: &mut Known,
        findings: &mut Findings,
    ) -> Result<(), CheckError> {
        let reading = Reading { stream, filter, messages: BATCH };
        let mut next = 1;
        loop {
            let batch = reading.next(&self.homes.nats, From::Sequence(next)).await.map_err(failed)?;
            let Some(last) = batch.messages.last() else { return Ok(()) };
            next = last.sequence + 1;
            for message in batch.messages {
                match codec::decode(message.payload) {
                    Ok(envelope) => known.add(&envelope, stream == DEAD_STREAM, findings),
                    Err(error) if known.pass == 0 => {
                        let (stream, sequence, subject) =
                            (stream.to_owned(), message.sequence, message.subject);
                        tracing::error!(stream, sequence, subject, %error, "entry cannot be read");
                        findings.undecodable.add(Undecodable { stream, sequence, subject });
                    }
                    Err(_) => {}
                }
            }
        }
    }

    /// Looks at all content of a shard without reading it.
    async fn look(
        &self,
        shard: ShardId,
        until: SystemTime,
        known: &mut Known,
        strangers: &mut HashMap<(ShardId, Owner), u64>,
    ) -> Result<(), CheckError> {
        let stream = body_stream(shard);
        let extent = stream::extent(&self.homes.nats, &stream).await.map_err(failed)?;
        if extent.messages == 0 {
            return Ok(());
        }
        let config = pull::OrderedConfig {
            deliver_policy: DeliverPolicy::All,
            headers_only: true,
            ..pull::OrderedConfig::default()
        };
        let handle = self.homes.nats.jetstream.get_stream_no_info(&stream).await.map_err(failed)?;
        let consumer = handle.create_consumer(config).await.map_err(failed)?;
        let mut messages = consumer.messages().await.map_err(failed)?;
        loop {
            let message = match tokio::time::timeout(SILENCE, messages.next()).await {
                Ok(Some(message)) => message.map_err(failed)?,
                // What was last has gone meanwhile.
                Ok(None) | Err(_) => return Ok(()),
            };
            let info = message.info().map_err(failed)?;
            let size = message.headers.as_ref().and_then(|headers| headers.get(SIZE_HEADER));
            let size = size.and_then(|size| size.as_str().parse().ok()).unwrap_or(0);
            known.found(shard, info.stream_sequence, size);
            let is_old = SystemTime::from(info.published) <= until;
            let owner = subject::body_owner(&message.subject).filter(|owner| is_old && known.lacks(*owner));
            if let Some(owner) = owner {
                *strangers.entry((shard, owner)).or_default() += size;
            }
            if info.stream_sequence >= extent.last || info.pending == 0 {
                return Ok(());
            }
        }
    }

    /// What was not found may have left, and come, between the two readings.
    async fn judge(
        &self,
        known: Known,
        strangers: HashMap<(ShardId, Owner), u64>,
        findings: &mut Findings,
    ) -> Result<(), CheckError> {
        for (index, owner) in known.incomplete().enumerate() {
            if index >= MAX_SECOND_LOOKS || self.is_broken(owner).await? {
                findings.missing.add(owner);
            }
        }
        for (index, ((shard, owner), bytes)) in strangers.into_iter().enumerate() {
            let is_orphan = index >= MAX_SECOND_LOOKS
                || !self.homes.have(owner).await.map_err(|error| CheckError(error.into()))?;
            if is_orphan {
                findings.orphans.add(Orphan { owner, shard, bytes });
            }
        }
        Ok(())
    }

    /// Whether an owner that is still there refers to content that is not.
    async fn is_broken(&self, owner: Owner) -> Result<bool, CheckError> {
        let places: Vec<(String, String)> = match owner {
            Owner::DeadLetter(entry) => vec![(DEAD_STREAM.to_owned(), subject::dead(entry))],
            Owner::Entry(entry) => self
                .shards()
                .map(|shard| (queue_stream(shard), subject::entry_filter(shard, entry)))
                .collect(),
        };
        for (stream, filter) in places {
            let handle = self.homes.nats.jetstream.get_stream_no_info(&stream).await.map_err(failed)?;
            let mut next = 1;
            loop {
                let look = handle.raw_message_builder().sequence(next).next_by_subject(&filter);
                let message = match look.send().await {
                    Ok(message) => message,
                    Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => break,
                    Err(error) => return Err(failed(error)),
                };
                next = message.sequence + 1;
                let stored = match codec::decode(message.payload).map(|envelope| envelope.body) {
                    Ok(Body::Stored(stored)) => stored,
                    Ok(Body::Inline(_)) | Err(_) => continue,
                };
                // It may have had its end during this look.
                if !self.is_complete(&stored).await? && handle.get_raw_message(message.sequence).await.is_ok()
                {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    async fn is_complete(&self, stored: &BodyRef) -> Result<bool, CheckError> {
        let stream = body_stream(stored.shard);
        let handle = self.homes.nats.jetstream.get_stream_no_info(&stream).await.map_err(failed)?;
        let mut size = 0;
        for sequence in &stored.sequences {
            match handle.get_raw_message(*sequence).await {
                Ok(message) => size += message.payload.len() as u64,
                Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => return Ok(false),
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(size == stored.size)
    }

    fn shards(&self) -> impl Iterator<Item = ShardId> + use<> {
        self.homes.shards.shards()
    }
}

/// What the entries of one pass refer to.
#[derive(Debug)]
struct Known {
    pass: u64,
    of: u64,
    hasher: RandomState,
    /// Entries and dead letters of any kind, by hash.
    owners: HashSet<u64>,
    references: Vec<Reference>,
    /// Where a chunk is -> whose it is, as index into the references.
    chunks: HashMap<(ShardId, u64), usize>,
}

#[derive(Debug)]
struct Reference {
    owner: Owner,
    chunks_left: usize,
    bytes_left: u64,
}

impl Known {
    fn new(pass: u64, of: u64) -> Self {
        Self {
            pass,
            of,
            hasher: RandomState::new(),
            owners: HashSet::new(),
            references: Vec::new(),
            chunks: HashMap::new(),
        }
    }

    fn is_ours(&self, entry: EntryId) -> bool {
        fnv1a(&entry.queue_id.to_string()) % self.of == self.pass
    }

    fn add(&mut self, envelope: &Envelope, is_dead: bool, findings: &mut Findings) {
        if !self.is_ours(envelope.entry) {
            return;
        }
        // A dead letter of an earlier version uses the content of its entry.
        self.owners.insert(self.hasher.hash_one(Owner::Entry(envelope.entry)));
        let owner = if is_dead {
            findings.dead_letters += 1;
            self.owners.insert(self.hasher.hash_one(Owner::DeadLetter(envelope.entry)));
            Owner::DeadLetter(envelope.entry)
        } else {
            findings.entries += 1;
            Owner::Entry(envelope.entry)
        };
        let Body::Stored(stored) = &envelope.body else { return };
        findings.stored += 1;
        findings.stored_bytes += stored.size;
        for sequence in &stored.sequences {
            self.chunks.insert((stored.shard, *sequence), self.references.len());
        }
        let chunks_left = stored.sequences.len();
        self.references.push(Reference { owner, chunks_left, bytes_left: stored.size });
    }

    fn found(&mut self, shard: ShardId, sequence: u64, size: u64) {
        let reference = self.chunks.get(&(shard, sequence)).and_then(|index| self.references.get_mut(*index));
        if let Some(reference) = reference {
            reference.chunks_left = reference.chunks_left.saturating_sub(1);
            reference.bytes_left = reference.bytes_left.wrapping_sub(size);
        }
    }

    /// Whether this pass should know an owner and does not.
    fn lacks(&self, owner: Owner) -> bool {
        self.is_ours(owner.entry()) && !self.owners.contains(&self.hasher.hash_one(owner))
    }

    fn incomplete(&self) -> impl Iterator<Item = Owner> {
        let incomplete = |reference: &&Reference| reference.chunks_left > 0 || reference.bytes_left != 0;
        self.references.iter().filter(incomplete).map(|reference| reference.owner)
    }
}

impl<T> Named<T> {
    fn add(&mut self, one: T) {
        self.count += 1;
        if self.first.len() < MAX_SECOND_LOOKS {
            self.first.push(one);
        }
    }
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self { count: 0, first: Vec::new() }
    }
}
