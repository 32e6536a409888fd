//! Envelope -> stream. Behind `Ok` stands the acknowledgement of a stream that syncs
//! each write: this is what a 250 promises.

use std::time::{Duration, Instant};

use async_nats::{
    HeaderMap,
    jetstream::{context::PublishErrorKind, message::PublishMessage},
};
use bytes::Bytes;
use futures::future::try_join_all;
use hikyaku_spans::{Span, TRACEPARENT, declared::PUBLISH, is_enabled};
use hikyaku_types::{
    body::Body,
    envelope::Envelope,
    shard::{ShardCount, fnv1a},
};

use crate::{
    Nats,
    body_store::{BodyError, BodyStore, INLINE_LIMIT},
    codec,
    custody::{Admission, Event, Origin},
    durability::NotDurable,
    metrics::{OPERATION_DURATION, REPEATED, operation},
    subject::{self, Owner, Place, Subject},
    topology::{DEAD_STREAM, queue_stream},
    trace,
};

/// A stream whose leader died comes back after 5-6.5 s; with the acknowledgement's time-out of
/// 4 s, so many tries outlive it.
const TRIES: u32 = 4;
const PAUSE: Duration = Duration::from_millis(250);

#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    #[error("an acknowledgement would not mean that the mail is on disk")]
    NotDurable(#[from] NotDurable),
    #[error("failed to store the content")]
    Body(#[from] BodyError),
    #[error("stream {stream} did not acknowledge")]
    NotAcknowledged {
        stream: String,
        #[source]
        source: async_nats::Error,
    },
    /// The write was bound to the original, which has been settled or written anew by somebody else.
    #[error("the entry is not where it was taken from")]
    Superseded,
    #[error("stream {stream} takes no message of this size")]
    TooLarge { stream: String },
}

/// Writes entries; cheap to clone.
#[derive(Clone, Debug)]
pub struct Publisher {
    pub(crate) nats: Nats,
    shards: ShardCount,
    pub(crate) bodies: BodyStore,
}

impl Publisher {
    pub fn new(nats: Nats, shards: ShardCount) -> Self {
        Self { bodies: BodyStore::new(nats.clone()), nats, shards }
    }

    /// Stores one accepted message, an envelope for each next hop, in parallel. What `admission` says is kept
    /// for who looks for abuse. `Ok` only when every envelope is acknowledged. Contents of any size are inline
    /// here; large ones are moved to the body stream first.
    ///
    /// When a part fails, parts that were stored stay: the client repeats the whole, and the
    /// hops that had been stored get it twice.
    pub async fn accept(
        &self,
        admission: Option<Admission>,
        envelopes: Vec<Envelope>,
    ) -> Result<(), PublishError> {
        self.nats.durability.check()?;
        self.store_all(Origin::Client, admission, envelopes).await
    }

    /// The same for mail of our own, which nobody is promised to be on disk: a report is written
    /// before its original is acknowledged.
    pub async fn store(&self, envelopes: Vec<Envelope>) -> Result<(), PublishError> {
        self.store_from(Origin::Report, envelopes).await
    }

    /// The same for mail that is not a report.
    pub async fn store_from(&self, origin: Origin, envelopes: Vec<Envelope>) -> Result<(), PublishError> {
        self.store_all(origin, None, envelopes).await
    }

    /// Custody begins beside the writing of the entries, so it costs no time of its own; that all
    /// of them are stored is said behind it.
    async fn store_all(
        &self,
        origin: Origin,
        admission: Option<Admission>,
        envelopes: Vec<Envelope>,
    ) -> Result<(), PublishError> {
        let custody = self.nats.custody();
        let accepted: Vec<Event> =
            envelopes.iter().flat_map(|envelope| Event::accepted(envelope, origin)).collect();
        let queue_id = envelopes.first().map(|envelope| envelope.entry.queue_id);
        let stored = queue_id.map(|queue_id| Event::Stored { queue_id, admission });
        let writes = try_join_all(envelopes.into_iter().map(|envelope| self.accept_one(envelope)));
        let (written, ()) = tokio::join!(writes, custody.record(&accepted));
        written?;
        custody.note(stored.as_slice()).await;
        Ok(())
    }

    async fn accept_one(&self, mut envelope: Envelope) -> Result<(), PublishError> {
        if let Body::Inline(content) = &envelope.body {
            envelope.body = self.own_body(&envelope, content.clone()).await?;
        }
        let lane = envelope.lane;
        let message_id = envelope.entry.to_string();
        self.put(&envelope, Place::Lane(lane), &message_id, HeaderMap::new(), operation::ACCEPT).await?;
        Ok(())
    }

    /// Keeps a message that has no sender to report to (SEED-191).
    pub async fn bury(&self, envelope: &Envelope) -> Result<(), PublishError> {
        let entry = envelope.entry;
        let recipients: Vec<String> =
            envelope.recipients.iter().map(|recipient| recipient.address.to_string()).collect();
        let message_id = format!("{entry}/{}/{:x}", envelope.attempt, fnv1a(&recipients.join(",")));
        let envelope = &Envelope { body: self.dead_body(envelope).await?, ..envelope.clone() };
        let message = || {
            PublishMessage::build()
                .message_id(&message_id)
                .expected_stream(DEAD_STREAM)
                .payload(codec::encode(envelope))
        };
        let span = publishing(operation::ACCEPT, "dead", DEAD_STREAM);
        span.show("messaging.message.id", &entry);
        let sent = send(&self.nats, DEAD_STREAM, subject::dead(entry), message, operation::ACCEPT).await;
        ended(&span, sent).map(|_| ())
    }

    /// Content of its own for a dead letter, because the entry may go on with other recipients and
    /// frees its content at its end.
    async fn dead_body(&self, envelope: &Envelope) -> Result<Body, BodyError> {
        if matches!(&envelope.body, Body::Inline(content) if content.len() <= INLINE_LIMIT) {
            return Ok(envelope.body.clone());
        }
        let content = match self.bodies.load(&envelope.body).await {
            Ok(pieces) => pieces.concat(),
            // Better a dead letter without its content than none.
            Err(error @ (BodyError::Gone { .. } | BodyError::Size { .. })) => {
                tracing::error!(entry = %envelope.entry, %error, "content of a dead letter is gone");
                return Ok(envelope.body.clone());
            }
            Err(error) => return Err(error),
        };
        let owner = Owner::DeadLetter(envelope.entry);
        let shard = self.shards.shard_of(&envelope.destination);
        Ok(Body::Stored(self.bodies.store(shard, owner, content.into()).await?))
    }

    /// Content of an entry in the form in which it travels.
    pub(crate) async fn own_body(&self, envelope: &Envelope, content: Bytes) -> Result<Body, BodyError> {
        if content.len() <= INLINE_LIMIT {
            return Ok(Body::Inline(content));
        }
        self.kept_body(envelope, content).await
    }

    /// Content of an entry that is kept apart from it.
    pub(crate) async fn kept_body(&self, envelope: &Envelope, content: Bytes) -> Result<Body, BodyError> {
        let shard = self.shards.shard_of(&envelope.destination);
        let owner = Owner::Entry(envelope.entry);
        Ok(Body::Stored(self.bodies.store(shard, owner, content).await?))
    }

    /// Returns the stream sequence.
    pub(crate) async fn put(
        &self,
        envelope: &Envelope,
        place: Place,
        message_id: &str,
        mut headers: HeaderMap,
        operation: &'static str,
    ) -> Result<u64, PublishError> {
        let shard = self.shards.shard_of(&envelope.destination);
        let destination = envelope.destination.clone();
        let subject = Subject { shard, place, destination, entry: envelope.entry };
        let stream = queue_stream(shard);
        let span = publishing(operation, "queue", &stream);
        span.show("messaging.message.id", &envelope.entry);
        let publish = async {
            if headers.get(TRACEPARENT).is_none() {
                trace::write_current(&mut headers);
            }
            let payload = codec::encode(envelope);
            let message = || {
                PublishMessage::build()
                    .headers(headers.clone())
                    .message_id(message_id)
                    .expected_stream(&stream)
                    .payload(payload.clone())
            };
            send(&self.nats, &stream, subject.to_string(), message, operation).await
        };
        ended(&span, span.around(publish).await)
    }

    pub(crate) fn shards(&self) -> ShardCount {
        self.shards
    }
}

/// Publishes until the stream acknowledges, with the same message id each time, and returns the
/// stream sequence.
pub(crate) async fn send(
    nats: &Nats,
    stream: &str,
    subject: String,
    message: impl Fn() -> PublishMessage,
    operation: &'static str,
) -> Result<u64, PublishError> {
    let start = Instant::now();
    let mut tries = 1;
    loop {
        match send_once(nats, subject.clone(), message()).await {
            Ok(sequence) => {
                metrics::histogram!(OPERATION_DURATION, "messaging.operation.name" => operation)
                    .record(start.elapsed());
                return Ok(sequence);
            }
            Err(error) if tries < TRIES && is_passing(&error) => {
                metrics::counter!(REPEATED, "messaging.operation.name" => operation).increment(1);
                tracing::warn!(stream, tries, %error, "stream did not acknowledge; publishing again");
                tries += 1;
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(refused(stream, error)),
        }
    }
}

/// `template` is what stands for the subjects of the stream.
pub(crate) fn publishing(operation: &'static str, template: &'static str, stream: &str) -> Span {
    if !is_enabled() {
        return Span::none();
    }
    let span = Span::child(&PUBLISH, format!("{operation} {template}"));
    span.set("messaging.system", "nats");
    span.set("messaging.operation.name", operation);
    span.set("messaging.operation.type", "send");
    span.set("messaging.destination.template", template);
    span.show("messaging.destination.name", &stream);
    span
}

pub(crate) fn ended<T>(span: &Span, result: Result<T, PublishError>) -> Result<T, PublishError> {
    if let Err(error) = &result {
        span.fail(match error {
            PublishError::NotDurable(_) => "not-durable",
            PublishError::Body(_) => "body",
            PublishError::NotAcknowledged { .. } => "not-acknowledged",
            PublishError::Superseded => "superseded",
            PublishError::TooLarge { .. } => "too-large",
        });
    }
    result
}

fn refused(stream: &str, error: async_nats::jetstream::context::PublishError) -> PublishError {
    let stream = stream.to_owned();
    match error.kind() {
        PublishErrorKind::WrongLastSequence => PublishError::Superseded,
        PublishErrorKind::MaxPayloadExceeded => PublishError::TooLarge { stream },
        PublishErrorKind::StreamNotFound
        | PublishErrorKind::WrongLastMessageId
        | PublishErrorKind::TimedOut
        | PublishErrorKind::BrokenPipe
        | PublishErrorKind::MaxAckPending
        | PublishErrorKind::Other => PublishError::NotAcknowledged { stream, source: error.into() },
    }
}

async fn send_once(
    nats: &Nats,
    subject: String,
    message: PublishMessage,
) -> Result<u64, async_nats::jetstream::context::PublishError> {
    // First await: handed to the connection. Second await: stored by the stream.
    let acknowledgement = nats.jetstream.send_publish(subject, message).await?.await?;
    Ok(acknowledgement.sequence)
}

fn is_passing(error: &async_nats::jetstream::context::PublishError) -> bool {
    matches!(
        error.kind(),
        PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe | PublishErrorKind::StreamNotFound
    )
}

/// A payload that the largest message of the broker holds beside its headers.
pub(crate) fn chunks(content: &Bytes, size: usize) -> impl Iterator<Item = Bytes> + '_ {
    (0..content.len()).step_by(size).map(move |start| content.slice(start..(start + size).min(content.len())))
}
