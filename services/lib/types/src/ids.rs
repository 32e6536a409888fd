//! Identities. An id of one kind does not fit where another is wanted.

use std::{
    fmt,
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ulid::Ulid;

/// One accepted SMTP transaction; the id that the 250 reply says (SEED-136).
///
/// 48 bits of milliseconds and 80 random bits, so nodes need not talk to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueId(Ulid);

/// One queue entry: a transaction's message for one of its next hops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryId {
    pub queue_id: QueueId,
    pub hop: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id: a queue id is 26 letters and digits, an entry id adds -N")]
pub struct NotAnId;

impl QueueId {
    /// `random` is drawn by the caller; only its low 80 bits count.
    pub fn new(unix_millis: u64, random: u128) -> Self {
        Self(Ulid::from_parts(unix_millis, random))
    }

    /// When it was made, by the clock of the machine that made it.
    pub fn made_at(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.0.timestamp_ms())
    }

    pub fn entry(self, hop: u16) -> EntryId {
        EntryId { queue_id: self, hop }
    }
}

impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buffer = [0; ulid::ULID_LEN];
        f.write_str(self.0.array_to_str(&mut buffer))
    }
}

impl FromStr for QueueId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        Ulid::from_string(text).map(Self).map_err(|_| NotAnId)
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.queue_id, self.hop)
    }
}

impl FromStr for EntryId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let (queue_id, hop) = text.split_once('-').ok_or(NotAnId)?;
        Ok(Self { queue_id: queue_id.parse()?, hop: hop.parse().map_err(|_| NotAnId)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        let entry = QueueId::new(1_795_000_000_000, 0x1234_5678_9abc).entry(3);
        assert_eq!(entry.to_string().parse(), Ok(entry));
        assert_eq!(entry.queue_id.to_string().len(), 26);
        for text in ["", "x", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "01ARZ3NDEKTSV4RRFFQ69G5FAV-x"] {
            assert_eq!(text.parse::<EntryId>(), Err(NotAnId), "{text:?}");
        }
    }

    #[test]
    fn later_ids_sort_later() {
        assert!(QueueId::new(1, u128::MAX) < QueueId::new(2, 0));
        assert_eq!(QueueId::new(2, 7).made_at(), UNIX_EPOCH + Duration::from_millis(2));
    }
}
