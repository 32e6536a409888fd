//! Dead letters: failed mail that has no sender to report to, kept for thirty days with its envelope
//! (SEED-191, 194).
//!
//! A letter owns its content, so nothing that becomes of the entry, whose other recipients may live
//! on, takes it away.

use std::{fmt, str::FromStr, time::SystemTime};

use bytes::Bytes;
use hikyaku_types::{
    envelope::Envelope,
    ids::{EntryId, QueueId},
};

use crate::{
    Nats,
    body_store::{BodyError, BodyStore},
    browse::BrowseError,
    codec, stamp,
    stream::{self, From, Message, Reading},
    subject,
    topology::{DEAD_LETTER_AGE, DEAD_STREAM},
};

const TIME_STAMP: &str = "Nats-Time-Stamp";
const BATCH: usize = 200;

#[derive(Debug, Clone)]
pub struct DeadLetter {
    pub envelope: Envelope,
    pub died_at: SystemTime,
    sequence: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadSelector {
    All,
    QueueId(QueueId),
    Entry(EntryId),
}

/// Where the next page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeadToken(u64);

#[derive(Debug, thiserror::Error)]
pub enum DeadError {
    #[error(transparent)]
    Browse(#[from] BrowseError),
    #[error("failed to read the content")]
    Body(#[from] BodyError),
}

impl DeadLetter {
    /// When it is removed by itself.
    pub fn ends_at(&self) -> SystemTime {
        self.died_at + DEAD_LETTER_AGE
    }
}

#[derive(Clone, Debug)]
pub struct DeadLetters {
    nats: Nats,
}

impl DeadLetters {
    pub fn new(nats: Nats) -> Self {
        Self { nats }
    }

    /// At most `limit` letters, the oldest first, and where the next page begins.
    pub async fn list(
        &self,
        selector: DeadSelector,
        limit: usize,
        from: Option<DeadToken>,
    ) -> Result<(Vec<DeadLetter>, Option<DeadToken>), BrowseError> {
        let filter = match selector {
            DeadSelector::All | DeadSelector::QueueId(_) => subject::ALL_DEAD.to_owned(),
            DeadSelector::Entry(entry) => subject::dead(entry),
        };
        let mut letters = Vec::new();
        let mut sequence = from.map_or(1, |DeadToken(sequence)| sequence);
        let reading = Reading { stream: DEAD_STREAM, filter: &filter, messages: BATCH };
        loop {
            let batch = reading.next(&self.nats, From::Sequence(sequence)).await?;
            for message in &batch.messages {
                if letters.len() >= limit {
                    return Ok((letters, Some(DeadToken(message.sequence))));
                }
                sequence = message.sequence + 1;
                letters.extend(read(message).filter(|letter| is_selected(selector, letter)));
            }
            if batch.messages.is_empty() || batch.pending == 0 {
                return Ok((letters, None));
            }
        }
    }

    pub async fn content(&self, letter: &DeadLetter) -> Result<Bytes, DeadError> {
        let bodies = BodyStore::new(self.nats.clone());
        Ok(bodies.load(&letter.envelope.body).await?.concat().into())
    }

    /// Removes a letter with its content. False: it was gone already.
    pub async fn delete(&self, letter: &DeadLetter) -> Result<bool, BrowseError> {
        let deleted = stream::delete(&self.nats, DEAD_STREAM, letter.sequence).await?;
        BodyStore::new(self.nats.clone()).free(&letter.envelope.body).await;
        Ok(deleted)
    }
}

fn is_selected(selector: DeadSelector, letter: &DeadLetter) -> bool {
    match selector {
        DeadSelector::All => true,
        DeadSelector::QueueId(queue_id) => letter.envelope.entry.queue_id == queue_id,
        DeadSelector::Entry(entry) => letter.envelope.entry == entry,
    }
}

fn read(message: &Message) -> Option<DeadLetter> {
    let unreadable =
        |error| tracing::error!(subject = %message.subject, %error, "dead letter cannot be read");
    let envelope = codec::decode(message.payload.clone()).map_err(unreadable).ok()?;
    let died_at = message.headers.get(TIME_STAMP).and_then(|stamp| stamp::read(stamp.as_str()));
    let died_at = died_at.unwrap_or(envelope.accepted_at);
    Some(DeadLetter { envelope, died_at, sequence: message.sequence })
}

impl fmt::Display for DeadToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for DeadToken {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}
