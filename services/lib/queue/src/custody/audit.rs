//! Reads the custody stream and the queue, and compares them.
//!
//! First the events, then the subjects of the queue, then the events that came meanwhile. An end
//! is written before its entry leaves the queue, so an entry that was not seen there any more has
//! its end among the events read after it. An entry that changed its shard between two looks can
//! be in neither: what is missed is looked for a second time.

use std::time::{Duration, SystemTime};

use hikyaku_types::{ids::EntryId, shard::ShardCount};

use super::{
    Event, codec,
    ledger::{Ledger, Pass, Suspect},
};
use crate::{
    Nats,
    stream::{self, From, Reading},
    subject::{self, Subject},
    topology::{CUSTODY_STREAM, queue_stream},
};

pub use super::ledger::{Tally, Window};

/// What one pass may hold: the events of some 1,400,000 messages, which take 70 MB, or
/// 105 MB for a moment.
const PASS_BYTES: u64 = 256 * 1024 * 1024;
/// Or so many entries in the queue, which take 35 MB.
const PASS_ENTRIES: u64 = 2_000_000;
/// Clocks of machines differ, and an event is written a little after it happened.
const CLOCKS: Duration = Duration::from_secs(60);
const LOOKS: u32 = 2;
const EVENTS: Reading<'static> =
    Reading { stream: CUSTODY_STREAM, filter: subject::ALL_CUSTODY, messages: 1_000 };

#[derive(Debug, thiserror::Error)]
#[error("failed to read the queue or its custody")]
pub struct AuditError(#[source] async_nats::Error);

fn failed(error: async_nats::Error) -> AuditError {
    AuditError(error)
}

#[derive(Debug)]
pub struct Audit {
    pub tally: Tally,
    /// The first of those that are missing.
    pub missing: Vec<Missing>,
}

/// A recipient that was promised, has no end and is not in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The entry that it was accepted in.
    pub entry: EntryId,
    pub recipient: String,
    pub accepted_at: SystemTime,
}

#[derive(Clone, Debug)]
pub struct Auditor {
    nats: Nats,
    shards: ShardCount,
}

impl Auditor {
    pub fn new(nats: Nats, shards: ShardCount) -> Self {
        Self { nats, shards }
    }

    /// Names at most `limit` of those that are missing.
    pub async fn audit(&self, window: Window, limit: usize) -> Result<Audit, AuditError> {
        let mut audit = Audit { tally: Tally::default(), missing: Vec::new() };
        let of = self.passes(window).await?;
        for index in 0..of {
            let mut ledger = Ledger::new(window, Pass { index, of });
            let suspects = self.fill(&mut ledger, window).await?;
            audit.tally.add(&ledger.tally());
            let room = limit.saturating_sub(audit.missing.len());
            let named = suspects.get(..room.min(suspects.len())).unwrap_or_default();
            self.name(&ledger, named, &mut audit.missing).await?;
        }
        audit.missing.sort_by_key(|missing| (missing.accepted_at, missing.entry));
        Ok(audit)
    }

    async fn fill(&self, ledger: &mut Ledger, window: Window) -> Result<Vec<Suspect>, AuditError> {
        let start = From::Time(window.since.checked_sub(CLOCKS).unwrap_or(window.since));
        let mut next = self.read_events(ledger, start).await?;
        for look in 1.. {
            self.read_queue(ledger).await?;
            next = self.read_events(ledger, next).await?;
            let suspects = ledger.suspects();
            if suspects.is_empty() || look == LOOKS {
                return Ok(suspects);
            }
        }
        Ok(Vec::new())
    }

    /// Up to what the stream holds now. Returns where the next reading begins.
    async fn read_events(&self, ledger: &mut Ledger, from: From) -> Result<From, AuditError> {
        let extent = stream::extent(&self.nats, CUSTODY_STREAM).await.map_err(failed)?;
        let mut from = from;
        while extent.reaches(from) {
            let batch = EVENTS.next_of(&self.nats, from, &extent).await.map_err(failed)?;
            from = From::Sequence(batch.messages.last().map_or(extent.last, |it| it.sequence) + 1);
            for message in batch.messages {
                match codec::decode(message.payload) {
                    Ok(events) => events.for_each(|event| ledger.read(event.as_ref(), message.sequence)),
                    Err(error) => {
                        tracing::error!(sequence = message.sequence, %error, "custody cannot be read");
                        ledger.read(None, message.sequence);
                    }
                }
            }
        }
        // The next reading begins behind what was there, also when there was nothing.
        Ok(match from {
            From::Sequence(_) => from,
            From::Time(_) => From::Sequence(extent.last + 1),
        })
    }

    async fn read_queue(&self, ledger: &mut Ledger) -> Result<(), AuditError> {
        for shard in self.shards.shards() {
            let entries = |name: &str| {
                if let Ok(subject) = name.parse::<Subject>() {
                    ledger.saw_in_queue(subject.entry);
                }
            };
            let (stream, filter) = (queue_stream(shard), subject::all_of_shard(shard));
            stream::subjects(&self.nats, &stream, &filter, entries).await.map_err(failed)?;
        }
        Ok(())
    }

    /// Looks the suspects up where they were accepted.
    async fn name(
        &self,
        ledger: &Ledger,
        suspects: &[Suspect],
        missing: &mut Vec<Missing>,
    ) -> Result<(), AuditError> {
        for same_place in suspects.chunk_by(|one, other| one.place == other.place) {
            let Some(place) = same_place.first().map(|suspect| suspect.place) else { continue };
            let one = Reading { messages: 1, ..EVENTS };
            let batch = one.next(&self.nats, From::Sequence(place)).await.map_err(failed)?;
            let found = batch.messages.into_iter().find(|message| message.sequence == place);
            let Some(Ok(events)) = found.map(|message| codec::decode(message.payload)) else { continue };
            for event in events.flatten() {
                let Event::Accepted { entry, recipients, at, .. } = event else { continue };
                let names = ledger.names(entry, &recipients, same_place).cloned();
                missing.extend(names.map(|recipient| Missing { entry, recipient, accepted_at: at }));
            }
        }
        Ok(())
    }

    /// How often the stream is read, so that what is remembered has a limit.
    async fn passes(&self, window: Window) -> Result<u64, AuditError> {
        let extent = stream::extent(&self.nats, CUSTODY_STREAM).await.map_err(failed)?;
        let one = Reading { messages: 1, ..EVENTS };
        let start = From::Time(window.since.checked_sub(CLOCKS).unwrap_or(window.since));
        let first = one.next_of(&self.nats, start, &extent).await.map_err(failed)?;
        let first = first.messages.first().map_or(extent.last, |message| message.sequence);
        let messages = extent.last.saturating_sub(first) + 1;
        let bytes = extent.bytes / extent.messages.max(1) * messages;
        let mut entries = 0;
        for shard in self.shards.shards() {
            entries += stream::extent(&self.nats, &queue_stream(shard)).await.map_err(failed)?.messages;
        }
        Ok((bytes / PASS_BYTES).max(entries / PASS_ENTRIES) + 1)
    }
}
