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

/// Events of a segment, which is one message.
const EVENTS: u32 = 4_000;
/// Keys of a segment, at two octets: the broker takes no larger message.
const KEYS: usize = 150_000;
/// Events of a part of it, which is read as a whole: some ten kilobytes.
const EVENTS_OF_A_PART: usize = 250;
/// What is not in a segment yet has to be read by every search.
const AGE: Duration = Duration::from_secs(300);

#[derive(Debug, Default)]
struct Part {
    first: u64,
    last: u64,
    events: usize,
    keys: HashSet<Hash>,
}

#[derive(Debug, Default)]
pub(super) struct Gathering {
    parts: Vec<Part>,
    /// Time of its first event and its last.
    times: Option<(SystemTime, SystemTime)>,
    events: u32,
    /// Last batch of the segment before it.
    previous: u64,
}

impl Gathering {
    pub(super) fn add(&mut self, sequence: u64, entries: &[std::sync::Arc<Entry>]) {
        let mut part = match self.parts.pop() {
            Some(part) if part.events < EVENTS_OF_A_PART => part,
            full => {
                self.parts.extend(full);
                Part { first: sequence, ..Part::default() }
            }
        };
        part.last = sequence;
        for entry in entries {
            let (from, to) = self.times.unwrap_or((entry.at, entry.at));
            self.times = Some((from.min(entry.at), to.max(entry.at)));
            self.events += 1;
            part.events += 1;
            part.keys.extend(entry.event.keys().iter().map(|key| Hash::of(&key.text())));
        }
        self.parts.push(part);
    }

    pub(super) fn is_due(&self, now: SystemTime) -> bool {
        let age = self.times.map(|(from, _)| now.duration_since(from).unwrap_or_default());
        let keys: usize = self.parts.iter().map(|part| part.keys.len()).sum();
        self.events >= EVENTS || keys >= KEYS || age.is_some_and(|age| age >= AGE)
    }

    /// `None`: there is nothing in it.
    pub(super) fn written(&self) -> Option<Bytes> {
        let (first, last, (from, to)) = (self.parts.first()?.first, self.parts.last()?.last, self.times?);
        let part = |part: &Part| {
            let filter = filter::of(part.keys.iter());
            wire::LogPart { first: part.first, last: part.last, filter }
        };
        let segment = wire::LogSegment {
            first,
            last,
            previous: self.previous,
            events: self.events,
            from: Some(timestamp(from)),
            to: Some(timestamp(to)),
            parts: self.parts.iter().map(part).collect(),
        };
        Some(segment.encode_to_vec().into())
    }

    /// The stream will never have it: its batches are in no segment, which a search notices.
    pub(super) fn give_up(&mut self) {
        *self = Self { previous: self.previous, ..Self::default() };
    }

    /// The stream has it.
    pub(super) fn begin_next(&mut self) {
        let previous = self.parts.last().map_or(self.previous, |part| part.last);
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
    parts: Vec<wire::LogPart>,
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
            parts: segment.parts,
        })
    }

    /// Where these keys may be: the first batch and the last of each place. Parts beside each other are one.
    pub(super) fn may_hold(&self, keys: &[Hash]) -> Vec<(u64, u64)> {
        let mut places: Vec<(u64, u64)> = Vec::new();
        let mut is_beside = false;
        for part in &self.parts {
            let holds = keys.iter().any(|key| filter::may_hold(&part.filter, *key));
            match places.last_mut().filter(|_| holds && is_beside) {
                Some((_, last)) => *last = part.last,
                None if holds => places.push((part.first, part.last)),
                None => {}
            }
            is_beside = holds;
        }
        places
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
        for found in [&[hash("C")][..], &[hash("Z"), hash("A")]] {
            assert_eq!(segment.may_hold(found), [(7, 11)]);
        }
        assert_eq!(segment.may_hold(&[hash("Z")]), []);

        gathering.begin_next();
        assert!(gathering.written().is_none());
        gathering.add(12, &[entry("D", 140)]);
        let segment = Segment::read(gathering.written().unwrap()).unwrap();
        assert_eq!((segment.previous, segment.first, segment.last), (11, 12, 12));
        assert_eq!(segment.may_hold(&[hash("A")]), []);
    }

    #[test]
    fn only_the_part_is_read_that_may_hold_it() {
        let mut gathering = Gathering::default();
        for sequence in 1..=1_000 {
            gathering.add(sequence * 10, &[entry(&sequence.to_string(), 100)]);
        }
        let segment = Segment::read(gathering.written().unwrap()).unwrap();
        assert_eq!((segment.first, segment.last), (10, 10_000));
        for (id, place) in
            [("1", (10, 2_500)), ("250", (10, 2_500)), ("251", (2_510, 5_000)), ("1000", (7_510, 10_000))]
        {
            assert_eq!(segment.may_hold(&[hash(id)]), [place], "{id}");
        }
        assert_eq!(segment.may_hold(&[hash("1"), hash("251"), hash("1000")]), [(10, 5_000), (7_510, 10_000)]);
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
