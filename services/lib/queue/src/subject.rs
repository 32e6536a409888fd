//! The only place where a subject is spelled.
//!
//! `hikyaku.v1.<shard>.<lane>.<destination>.<queue id>.<hop>` is an entry that may be attempted,
//! `hikyaku.v1.<shard>.retry.<destination>.<queue id>.<hop>` one that waits for its time.
//! The entry's id stands in the subject so that there is one schedule for each entry, and so that
//! one entry, or all of a transaction or a destination, can be found without reading others.

use std::{fmt, str::FromStr};

use hikyaku_types::{
    destination::Destination,
    envelope::Lane,
    ids::{EntryId, QueueId},
    shard::ShardId,
};

const ROOT: &str = "hikyaku.v1";
const RETRY: &str = "retry";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subject {
    pub(crate) shard: ShardId,
    pub(crate) place: Place,
    pub(crate) destination: Destination,
    pub(crate) entry: EntryId,
}

/// Where in a shard an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Lane(Lane),
    Retry,
}

impl Place {
    const fn name(self) -> &'static str {
        match self {
            Self::Lane(lane) => lane.name(),
            Self::Retry => RETRY,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a queue subject: {0:?}")]
pub(crate) struct NotASubject(String);

/// One entry, wherever it is in a shard.
pub(crate) fn entry_filter(shard: ShardId, entry: EntryId) -> String {
    Wanted::default().entry(entry).in_shard(shard)
}

/// All subjects of a shard's queue stream.
pub(crate) fn all_of_shard(shard: ShardId) -> String {
    format!("{ROOT}.{shard}.>")
}

/// Everything in one lane of a shard.
pub(crate) fn lane_filter(shard: ShardId, lane: Lane) -> String {
    format!("{ROOT}.{shard}.{}.>", lane.name())
}

/// What is looked for in a shard: what is absent may be anything.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wanted<'a> {
    pub(crate) place: Option<Place>,
    pub(crate) destination: Option<&'a Destination>,
    pub(crate) queue_id: Option<QueueId>,
    pub(crate) hop: Option<u16>,
}

impl Wanted<'_> {
    pub(crate) fn entry(self, entry: EntryId) -> Self {
        Self { queue_id: Some(entry.queue_id), hop: Some(entry.hop), ..self }
    }

    pub(crate) fn in_shard(self, shard: ShardId) -> String {
        let place = self.place.map_or("*", Place::name);
        let destination = self.destination.map_or_else(|| "*".to_owned(), token);
        let queue_id = self.queue_id.map_or_else(|| "*".to_owned(), |id| id.to_string());
        let hop = self.hop.map_or_else(|| "*".to_owned(), |hop| hop.to_string());
        format!("{ROOT}.{shard}.{place}.{destination}.{queue_id}.{hop}")
    }
}

pub(crate) fn all_bodies(shard: ShardId) -> String {
    format!("hikyaku.body.v1.{shard}.*")
}

/// Content of this owner.
pub(crate) fn body(shard: ShardId, owner: Owner) -> String {
    format!("hikyaku.body.v1.{shard}.{owner}")
}

/// The owner of the content that has this subject.
pub(crate) fn body_owner(subject: &str) -> Option<Owner> {
    let token = subject.strip_prefix("hikyaku.body.v1.")?.split_once('.')?.1;
    match token.strip_prefix(DEAD_OWNER) {
        Some(entry) => Some(Owner::DeadLetter(entry.parse().ok()?)),
        None => Some(Owner::Entry(token.parse().ok()?)),
    }
}

const DEAD_OWNER: &str = "dead-";

/// Whose content it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Owner {
    Entry(EntryId),
    /// What became of an entry that has no sender to report to.
    DeadLetter(EntryId),
}

impl Owner {
    pub fn entry(self) -> EntryId {
        match self {
            Self::Entry(entry) | Self::DeadLetter(entry) => entry,
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entry(entry) => entry.fmt(f),
            Self::DeadLetter(entry) => write!(f, "{DEAD_OWNER}{entry}"),
        }
    }
}

/// Questions to the owner of a shard about the sites that it keeps.
pub(crate) fn sites(shard: ShardId) -> String {
    format!("hikyaku.sites.v1.{shard}")
}

/// Questions to any worker about a recipient at its next hop.
pub(crate) const RECIPIENTS: &str = "hikyaku.recipients.v1";
/// Questions to all workers: what do they see of the next hops?
pub(crate) const SURROUNDINGS: &str = "hikyaku.surroundings.v1";
/// To all workers: forget what the DNS said of a domain.
pub(crate) const STALE_NAMES: &str = "hikyaku.stale-names.v1";
pub(crate) const DIAGNOSIS: &str = "hikyaku.diagnosis.v1";
/// To all processes: an operator watches sessions.
pub(crate) const WATCH: &str = "hikyaku.watch.v1";

/// What happened to recipients, many events in each message.
pub(crate) const CUSTODY_BATCH: &str = "hikyaku.custody.v1.batch";
pub(crate) const ALL_CUSTODY: &str = "hikyaku.custody.v1.*";

/// Lines of the mail log, many in each message, by the process that wrote them.
pub(crate) const ALL_LOG_BATCHES: &str = "hikyaku.log.v1.batch.*";
/// What finds messages in them.
pub(crate) const ALL_LOG_SEGMENTS: &str = "hikyaku.log.v1.segment.*";

pub(crate) fn log_batch(process: &str) -> String {
    format!("hikyaku.log.v1.batch.{process}")
}

pub(crate) fn log_segment(process: &str) -> String {
    format!("hikyaku.log.v1.segment.{process}")
}

pub(crate) const ALL_DEAD: &str = "hikyaku.dead.v1.*";

pub(crate) fn dead(entry: EntryId) -> String {
    format!("hikyaku.dead.v1.{entry}")
}

/// The entry that became the dead letter with this subject.
pub(crate) fn dead_entry(subject: &str) -> Option<EntryId> {
    subject.strip_prefix("hikyaku.dead.v1.")?.parse().ok()
}

/// A destination as one token, reversibly: `.` becomes `_`, and what is not a letter, a digit or
/// a hyphen becomes `=` and two hexadecimal digits.
pub(crate) fn token(destination: &Destination) -> String {
    use fmt::Write as _;
    let mut token = String::new();
    for byte in destination.to_string().bytes() {
        match byte {
            b'.' => token.push('_'),
            b'-' | b'0'..=b'9' | b'a'..=b'z' => token.push(char::from(byte)),
            other => {
                let _ = write!(token, "={other:02X}"); // writing to a String cannot fail
            }
        }
    }
    token
}

pub(crate) fn destination(token: &str) -> Option<Destination> {
    let mut text = String::new();
    let mut chars = token.chars();
    while let Some(c) = chars.next() {
        match c {
            '_' => text.push('.'),
            '=' => {
                let hex = chars.as_str().get(..2)?;
                text.push(char::from(u8::from_str_radix(hex, 16).ok()?));
                chars.nth(1);
            }
            other => text.push(other),
        }
    }
    text.parse().ok()
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shard, place, destination, entry: EntryId { queue_id, hop } } = self;
        write!(f, "{ROOT}.{shard}.{}.{}.{queue_id}.{hop}", place.name(), token(destination))
    }
}

impl FromStr for Subject {
    type Err = NotASubject;

    fn from_str(text: &str) -> Result<Self, NotASubject> {
        let parse = || {
            let mut tokens = text.strip_prefix(ROOT)?.strip_prefix('.')?.split('.');
            let shard = ShardId::new(tokens.next()?.parse().ok()?);
            let place = tokens.next()?;
            let place = match Lane::ALL.into_iter().find(|lane| lane.name() == place) {
                Some(lane) => Place::Lane(lane),
                None if place == RETRY => Place::Retry,
                None => return None,
            };
            let destination = destination(tokens.next()?)?;
            let queue_id: QueueId = tokens.next()?.parse().ok()?;
            let entry = queue_id.entry(tokens.next()?.parse().ok()?);
            tokens.next().is_none().then_some(Self { shard, place, destination, entry })
        };
        parse().ok_or_else(|| NotASubject(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        let places = Lane::ALL.map(Place::Lane).into_iter().chain([Place::Retry]);
        for place in places {
            for destination in ["example.org", "a_b.example", "[192.0.2.1]:25", "[2001:db8::1]:2525"] {
                let subject = Subject {
                    shard: ShardId::new(7),
                    place,
                    destination: destination.parse().unwrap(),
                    entry: QueueId::new(1, 2).entry(0),
                };
                assert_eq!(subject.to_string().parse(), Ok(subject));
            }
        }
    }

    /// Frozen: the spelling is on disk.
    #[test]
    fn spelling() {
        let subject = Subject {
            shard: ShardId::new(3),
            place: Place::Retry,
            destination: "[mx.a-b.example]:25".parse().unwrap(),
            entry: QueueId::new(0, 1).entry(2),
        };
        assert_eq!(
            subject.to_string(),
            "hikyaku.v1.3.retry.=5Bmx_a-b_example=5D=3A25.00000000000000000000000001.2"
        );
    }

    /// Frozen as well.
    #[test]
    fn content_names_its_owner() {
        let entry = QueueId::new(0, 1).entry(2);
        for (owner, token) in [(Owner::Entry(entry), ""), (Owner::DeadLetter(entry), "dead-")] {
            let subject = body(ShardId::new(3), owner);
            assert_eq!(subject, format!("hikyaku.body.v1.3.{token}00000000000000000000000001-2"));
            assert_eq!(body_owner(&subject), Some(owner));
        }
        for text in ["hikyaku.body.v1.3.x", "hikyaku.body.v1.3", "hikyaku.v1.3.fresh.a_b.x.0"] {
            assert_eq!(body_owner(text), None);
        }
    }

    #[test]
    fn what_is_looked_for() {
        let destination = "example.org".parse().unwrap();
        let entry = QueueId::new(0, 1).entry(2);
        let shard = ShardId::new(3);
        assert_eq!(Wanted::default().in_shard(shard), "hikyaku.v1.3.*.*.*.*");
        let all = Wanted { place: Some(Place::Retry), destination: Some(&destination), ..Wanted::default() };
        let subject = Subject { shard, place: Place::Retry, destination: destination.clone(), entry };
        assert_eq!(all.entry(entry).in_shard(shard), subject.to_string());
    }

    #[test]
    fn wildcards_and_strangers_are_not_entries() {
        for text in ["hikyaku.v1.3.fresh.>", "hikyaku.v1.3.other.a_b.x.0", "x.y", "hikyaku.v1.3.fresh.a=5"] {
            assert_eq!(text.parse::<Subject>(), Err(NotASubject(text.to_owned())));
        }
    }
}
