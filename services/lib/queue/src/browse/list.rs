//! Entries, page by page.

use std::{fmt, str::FromStr, time::SystemTime};

use futures::{StreamExt as _, TryStreamExt as _};
use hikyaku_types::{
    address::ReversePath,
    envelope::{Envelope, Lane},
    shard::ShardId,
};

use super::{BrowseError, Browser, Found, Selector, found, place_of};
use crate::{
    stream::{From, Reading},
    subject::Place,
    topology::queue_stream,
};

/// Messages that one question asks for.
const BATCH: usize = 1_000;
/// Shards that are asked at the same time.
const PARALLEL: usize = 4;
/// Messages that are looked at for one page: a look at a long queue answers within seconds, with a
/// token for the rest.
const SCANNED: usize = 40_000;

/// Which entries of a selection are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Part of the reverse-path; `<>` is the null reverse-path. Case does not matter.
    pub sender: Option<String>,
    /// Part of the address of a recipient.
    pub recipient: Option<String>,
    /// Accepted before.
    pub accepted_before: Option<SystemTime>,
    pub state: Option<State>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Ready(Lane),
    /// Waits for its next attempt.
    Scheduled,
    Held,
}

/// Where the next page begins. Entries that are written again meanwhile may come twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageToken {
    shard: ShardId,
    sequence: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a page token")]
pub struct NotAPageToken;

#[derive(Debug)]
pub struct Page {
    pub entries: Vec<Found>,
    /// Absent: there is no more.
    pub next: Option<PageToken>,
}

impl Browser {
    /// At most `limit` entries, in the order of their last change within a shard. A page may have
    /// fewer although there is a next one.
    pub async fn list(
        &self,
        selector: &Selector,
        filter: &Filter,
        limit: usize,
        from: Option<PageToken>,
    ) -> Result<Page, BrowseError> {
        let mut entries = Vec::new();
        let mut scanned = 0;
        for (shard, subjects) in self.filters(selector, filter.place()) {
            let mut sequence = match from {
                Some(from) if shard < from.shard => continue,
                Some(from) if shard == from.shard => from.sequence,
                Some(_) | None => 1,
            };
            let stream = queue_stream(shard);
            let mut delivered = None;
            loop {
                let next = Some(PageToken { shard, sequence });
                if entries.len() >= limit || scanned >= SCANNED {
                    return Ok(Page { entries, next });
                }
                let count = BATCH.min(limit - entries.len()).max(BATCH / 10);
                let reading = Reading { stream: &stream, filter: &subjects, messages: count };
                let batch = reading.next(&self.nats, From::Sequence(sequence)).await?;
                if delivered.is_none() && !batch.messages.is_empty() {
                    delivered = Some(self.delivered(shard).await?);
                }
                let Some(last) = batch.messages.last() else { break };
                let behind = last.sequence + 1;
                for message in &batch.messages {
                    if entries.len() >= limit {
                        let next = Some(PageToken { shard, sequence: message.sequence });
                        return Ok(Page { entries, next });
                    }
                    let entry =
                        place_of(&message.subject).and_then(|it| found(&it, message, delivered.as_ref()));
                    entries.extend(entry.filter(|entry| filter.takes(entry)));
                }
                scanned += batch.messages.len();
                sequence = behind;
                if batch.pending == 0 {
                    break;
                }
            }
        }
        Ok(Page { entries, next: None })
    }
}

impl Browser {
    /// The entries of an id, wherever they are. Finds them by their names.
    pub async fn get(&self, selector: &Selector) -> Result<Vec<Found>, BrowseError> {
        let of_each: Vec<Vec<Found>> = futures::stream::iter(self.filters(selector, None))
            .map(|(shard, subjects)| self.get_in(shard, subjects))
            .buffered(PARALLEL)
            .try_collect()
            .await?;
        Ok(of_each.into_iter().flatten().collect())
    }

    async fn get_in(&self, shard: ShardId, filter: String) -> Result<Vec<Found>, BrowseError> {
        let targets = self.targets(shard, filter).await?;
        if targets.subjects.is_empty() {
            return Ok(Vec::new());
        }
        let delivered = self.delivered(shard).await?;
        let mut entries = Vec::new();
        for subject in &targets.subjects {
            if let Some(message) = self.read(subject).await? {
                entries.extend(found(subject, &message, Some(&delivered)));
            }
        }
        Ok(entries)
    }
}

impl Filter {
    fn place(&self) -> Option<Place> {
        self.state.map(|state| match state {
            State::Ready(lane) => Place::Lane(lane),
            State::Scheduled | State::Held => Place::Retry,
        })
    }

    fn takes(&self, found: &Found) -> bool {
        let Envelope { reverse_path, recipients, accepted_at, .. } = &found.envelope;
        let is_sender = |wanted: &str| match reverse_path {
            ReversePath::Null => wanted == "<>",
            ReversePath::Mailbox(mailbox) => has(&mailbox.to_string(), wanted),
        };
        let is_recipient = |wanted: &str| {
            recipients.iter().any(|recipient| {
                has(&recipient.address.to_string(), wanted)
                    || recipient.original.as_ref().is_some_and(|original| has(original, wanted))
            })
        };
        let is_in_state = match self.state {
            Some(State::Held) => found.held.is_some(),
            Some(State::Scheduled) => found.held.is_none(),
            Some(State::Ready(_)) | None => true,
        };
        is_in_state
            && self.sender.as_deref().is_none_or(is_sender)
            && self.recipient.as_deref().is_none_or(is_recipient)
            && self.accepted_before.is_none_or(|before| *accepted_at < before)
    }
}

fn has(text: &str, part: &str) -> bool {
    text.to_ascii_lowercase().contains(&part.to_ascii_lowercase())
}

impl fmt::Display for PageToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.shard, self.sequence)
    }
}

impl FromStr for PageToken {
    type Err = NotAPageToken;

    fn from_str(text: &str) -> Result<Self, NotAPageToken> {
        let (shard, sequence) = text.split_once('.').ok_or(NotAPageToken)?;
        let shard = ShardId::new(shard.parse().map_err(|_| NotAPageToken)?);
        Ok(Self { shard, sequence: sequence.parse().map_err(|_| NotAPageToken)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_tokens() {
        let token = PageToken { shard: ShardId::new(7), sequence: 99 };
        assert_eq!(token.to_string().parse(), Ok(token));
        for text in ["", "7", "7.", ".9", "7.x"] {
            assert_eq!(text.parse::<PageToken>(), Err(NotAPageToken), "{text:?}");
        }
    }
}
