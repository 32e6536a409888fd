//! What some batches of a process are about.

use std::{
    collections::HashSet,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use hikyaku_mail_log::Entry;
use hikyaku_proto::queue::v1 as wire;
use prost::Message as _;

use super::filter::{self, Hash};
use crate::codec::{time, timestamp};

/// A segment is a few hundred kilobytes of lines: little enough to be read in vain.
const EVENTS: u32 = 4_000;
/// What is not in a segment yet has to be read by every search.
const AGE: Duration = Duration::from_secs(300);

#[derive(Debug, Default)]
pub(super) struct Gathering {
    keys: HashSet<Hash>,
    /// Batches of it.
    sequences: Option<(u64, u64)>,
    /// Time of its first event and its last.
    times: Option<(SystemTime, SystemTime)>,
    events: u32,
    /// Last batch of the segment before it.
    previous: u64,
}

impl Gathering {
    pub(super) fn add(&mut self, sequence: u64, entries: &[std::sync::Arc<Entry>]) {
        let first = self.sequences.map_or(sequence, |(first, _)| first);
        self.sequences = Some((first, sequence));
        for entry in entries {
            let (from, to) = self.times.unwrap_or((entry.at, entry.at));
            self.times = Some((from.min(entry.at), to.max(entry.at)));
            self.events += 1;
            self.keys.extend(entry.event.keys().iter().map(|key| Hash::of(&key.text())));
        }
    }

    pub(super) fn is_due(&self, now: SystemTime) -> bool {
        let age = self.times.map(|(from, _)| now.duration_since(from).unwrap_or_default());
        self.events >= EVENTS || age.is_some_and(|age| age >= AGE)
    }

    /// `None`: there is nothing in it.
    pub(super) fn written(&self) -> Option<Bytes> {
        let ((first, last), (from, to)) = (self.sequences?, self.times?);
        let segment = wire::LogSegment {
            first,
            last,
            previous: self.previous,
            events: self.events,
            from: Some(timestamp(from)),
            to: Some(timestamp(to)),
            filter: filter::of(self.keys.iter()),
        };
        Some(segment.encode_to_vec().into())
    }

    /// The stream has it.
    pub(super) fn begin_next(&mut self) {
        let previous = self.sequences.map_or(self.previous, |(_, last)| last);
        *self = Self { previous, ..Self::default() };
    }
}

/// Batches of a process that have to be read, by their sequences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) process: String,
    pub(super) first: u64,
    pub(super) last: u64,
    /// When its last event was; what is in no segment counts as newest.
    pub(super) to: Option<SystemTime>,
}

#[derive(Debug)]
pub(super) struct Segment {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) previous: u64,
    pub(super) from: SystemTime,
    pub(super) to: SystemTime,
    filter: Bytes,
}

impl Segment {
    /// `None`: it cannot be read.
    pub(super) fn read(octets: Bytes) -> Option<Self> {
        let segment = wire::LogSegment::decode(octets).ok()?;
        Some(Self {
            first: segment.first,
            last: segment.last,
            previous: segment.previous,
            from: time(segment.from, "from").ok()?,
            to: time(segment.to, "to").ok()?,
            filter: segment.filter,
        })
    }

    pub(super) fn may_hold(&self, keys: &[Hash]) -> bool {
        keys.iter().any(|key| filter::may_hold(&self.filter, *key))
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::UNIX_EPOCH};

    use hikyaku_mail_log::{Event, Key, Place, event::Deleted};

    use super::*;

    fn entry(id: &str, seconds: u64) -> Arc<Entry> {
        let (queue_id, entry) = (id.to_owned(), format!("{id}-0"));
        let event = Event::Deleted(Deleted { queue_id, entry, destination: "x.example".to_owned() });
        Arc::new(Entry::new(event, &Place::default(), UNIX_EPOCH + Duration::from_secs(seconds)).unwrap())
    }

    fn hash(id: &str) -> Hash {
        Hash::of(&Key::QueueId(id.to_lowercase()).text())
    }

    #[test]
    fn a_segment_tells_what_may_be_in_its_batches() {
        let mut gathering = Gathering::default();
        assert!(gathering.written().is_none() && !gathering.is_due(SystemTime::now()));
        gathering.add(7, &[entry("A", 100), entry("B", 90)]);
        gathering.add(11, &[entry("C", 130)]);
        assert!(!gathering.is_due(UNIX_EPOCH + Duration::from_secs(389)));
        assert!(gathering.is_due(UNIX_EPOCH + Duration::from_secs(390)));
        let segment = Segment::read(gathering.written().unwrap()).unwrap();
        assert_eq!((segment.previous, segment.first, segment.last), (0, 7, 11));
        let seconds = |at: SystemTime| at.duration_since(UNIX_EPOCH).unwrap().as_secs();
        assert_eq!((seconds(segment.from), seconds(segment.to)), (90, 130));
        assert!(segment.may_hold(&[hash("C")]) && segment.may_hold(&[hash("Z"), hash("A")]));
        assert!(!segment.may_hold(&[hash("Z")]));

        gathering.begin_next();
        assert!(gathering.written().is_none());
        gathering.add(12, &[entry("D", 140)]);
        let segment = Segment::read(gathering.written().unwrap()).unwrap();
        assert_eq!((segment.previous, segment.first, segment.last), (11, 12, 12));
        assert!(!segment.may_hold(&[hash("A")]));
    }

    #[test]
    fn many_events_make_a_segment_before_its_time() {
        let mut gathering = Gathering::default();
        let entries: Vec<_> = (0..EVENTS).map(|number| entry(&number.to_string(), 100)).collect();
        gathering.add(1, &entries[1..]);
        assert!(!gathering.is_due(UNIX_EPOCH + Duration::from_secs(100)));
        gathering.add(2, &entries[..1]);
        assert!(gathering.is_due(UNIX_EPOCH + Duration::from_secs(100)));
    }
}
