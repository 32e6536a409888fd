//! Reads messages in the order of the stream, many by one question (ADR-31), and counts them without
//! reading them.

use std::time::{Duration, SystemTime};

use async_nats::{HeaderMap, StatusCode, header, jetstream::stream::LastRawMessageErrorKind};
use bytes::Bytes;
use futures::StreamExt as _;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::Extent;
use crate::Nats;

/// Between two messages of an answer.
const SILENCE: Duration = Duration::from_secs(5);
/// Content may travel in the envelope: this bounds a batch better than its count. A single message
/// may pass it.
const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// A replica that lags does not have the last messages yet.
const LAG_TRIES: u32 = 50;
const LAG_PAUSE: Duration = Duration::from_millis(100);
const END_OF_BATCH: u16 = 204;
const NUM_PENDING: &str = "Nats-Num-Pending";

/// A message as it stands in a stream.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) subject: String,
    pub(crate) sequence: u64,
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Bytes,
}

#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) messages: Vec<Message>,
    /// Messages behind these that fit too.
    pub(crate) pending: u64,
}

/// What is read of a stream, and at most how many messages at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading<'a> {
    pub(crate) stream: &'a str,
    pub(crate) filter: &'a str,
    pub(crate) messages: usize,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum From {
    Sequence(u64),
    Time(SystemTime),
}

impl Reading<'_> {
    /// The next messages; none: there are no more up to the stream's end, as this replica knows it.
    pub(crate) async fn next(&self, nats: &Nats, from: From) -> Result<Batch, async_nats::Error> {
        let mut question = serde_json::json!({
            "next_by_subj": self.filter, "batch": self.messages, "max_bytes": BATCH_BYTES,
        });
        match from {
            From::Sequence(sequence) => question["seq"] = sequence.into(),
            From::Time(at) => {
                question["start_time"] = OffsetDateTime::from(at).format(&Rfc3339)?.into();
            }
        }
        let inbox = nats.client.new_inbox();
        let mut answers = nats.client.subscribe(inbox.clone()).await?;
        let subject = direct_get(self.stream);
        nats.client.publish_with_reply(subject, inbox, question.to_string().into()).await?;
        let mut batch = Batch::default();
        loop {
            let answer = tokio::time::timeout(SILENCE, answers.next()).await?;
            let answer = answer.ok_or("the connection was closed")?;
            match answer.status {
                None => batch.messages.push(message(answer)?),
                Some(status) if status.as_u16() == END_OF_BATCH => {
                    batch.pending = number(answer.headers.as_ref(), NUM_PENDING).unwrap_or(0);
                    return Ok(batch);
                }
                Some(StatusCode::NOT_FOUND) => return Ok(batch),
                Some(status) => return Err(refused(self.stream, status, answer.description)),
            }
        }
    }

    /// As [`Self::next`] where there is something: waits for a replica that lags.
    pub(crate) async fn next_of(
        &self,
        nats: &Nats,
        from: From,
        extent: &Extent,
    ) -> Result<Batch, async_nats::Error> {
        if !extent.reaches(from) {
            return Ok(Batch::default());
        }
        for _ in 0..LAG_TRIES {
            let batch = self.next(nats, from).await?;
            if !batch.messages.is_empty() {
                return Ok(batch);
            }
            tokio::time::sleep(LAG_PAUSE).await;
        }
        Err(format!("stream {} does not show its message {}", self.stream, extent.last).into())
    }
}

/// How many messages fit `filter`, from `sequence` on. The broker counts by its index.
pub(crate) async fn count(
    nats: &Nats,
    stream: &str,
    filter: &str,
    sequence: u64,
) -> Result<u64, async_nats::Error> {
    let reading = Reading { stream, filter, messages: 1 };
    let Batch { messages, pending } = reading.next(nats, From::Sequence(sequence)).await?;
    Ok(messages.len() as u64 + pending)
}

/// The newest message that fits `filter`.
pub(crate) async fn last(
    nats: &Nats,
    stream: &str,
    filter: &str,
) -> Result<Option<Message>, async_nats::Error> {
    let question = serde_json::json!({ "last_by_subj": filter });
    let answer = nats.client.request(direct_get(stream), question.to_string().into()).await?;
    match answer.status {
        None => message(answer).map(Some),
        Some(StatusCode::NOT_FOUND) => Ok(None),
        Some(status) => Err(refused(stream, status, answer.description)),
    }
}

/// The same, of the stream's leader, which has everything.
pub(crate) async fn last_of_leader(
    nats: &Nats,
    stream: &str,
    subject: &str,
) -> Result<Option<Message>, async_nats::Error> {
    let handle = nats.jetstream.get_stream_no_info(stream).await?;
    match handle.get_last_raw_message_by_subject(subject).await {
        Ok(found) => Ok(Some(Message {
            subject: found.subject.to_string(),
            sequence: found.sequence,
            headers: found.headers,
            payload: found.payload,
        })),
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn direct_get(stream: &str) -> String {
    format!("$JS.API.DIRECT.GET.{stream}")
}

fn message(answer: async_nats::Message) -> Result<Message, async_nats::Error> {
    let headers = answer.headers.unwrap_or_default();
    let subject = headers.get(header::NATS_SUBJECT).map(ToString::to_string);
    let sequence = number(Some(&headers), header::NATS_SEQUENCE.as_ref());
    let (Some(subject), Some(sequence)) = (subject, sequence) else {
        return Err("an answer of the stream has no subject or no sequence".into());
    };
    Ok(Message { subject, sequence, payload: answer.payload, headers })
}

fn number(headers: Option<&HeaderMap>, name: &str) -> Option<u64> {
    headers?.get(name)?.as_str().parse().ok()
}

fn refused(stream: &str, status: StatusCode, description: Option<String>) -> async_nats::Error {
    format!("stream {stream} was not read: {status} {}", description.unwrap_or_default()).into()
}
