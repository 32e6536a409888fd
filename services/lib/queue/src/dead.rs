//! Dead letters: failed mail that has no sender to report to, kept for thirty days with its envelope
//! (SEED-191, 194).
//!
//! A letter owns its content: what is too large for it stands in the same stream and goes at the same
//! age. So nothing that becomes of the entry, whose other recipients may live on, takes it away.

use std::{fmt, str::FromStr, time::SystemTime};

use async_nats::{HeaderMap, jetstream::message::PublishMessage};
use bytes::Bytes;
use futures::future::try_join_all;
use hikyaku_types::{
    body::{Body, BodyRef},
    envelope::Envelope,
    ids::{EntryId, QueueId},
    shard::fnv1a,
};

use crate::{
    Nats,
    body_store::{BodyError, BodyStore, CHUNK, INLINE_LIMIT},
    browse::{
        BrowseError,
        direct::{self, Message},
    },
    codec,
    metrics::operation,
    publish::{PublishError, Publisher, chunks, send},
    stamp, subject,
    topology::{DEAD_LETTER_AGE, DEAD_STREAM},
};

/// Subject of the content that is not in the letter.
const CONTENT: &str = "Hikyaku-Content";
const TIME_STAMP: &str = "Nats-Time-Stamp";
const BATCH: usize = 200;

#[derive(Debug, Clone)]
pub struct DeadLetter {
    pub envelope: Envelope,
    pub died_at: SystemTime,
    sequence: u64,
    content: Option<String>,
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
    #[error("the content of the dead letter is not complete")]
    Incomplete,
}

impl DeadLetter {
    /// When it is removed by itself.
    pub fn ends_at(&self) -> SystemTime {
        self.died_at + DEAD_LETTER_AGE
    }
}

impl Publisher {
    /// Keeps a message that has no sender to report to.
    pub async fn bury(&self, envelope: &Envelope) -> Result<(), PublishError> {
        let entry = envelope.entry;
        let recipients: Vec<String> =
            envelope.recipients.iter().map(|recipient| recipient.address.to_string()).collect();
        let message_id = format!("{entry}/{}/{:x}", envelope.attempt, fnv1a(&recipients.join(",")));
        let mut headers = HeaderMap::new();
        let mut letter = envelope.clone();
        match self.bodies.load(&envelope.body).await.map(|pieces| pieces.concat()) {
            Ok(content) if content.len() <= INLINE_LIMIT => letter.body = Body::Inline(content.into()),
            Ok(content) => {
                let subject = subject::dead_content(entry, fnv1a(&message_id));
                headers.insert(CONTENT, subject.as_str());
                let shard = self.shards().shard_of(&envelope.destination);
                let size = content.len() as u64;
                let sequences = self.bury_content(&subject, content.into()).await?;
                letter.body = Body::Stored(BodyRef { shard, sequences, size });
            }
            // Better a letter without content than none.
            Err(error @ BodyError::Gone { .. }) => {
                tracing::error!(%entry, %error, "content of a dead letter is gone");
            }
            Err(error) => return Err(error.into()),
        }
        let message = || {
            PublishMessage::build()
                .headers(headers.clone())
                .message_id(&message_id)
                .expected_stream(DEAD_STREAM)
                .payload(codec::encode(&letter))
        };
        send(&self.nats, DEAD_STREAM, subject::dead(entry), message, operation::ACCEPT).await?;
        Ok(())
    }

    async fn bury_content(&self, subject: &str, content: Bytes) -> Result<Vec<u64>, PublishError> {
        let writes = chunks(&content, CHUNK).enumerate().map(|(index, chunk)| async move {
            let message = || {
                PublishMessage::build()
                    .message_id(format!("{subject}/{index}"))
                    .expected_stream(DEAD_STREAM)
                    .payload(chunk.clone())
            };
            send(&self.nats, DEAD_STREAM, subject.to_owned(), message, operation::BODY).await
        });
        try_join_all(writes).await
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
            DeadSelector::All | DeadSelector::QueueId(_) => subject::DEAD_LETTERS.to_owned(),
            DeadSelector::Entry(entry) => subject::dead(entry),
        };
        let mut letters = Vec::new();
        let mut sequence = from.map_or(1, |DeadToken(sequence)| sequence);
        loop {
            let batch = direct::batch(&self.nats, DEAD_STREAM, &filter, sequence, BATCH).await?;
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
        let (Body::Stored(stored), Some(subject)) = (&letter.envelope.body, &letter.content) else {
            let bodies = BodyStore::new(self.nats.clone());
            return Ok(bodies.load(&letter.envelope.body).await?.concat().into());
        };
        let mut content = Vec::new();
        for sequence in &stored.sequences {
            let batch = direct::batch(&self.nats, DEAD_STREAM, subject, *sequence, 1).await?;
            let chunk = batch.messages.first().filter(|chunk| chunk.sequence == *sequence);
            content.extend_from_slice(&chunk.ok_or(DeadError::Incomplete)?.payload);
        }
        if content.len() as u64 == stored.size { Ok(content.into()) } else { Err(DeadError::Incomplete) }
    }

    /// Removes a letter with its content. False: it was gone already.
    pub async fn delete(&self, letter: &DeadLetter) -> Result<bool, BrowseError> {
        let deleted = direct::delete(&self.nats, DEAD_STREAM, letter.sequence).await?;
        match &letter.content {
            Some(subject) => {
                direct::purge(&self.nats, DEAD_STREAM, subject, None).await?;
            }
            // A letter of an earlier version: its content is in the body stream.
            None => BodyStore::new(self.nats.clone()).free(&letter.envelope.body).await,
        }
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
    let content = message.headers.get(CONTENT).map(ToString::to_string);
    Some(DeadLetter { envelope, died_at, sequence: message.sequence, content })
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
