//! What is known of a message: its lines, from all processes, in the order of time.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    ops::RangeInclusive,
    time::{Duration, SystemTime},
};

use futures::{StreamExt as _, TryStreamExt as _};
use hikyaku_mail_log::{Entry, Event, Key, fold};
use hikyaku_types::{ids::QueueId, text::rfc3339};

use super::{
    filter::Hash,
    segment::{Segment, Stretch},
};
use crate::{
    Nats,
    stream::{self, From, Reading},
    subject,
    topology::{LOG_INDEX_STREAM, LOG_STREAM},
};

/// Clocks of machines differ.
const MARGIN: Duration = Duration::from_secs(60);
const SEGMENTS: Reading<'static> =
    Reading { stream: LOG_INDEX_STREAM, filter: subject::ALL_LOG_SEGMENTS, messages: 1_000 };
/// Batches that are asked for at first, and at most. A question costs the broker what 1,000 batches do, because it finds
/// and unpacks a block of its file and counts what else there is, so a part is read by one; what it sends beyond a part is
/// for nothing.
const BATCHES: (usize, usize) = (128, 500);
/// As long as a queue id is.
const ID_LENGTH: usize = 26;
/// Stretches that are read at the same time.
const PARALLEL: usize = 4;
/// Who looks for a sender of very much mail gets its newest messages and no more lines than a person reads.
const MOST_LINES: usize = 10_000;
/// Each of them seems to be in one of 2,000 parts of the log where it is not.
const IDS_AT_ONCE: usize = 250;

#[derive(Debug, Clone)]
pub struct Query {
    /// Each of them fits. A queue id is alone.
    pub keys: Vec<Key>,
    pub since: SystemTime,
    pub until: SystemTime,
    /// The newest so many messages, and so many refusals.
    pub messages: usize,
}

#[derive(Debug, Default)]
pub struct Found {
    /// JSON, as it was written, in the order of time; lines of one time in the order of their writing.
    pub lines: Vec<String>,
    /// There are more than were asked for.
    pub has_more: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("failed to read the mail log")]
pub struct SearchError(#[source] async_nats::Error);

/// Everything about the messages that fit, and about the reports that they led to. Refusals have no message: they are
/// told where they fit themselves.
pub async fn find(nats: &Nats, query: &Query) -> Result<Found, SearchError> {
    let search = Search { nats };
    search.find(query).await.map_err(SearchError)
}

/// Sequence of its batch, and its number there.
type Place = (u64, usize);
/// The time that a line begins with, and the line.
type Lines = BTreeMap<(String, u64, usize), String>;

/// A key, and when the first line about it may be.
type Sought = (Hash, SystemTime);

struct Search<'a> {
    nats: &'a Nats,
}

impl Search<'_> {
    async fn find(&self, query: &Query) -> Result<Found, async_nats::Error> {
        let mut found = Found::default();
        let mut lines = Lines::new();
        let mut ids = BTreeSet::new();
        match &query.keys[..] {
            [Key::QueueId(id)] => {
                ids.insert(id.to_uppercase());
            }
            _ => found.has_more = self.messages_of(query, &mut ids, &mut lines).await?,
        }
        // What belongs to them is known after they were read: reports, and what was sent again.
        let mut known = BTreeSet::new();
        for _ in 0..3 {
            // The newest first: an id begins with its time.
            let mut new: Vec<String> = ids.difference(&known).cloned().collect();
            new.reverse();
            for some in new.chunks(IDS_AT_ONCE) {
                if lines.len() > MOST_LINES {
                    found.has_more = true;
                    break;
                }
                ids.extend(self.lives_of(some, &mut lines).await?);
                known.extend(some.iter().cloned());
            }
        }
        let left_out = lines.len().saturating_sub(MOST_LINES);
        found.has_more |= left_out > 0;
        // A batch whose acknowledgement was lost for minutes stands there twice.
        let mut seen = HashSet::new();
        found.lines = lines.into_values().skip(left_out).filter(|line| seen.insert(line.clone())).collect();
        Ok(found)
    }

    /// The newest messages that fit; true: there are more.
    async fn messages_of(
        &self,
        query: &Query,
        ids: &mut BTreeSet<String>,
        refusals: &mut Lines,
    ) -> Result<bool, async_nats::Error> {
        let since = before(query.since);
        let sought: Vec<Sought> = query.keys.iter().map(|key| (Hash::of(&key.text()), since)).collect();
        let mut stretches = self.stretches(&sought, Some(query.until)).await?;
        // The newest first. What is in no segment is newer than all that is.
        stretches.sort_by_key(|stretch| std::cmp::Reverse(stretch.to.map_or((1, None), |to| (0, Some(to)))));
        let mut newest = BTreeMap::new();
        let mut done = 0;
        for some in stretches.chunks(PARALLEL) {
            let read = some.iter().map(|stretch| self.beginnings(stretch, query));
            for (place, line, id) in futures::future::try_join_all(read).await?.into_iter().flatten() {
                let at = timestamp(&line).to_owned();
                match id {
                    Some(id) => drop(newest.entry(id).or_insert(at)),
                    None => drop(refusals.insert((at, place.0, place.1), line)),
                }
            }
            done += some.len();
            // Enough that is newer than all that was not read. A tail may be of any time.
            let horizon = match stretches.get(done) {
                None => break,
                Some(Stretch { to: None, .. }) => continue,
                Some(Stretch { to: Some(to), .. }) => rfc3339(*to),
            };
            let messages = newest.values().filter(|at| **at > horizon).count();
            let refused = refusals.keys().filter(|(at, ..)| *at > horizon).count();
            if messages.max(refused) > query.messages {
                break;
            }
            while refusals.len() > MOST_LINES {
                refusals.pop_first();
            }
        }
        Ok(keep_newest(newest, query.messages, ids, refusals) || done < stretches.len())
    }

    /// Lines that fit, with the messages that they are about.
    async fn beginnings(
        &self,
        stretch: &Stretch,
        query: &Query,
    ) -> Result<Vec<(Place, String, Option<String>)>, async_nats::Error> {
        let mut found = Vec::new();
        let each = |place: Place, line: &str, event: &Event| {
            if event.keys().iter().any(|key| query.keys.contains(key)) && is_within(line, query) {
                found.push((place, line.to_owned(), event.queue_id().map(str::to_owned)));
            }
        };
        let needles = Needles::of(&query.keys);
        self.read(stretch, |line| needles.may_be_in(line), each).await?;
        Ok(found)
    }

    /// All lines about these, and the ids of what belongs to them.
    async fn lives_of(&self, ids: &[String], lines: &mut Lines) -> Result<Vec<String>, async_nats::Error> {
        // An id says when its life began.
        let began_at =
            |id: &String| id.parse::<QueueId>().map_or(SystemTime::UNIX_EPOCH, |id| before(id.made_at()));
        let key = |id: &String| Hash::of(&Key::QueueId(fold(id)).text());
        let sought: Vec<Sought> = ids.iter().map(|id| (key(id), began_at(id))).collect();
        let ids: &HashSet<&str> = &ids.iter().map(String::as_str).collect();
        let stretches = self.stretches(&sought, None).await?;
        let read = futures::stream::iter(stretches).map(|stretch| async move {
            let (mut lines, mut others) = (Vec::new(), Vec::new());
            self.read(
                &stretch,
                |line| names_one_of(line, ids),
                |place, line, event| {
                    let is_meant = |id: &str| ids.contains(id.to_uppercase().as_str());
                    if event.queue_id().is_some_and(is_meant) || event.other_queue_id().is_some_and(is_meant)
                    {
                        lines.push(((began(line, event), place.0, place.1), line.to_owned()));
                        others.extend(
                            [event.queue_id(), event.other_queue_id()]
                                .into_iter()
                                .flatten()
                                .map(str::to_owned),
                        );
                    }
                },
            )
            .await?;
            Ok::<_, async_nats::Error>((lines, others))
        });
        let mut read = read.buffered(PARALLEL);
        let mut others = Vec::new();
        while let Some((found, of)) = read.try_next().await? {
            lines.extend(found);
            others.extend(of);
            if lines.len() > MOST_LINES {
                break;
            }
        }
        Ok(others)
    }

    /// Where lines about these may be.
    async fn stretches(
        &self,
        sought: &[Sought],
        until: Option<SystemTime>,
    ) -> Result<Vec<Stretch>, async_nats::Error> {
        let since = sought.iter().map(|(_, since)| *since).min().unwrap_or(SystemTime::UNIX_EPOCH);
        let mut stretches = Vec::new();
        // What of each process is in segments: up to this batch.
        let mut covered: HashMap<String, u64> = HashMap::new();
        let extent = stream::extent(self.nats, LOG_INDEX_STREAM).await?;
        // A segment is written after everything that is in it.
        let mut from = From::Time(since);
        while extent.reaches(from) {
            let batch = SEGMENTS.next_of(self.nats, from, &extent).await?;
            from = From::Sequence(batch.messages.last().map_or(extent.last, |it| it.sequence) + 1);
            for message in batch.messages {
                // Sessions have their turn.
                tokio::task::yield_now().await;
                let process = message.subject.rsplit('.').next().unwrap_or_default().to_owned();
                let Some(segment) = Segment::read(message.payload) else {
                    tracing::error!(sequence = message.sequence, "a segment of the mail log cannot be read");
                    continue;
                };
                // Where one is missing before it, what that was about has to be read.
                let gap = match covered.insert(process.clone(), segment.last) {
                    Some(up_to) if up_to != segment.previous => Some(up_to + 1),
                    None if segment.previous > 0 => {
                        Some(self.first_since(&subject::log_batch(&process), since).await?)
                    }
                    Some(_) | None => None,
                };
                if let Some(first) = gap {
                    let last = segment.first.saturating_sub(1);
                    if first <= last {
                        stretches.push(Stretch {
                            process: process.clone(),
                            first,
                            last,
                            to: Some(segment.from),
                        });
                    }
                }
                if until.is_none_or(|until| segment.from <= until) {
                    let of_its_time = sought.iter().filter(|(_, since)| segment.to >= *since);
                    let keys: Vec<Hash> = of_its_time.map(|(key, _)| *key).collect();
                    let places = segment.may_hold(&keys);
                    stretches.extend(places.into_iter().map(|(first, last)| Stretch {
                        process: process.clone(),
                        first,
                        last,
                        to: Some(segment.to),
                    }));
                }
            }
        }
        stretches.extend(self.tails(&covered, since).await?);
        Ok(stretches)
    }

    /// What is in no segment yet, or never will be, because its process was killed.
    async fn tails(
        &self,
        covered: &HashMap<String, u64>,
        since: SystemTime,
    ) -> Result<Vec<Stretch>, async_nats::Error> {
        let mut subjects = Vec::new();
        let note = |subject: &str| subjects.push(subject.to_owned());
        stream::subjects(self.nats, LOG_STREAM, subject::ALL_LOG_BATCHES, note).await?;
        let tails = futures::stream::iter(subjects).map(|subject| async move {
            let process = subject.rsplit('.').next().unwrap_or_default().to_owned();
            let Some(last) = stream::last(self.nats, LOG_STREAM, &subject).await? else { return Ok(None) };
            let last = last.sequence;
            let first = match covered.get(&process) {
                Some(covered) => covered + 1,
                None => self.first_since(&subject, since).await?,
            };
            let stretch = Stretch { process, first, last, to: None };
            Ok::<_, async_nats::Error>((first <= last).then_some(stretch))
        });
        tails.buffer_unordered(PARALLEL * 2).try_filter_map(async |stretch| Ok(stretch)).try_collect().await
    }

    /// Sequence of the first batch after this time; behind all: there is none.
    async fn first_since(&self, subject: &str, since: SystemTime) -> Result<u64, async_nats::Error> {
        let reading = Reading { stream: LOG_STREAM, filter: subject, messages: 1 };
        let batch = reading.next(self.nats, From::Time(since)).await?;
        Ok(batch.messages.first().map_or(u64::MAX, |message| message.sequence))
    }

    /// `each` hears of the place of a line, the line and what it says, where `is_wanted`.
    async fn read(
        &self,
        stretch: &Stretch,
        is_wanted: impl Fn(&str) -> bool,
        mut each: impl FnMut(Place, &str, &Event),
    ) -> Result<(), async_nats::Error> {
        let filter = subject::log_batch(&stretch.process);
        let most = stretch.last.saturating_sub(stretch.first).saturating_add(1);
        let messages = usize::try_from(most).unwrap_or(usize::MAX).min(BATCHES.0);
        let mut reading = Reading { stream: LOG_STREAM, filter: &filter, messages };
        let mut from = stretch.first;
        while from <= stretch.last {
            let batch = reading.next(self.nats, From::Sequence(from)).await?;
            // Gone already: they have passed their age.
            let Some(newest) = batch.messages.last() else { return Ok(()) };
            reading.messages = as_many_as_follow(batch.messages.len(), from..=newest.sequence, stretch.last);
            from = newest.sequence + 1;
            for message in batch.messages.iter().filter(|message| message.sequence <= stretch.last) {
                // Sessions have their turn.
                tokio::task::yield_now().await;
                let text = String::from_utf8_lossy(&message.payload);
                for (number, line) in text.lines().enumerate().filter(|(_, line)| is_wanted(line)) {
                    // An event of a later version cannot be understood.
                    if let Ok(event) = Entry::read(line) {
                        each((message.sequence, number), line, &event);
                    }
                }
            }
        }
        Ok(())
    }
}

/// So many stood within `read`, as far as that goes: there are as many in the rest, if they are as dense there. Other
/// processes write between them.
fn as_many_as_follow(count: usize, read: RangeInclusive<u64>, last: u64) -> usize {
    let (length, rest) = (read.end() - read.start() + 1, last.saturating_sub(*read.end()));
    let expected = rest.saturating_mul(count as u64).div_ceil(length);
    usize::try_from(expected).unwrap_or(usize::MAX).saturating_add(1).min(BATCHES.1)
}

/// What has to stand in a line that is about one of the keys: the others are not taken to pieces.
struct Needles(Option<Vec<String>>);

impl Needles {
    fn of(keys: &[Key]) -> Self {
        let needle = |key: &Key| match key {
            Key::Sender(text) if text.is_empty() => {
                Some(vec![r#""sender":"""#.to_owned(), r#""sender":"<>""#.to_owned()])
            }
            Key::QueueId(text) | Key::MessageId(text) | Key::Sender(text) | Key::Recipient(text) => {
                let is_written_as_it_is = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\');
                text.chars().all(is_written_as_it_is).then(|| vec![text.clone()])
            }
        };
        Self(keys.iter().map(needle).collect::<Option<Vec<_>>>().map(|needles| needles.concat()))
    }

    /// Other scripts have letters that become ASCII when they are made small.
    fn may_be_in(&self, line: &str) -> bool {
        let Some(needles) = self.0.as_ref().filter(|_| line.is_ascii()) else { return true };
        let line = line.to_ascii_lowercase();
        needles.iter().any(|needle| line.contains(needle))
    }
}

/// Ids stand at the beginning of a text: of an entry too.
fn names_one_of(line: &str, ids: &HashSet<&str>) -> bool {
    line.split('"').any(|text| text.get(..ID_LENGTH).is_some_and(|id| ids.contains(id)))
}

/// Where a line stands in the life of its message. An acceptance is written when all of its entries are stored, and a
/// worker may have begun with one of them: the id was made before.
fn began(line: &str, event: &Event) -> String {
    if let Event::Accepted(event) = event
        && let Ok(id) = event.queue_id.parse::<QueueId>()
    {
        return rfc3339(id.made_at());
    }
    timestamp(line).to_owned()
}

fn before(at: SystemTime) -> SystemTime {
    at.checked_sub(MARGIN).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// As it stands at the beginning of each line.
fn timestamp(line: &str) -> &str {
    line.strip_prefix(r#"{"timestamp":""#).and_then(|rest| rest.split('"').next()).unwrap_or_default()
}

fn is_within(line: &str, query: &Query) -> bool {
    (rfc3339(query.since)..=rfc3339(query.until)).contains(&timestamp(line).to_owned())
}

/// True: some were left out.
fn keep_newest(
    newest: BTreeMap<String, String>,
    count: usize,
    ids: &mut BTreeSet<String>,
    refusals: &mut Lines,
) -> bool {
    let mut by_time: Vec<(String, String)> = newest.into_iter().map(|(id, at)| (at, id)).collect();
    by_time.sort_unstable();
    let has_more = by_time.len() > count || refusals.len() > count;
    ids.extend(by_time.into_iter().rev().take(count).map(|(_, id)| id));
    while refusals.len() > count {
        refusals.pop_first();
    }
    has_more
}

#[cfg(test)]
mod tests {
    use hikyaku_mail_log::{
        Place,
        event::{Accepted, Refused, Reported, Resent},
    };

    use super::*;

    #[test]
    fn no_more_is_asked_for_than_there_is() {
        // One of six processes; the part ends with the 125th batch.
        assert_eq!(as_many_as_follow(64, 1..=384, 750), 62);
        // Alone.
        assert_eq!(as_many_as_follow(64, 1_001..=1_064, 1_125), 62);
        assert_eq!(as_many_as_follow(64, 1..=64, 64), 1);
        // What is in no segment.
        assert_eq!(as_many_as_follow(64, 1..=64, u64::MAX), BATCHES.1);
    }

    fn line(event: Event) -> (Event, String) {
        let entry = Entry::new(event, &Place::default(), SystemTime::UNIX_EPOCH).unwrap();
        (entry.event.clone(), String::from_utf8(entry.line.to_vec()).unwrap())
    }

    fn reported(report: &str) -> Reported {
        let (queue_id, entry) = ("Q".to_owned(), "Q-0".to_owned());
        Reported {
            queue_id,
            entry,
            sender: String::new(),
            kind: "failed".to_owned(),
            report: report.to_owned(),
        }
    }

    fn resent(dead_letter: &str) -> Resent {
        let (queue_id, entry, destination) = ("Q".to_owned(), "Q-0".to_owned(), "x.example".to_owned());
        let dead_letter = dead_letter.to_owned();
        Resent { queue_id, entry, dead_letter, sender: String::new(), recipients: Vec::new(), destination }
    }

    /// Never passes over a line that would be found: names with signs that JSON writes otherwise, and letters of other
    /// scripts among them (the sign of Kelvin is a k when it is small).
    #[test]
    fn what_is_passed_over_is_about_something_else() {
        let senders =
            ["", "Ann@Example.org", "\"a\\\" b\"@x.example", "\u{212a}arl@x.example", "\u{e4}nn@x.example"];
        let lines: Vec<_> = senders
            .iter()
            .flat_map(|sender| {
                let recipients = vec![format!("to-{sender}")];
                let message_id = Some(format!("<id-{sender}>"));
                let sender = (*sender).to_owned();
                let shown = if sender.is_empty() { "<>".to_owned() } else { sender.clone() };
                [
                    Event::Accepted(Box::new(Accepted {
                        sender: sender.clone(),
                        recipients: recipients.clone(),
                        message_id,
                        ..Accepted::default()
                    })),
                    Event::Refused(Box::new(Refused {
                        sender: Some(shown),
                        recipient: recipients.first().cloned(),
                        ..Refused::default()
                    })),
                    Event::Reported(Reported { sender: sender.clone(), ..reported("R") }),
                    Event::Resent(Resent { sender, recipients, ..resent("D-0") }),
                ]
            })
            .map(line)
            .collect();
        let keys: HashSet<Key> = lines.iter().flat_map(|(event, _)| event.keys()).collect();
        let mut passed_over = 0;
        for key in &keys {
            let needles = Needles::of(std::slice::from_ref(key));
            for (event, line) in &lines {
                let may_be = needles.may_be_in(line);
                assert!(may_be || !event.keys().contains(key), "{key:?} in {line}");
                passed_over += usize::from(!may_be);
            }
        }
        assert!(passed_over > lines.len(), "{passed_over}");
    }

    #[test]
    fn ids_are_seen_wherever_they_stand() {
        let id = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
        let ids = HashSet::from([id]);
        for event in [Event::Resent(resent(&format!("{id}-0"))), Event::Reported(reported(id))] {
            assert!(names_one_of(&line(event).1, &ids));
        }
        assert!(!names_one_of(&line(Event::Resent(resent("D-0"))).1, &ids));
        assert!(!names_one_of(&format!("{{\"queue_id\":\"\u{e4}{id}\"}}"), &ids));
    }
}
