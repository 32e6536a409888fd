//! Events and what is in the queue -> what has no end. Pure.
//!
//! A recipient takes 40 to 80 bytes here: its name stays in the stream, where the place of its
//! acceptance finds it again. Of very many messages a ledger keeps only a part, by queue id, and
//! the next pass another one.

use std::{
    collections::{HashMap, HashSet, hash_map::RandomState},
    hash::BuildHasher as _,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hikyaku_types::ids::{EntryId, QueueId};

use super::{End, Event};

/// Which acceptances an audit is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub since: SystemTime,
    /// What was accepted later may be on its way into the queue: it is not missed yet.
    pub until: SystemTime,
}

/// One pass of several, each with another part of the queue ids.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pass {
    pub(crate) index: u64,
    pub(crate) of: u64,
}

/// Recipients, counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Promised within the window.
    pub accepted: u64,
    /// By [`End::ALL`]; each recipient once, with its first end.
    pub ended: [u64; End::ALL.len()],
    /// Without an end, and in the queue.
    pub queued: u64,
    /// Accepted too late to be missed.
    pub young: u64,
    /// With more than one end.
    pub duplicates: u64,
    /// Those of them whose attempt was made again because it could not be recorded.
    pub repeated: u64,
    /// Recorded, but the queue refused or the process died before anybody was told.
    pub unpromised: u64,
    /// No end, and not in the queue.
    pub missing: u64,
    /// Events that this version does not understand.
    pub unknown_events: u64,
}

/// A recipient that is missed: its key and the stream sequence of its acceptance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Suspect {
    pub(crate) place: u64,
    pub(crate) key: u64,
}

#[derive(Debug)]
pub(crate) struct Ledger {
    window: Window,
    pass: Pass,
    hasher: RandomState,
    recipients: HashMap<u64, Record>,
    /// Transactions that were accepted and of which it was not said that all entries are stored,
    /// with their entries.
    unpromised: HashMap<u64, Vec<u64>>,
    /// Entries that were seen in the queue.
    queued: HashSet<u64>,
    /// Entries that operators removed.
    removed: HashSet<u64>,
    unknown_events: u64,
}

/// What is known of a recipient; there are many of them.
#[derive(Debug, Clone, Copy, Default)]
struct Record {
    /// The entry that it is in; 0: not known yet.
    entry: u64,
    /// Stream sequence of its acceptance; 0: none in the window.
    place: u64,
    /// Seconds after 1970.
    accepted_at: u32,
    ends: Ends,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Ends {
    #[default]
    None,
    One {
        end: End,
        attempt: u8,
    },
    /// `repeated`: the last one is of the same attempt as the first.
    Several {
        end: End,
        attempt: u8,
        repeated: bool,
    },
}

impl Ledger {
    pub(crate) fn new(window: Window, pass: Pass) -> Self {
        Self {
            window,
            pass,
            hasher: RandomState::new(),
            recipients: HashMap::new(),
            unpromised: HashMap::new(),
            queued: HashSet::new(),
            removed: HashSet::new(),
            unknown_events: 0,
        }
    }

    /// `place` is the stream sequence that the event came with.
    pub(crate) fn read(&mut self, event: Option<&Event>, place: u64) {
        let Some(event) = event else {
            // Each pass reads them all; one counts them.
            self.unknown_events += u64::from(self.pass.index == 0);
            return;
        };
        match event {
            Event::Accepted { entry, recipients, at, .. } => {
                if !self.is_ours(entry.queue_id) || *at < self.window.since {
                    return;
                }
                let (accepted_at, home) = (seconds(*at), self.hasher.hash_one(entry));
                self.unpromised.entry(self.hasher.hash_one(entry.queue_id)).or_default().push(home);
                for recipient in recipients {
                    let record = self.record(entry.queue_id, recipient);
                    record.place = place;
                    record.accepted_at = accepted_at;
                    if record.entry == 0 {
                        record.entry = home;
                    }
                }
            }
            Event::Stored { queue_id, .. } => {
                if self.is_ours(*queue_id) {
                    self.unpromised.remove(&self.hasher.hash_one(queue_id));
                }
            }
            Event::Ended { entry, recipient, end, attempt, .. } => {
                if !self.is_ours(entry.queue_id) {
                    return;
                }
                let attempt = u8::try_from(*attempt).unwrap_or(u8::MAX);
                let record = self.record(entry.queue_id, recipient);
                record.ends = record.ends.and(*end, attempt);
            }
            Event::Moved { to, recipients, .. } => {
                if !self.is_ours(to.queue_id) {
                    return;
                }
                let home = self.hasher.hash_one(to);
                for recipient in recipients {
                    let record = self.record(to.queue_id, recipient);
                    record.entry = home;
                }
            }
            Event::Removed { entry, .. } => {
                if self.is_ours(entry.queue_id) {
                    self.removed.insert(self.hasher.hash_one(entry));
                }
            }
        }
    }

    /// An entry that is in the queue, or was a moment ago.
    pub(crate) fn saw_in_queue(&mut self, entry: EntryId) {
        if self.is_ours(entry.queue_id) {
            self.queued.insert(self.hasher.hash_one(entry));
        }
    }

    pub(crate) fn tally(&self) -> Tally {
        let unpromised = self.unpromised_entries();
        let mut tally = Tally { unknown_events: self.unknown_events, ..Tally::default() };
        for record in self.recipients.values().filter(|record| record.place > 0) {
            let fate = self.fate(record, &unpromised);
            tally.accepted += u64::from(fate != Fate::Unpromised);
            if let Ends::Several { repeated, .. } = record.ends {
                tally.duplicates += 1;
                tally.repeated += u64::from(repeated);
            }
            match fate {
                Fate::Ended(end) => tally.count(end),
                Fate::Queued => tally.queued += 1,
                Fate::Young => tally.young += 1,
                Fate::Unpromised => tally.unpromised += 1,
                Fate::Missing => tally.missing += 1,
            }
        }
        tally
    }

    /// The recipients that are missed, in the order of their acceptance.
    pub(crate) fn suspects(&self) -> Vec<Suspect> {
        let unpromised = self.unpromised_entries();
        let missing = self
            .recipients
            .iter()
            .filter(|(_, record)| record.place > 0 && self.fate(record, &unpromised) == Fate::Missing);
        let mut suspects: Vec<Suspect> =
            missing.map(|(key, record)| Suspect { place: record.place, key: *key }).collect();
        suspects.sort_unstable();
        suspects
    }

    /// The recipients of an acceptance that are among the suspects.
    pub(crate) fn names<'a>(
        &'a self,
        entry: EntryId,
        recipients: &'a [String],
        suspects: &'a [Suspect],
    ) -> impl Iterator<Item = &'a String> {
        recipients.iter().filter(move |recipient| {
            let key = self.key(entry.queue_id, recipient);
            suspects.iter().any(|suspect| suspect.key == key)
        })
    }

    fn fate(&self, record: &Record, unpromised: &HashSet<u64>) -> Fate {
        match record.ends {
            Ends::One { end, .. } | Ends::Several { end, .. } => Fate::Ended(end),
            Ends::None if self.queued.contains(&record.entry) => Fate::Queued,
            Ends::None if self.removed.contains(&record.entry) => Fate::Ended(End::Deleted),
            Ends::None if record.accepted_at >= seconds(self.window.until) => Fate::Young,
            Ends::None if unpromised.contains(&record.entry) => Fate::Unpromised,
            Ends::None => Fate::Missing,
        }
    }

    fn unpromised_entries(&self) -> HashSet<u64> {
        self.unpromised.values().flatten().copied().collect()
    }

    fn is_ours(&self, queue_id: QueueId) -> bool {
        // The same in each pass, so not with this ledger's own hasher.
        let text = queue_id.to_string();
        self.pass.of <= 1 || hikyaku_types::shard::fnv1a(&text) % self.pass.of == self.pass.index
    }

    fn key(&self, queue_id: QueueId, recipient: &str) -> u64 {
        self.hasher.hash_one((queue_id, recipient))
    }

    fn record(&mut self, queue_id: QueueId, recipient: &str) -> &mut Record {
        let key = self.key(queue_id, recipient);
        self.recipients.entry(key).or_default()
    }
}

impl Ends {
    fn and(self, end: End, attempt: u8) -> Self {
        match self {
            Self::None => Self::One { end, attempt },
            Self::One { end, attempt: first } | Self::Several { end, attempt: first, .. } => {
                Self::Several { end, attempt: first, repeated: attempt == first && attempt > 0 }
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Ended(End),
    Queued,
    Young,
    Unpromised,
    Missing,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        self.accepted += other.accepted;
        for (count, more) in self.ended.iter_mut().zip(other.ended) {
            *count += more;
        }
        self.queued += other.queued;
        self.young += other.young;
        self.duplicates += other.duplicates;
        self.repeated += other.repeated;
        self.unpromised += other.unpromised;
        self.missing += other.missing;
        self.unknown_events += other.unknown_events;
    }

    pub fn of(&self, end: End) -> u64 {
        End::ALL.iter().zip(self.ended).find(|(of, _)| **of == end).map_or(0, |(_, count)| count)
    }

    fn count(&mut self, end: End) {
        for (_, count) in End::ALL.iter().zip(&mut self.ended).filter(|(of, _)| **of == end) {
            *count += 1;
        }
    }
}

impl Window {
    /// Acceptances of the last `since`, without those of the last `older_than`.
    pub fn before(now: SystemTime, since: Duration, older_than: Duration) -> Self {
        Self {
            since: now.checked_sub(since).unwrap_or(UNIX_EPOCH),
            until: now.checked_sub(older_than).unwrap_or(UNIX_EPOCH),
        }
    }
}

/// Enough until 2106.
fn seconds(at: SystemTime) -> u32 {
    u32::try_from(at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
