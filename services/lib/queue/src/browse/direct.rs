//! Reads of a stream that the client library does not have: many messages by one question, how many
//! there are without reading them, and their subjects without their content.

use std::{collections::HashMap, time::Duration};

use async_nats::{HeaderMap, Request, StatusCode};
use bytes::Bytes;
use futures::StreamExt as _;
use serde::{Deserialize, de::DeserializeOwned};

use super::{BrowseError, failed};
use crate::Nats;

/// A purge or the names of 100,000 subjects take the broker more than a second.
const API_TIMEOUT: Duration = Duration::from_secs(30);
/// Between two messages of a batch.
const BATCH_TIMEOUT: Duration = Duration::from_secs(5);
/// Content may travel in the envelope: this bounds a batch better than its count.
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// No names are wanted, only how many there are.
const BEHIND_ALL: u32 = 1_000_000_000;
const END_OF_BATCH: u16 = 204;
const NUM_PENDING: &str = "Nats-Num-Pending";
const SEQUENCE: &str = "Nats-Sequence";
const SUBJECT: &str = "Nats-Subject";

/// A message as it stands in a stream.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) subject: String,
    pub(crate) sequence: u64,
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Bytes,
}

/// Messages in the order of the stream.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) messages: Vec<Message>,
    /// Messages behind these that fit too.
    pub(crate) pending: u64,
}

/// At most `count` messages that fit `filter`, from `sequence` on. Fewer, when they are large.
pub(crate) async fn batch(
    nats: &Nats,
    stream: &str,
    filter: &str,
    sequence: u64,
    count: usize,
) -> Result<Batch, BrowseError> {
    let question = serde_json::json!({
        "seq": sequence, "batch": count, "max_bytes": BATCH_BYTES, "next_by_subj": filter,
    });
    let inbox = nats.client.new_inbox();
    let mut answers = nats.client.subscribe(inbox.clone()).await.map_err(failed)?;
    let subject = format!("$JS.API.DIRECT.GET.{stream}");
    nats.client.publish_with_reply(subject, inbox, question.to_string().into()).await.map_err(failed)?;
    let mut batch = Batch::default();
    loop {
        let answer = tokio::time::timeout(BATCH_TIMEOUT, answers.next()).await.map_err(failed)?;
        let Some(answer) = answer else { return Err(failed("the connection was closed")) };
        match answer.status {
            None => batch.messages.push(read(answer)?),
            Some(status) if status.as_u16() == END_OF_BATCH => {
                batch.pending = number(answer.headers.as_ref(), NUM_PENDING).unwrap_or(0);
                return Ok(batch);
            }
            Some(StatusCode::NOT_FOUND) => return Ok(batch),
            Some(status) => return Err(unexpected(status, answer.description)),
        }
    }
}

/// How many messages fit `filter`, from `sequence` on. The broker counts by its index.
pub(crate) async fn count(
    nats: &Nats,
    stream: &str,
    filter: &str,
    sequence: u64,
) -> Result<u64, BrowseError> {
    let Batch { messages, pending } = batch(nats, stream, filter, sequence, 1).await?;
    Ok(messages.len() as u64 + pending)
}

/// The newest message that fits `filter`.
pub(crate) async fn last(nats: &Nats, stream: &str, filter: &str) -> Result<Option<Message>, BrowseError> {
    let question = serde_json::json!({ "last_by_subj": filter });
    let subject = format!("$JS.API.DIRECT.GET.{stream}");
    let answer = nats.client.request(subject, question.to_string().into()).await.map_err(failed)?;
    match answer.status {
        None => read(answer).map(Some),
        Some(StatusCode::NOT_FOUND) => Ok(None),
        Some(status) => Err(unexpected(status, answer.description)),
    }
}

/// Calls `visit` with each subject that fits `filter`, in no order.
pub(crate) async fn subjects(
    nats: &Nats,
    stream: &str,
    filter: &str,
    mut visit: impl FnMut(&str),
) -> Result<(), BrowseError> {
    #[derive(Deserialize)]
    struct Page<'a> {
        #[serde(borrow)]
        state: State<'a>,
        #[serde(default)]
        total: usize,
    }
    #[derive(Deserialize)]
    struct State<'a> {
        #[serde(borrow, default)]
        subjects: HashMap<&'a str, u64>,
    }
    let mut offset = 0;
    loop {
        let question = serde_json::json!({ "subjects_filter": filter, "offset": offset });
        let answer = ask(nats, &format!("STREAM.INFO.{stream}"), &question).await?;
        let page: Page<'_> = serde_json::from_slice(&answer).map_err(failed)?;
        offset += page.state.subjects.len();
        page.state.subjects.keys().for_each(|subject| visit(subject));
        if page.state.subjects.is_empty() || offset >= page.total {
            return Ok(());
        }
    }
}

/// How many subjects fit `filter`. The leader answers, so what was just written is counted; any replica
/// answers [`count`].
pub(crate) async fn count_subjects(nats: &Nats, stream: &str, filter: &str) -> Result<u64, BrowseError> {
    #[derive(Deserialize)]
    struct Page {
        #[serde(default)]
        total: u64,
    }
    let question = serde_json::json!({ "subjects_filter": filter, "offset": BEHIND_ALL });
    let page: Page = call(nats, &format!("STREAM.INFO.{stream}"), &question).await?;
    Ok(page.total)
}

/// Removes what fits `filter` and stands before `sequence`. Says how many.
pub(crate) async fn purge(
    nats: &Nats,
    stream: &str,
    filter: &str,
    sequence: Option<u64>,
) -> Result<u64, BrowseError> {
    #[derive(Deserialize)]
    struct Purged {
        purged: u64,
    }
    let mut question = serde_json::json!({ "filter": filter });
    if let (Some(sequence), Some(question)) = (sequence, question.as_object_mut()) {
        question.insert("seq".to_owned(), sequence.into());
    }
    let purged: Purged = call(nats, &format!("STREAM.PURGE.{stream}"), &question).await?;
    Ok(purged.purged)
}

/// Removes one message. False: it was not there any more.
pub(crate) async fn delete(nats: &Nats, stream: &str, sequence: u64) -> Result<bool, BrowseError> {
    #[derive(Deserialize)]
    struct Deleted {
        #[serde(default)]
        success: bool,
    }
    // Secure erasure, which the library asks for, is far too slow for a queue.
    let question = serde_json::json!({ "seq": sequence, "no_erase": true });
    let answer = ask(nats, &format!("STREAM.MSG.DELETE.{stream}"), &question).await?;
    let deleted: Deleted = serde_json::from_slice(&answer).map_err(failed)?;
    Ok(deleted.success)
}

/// The last sequence of a stream.
pub(crate) async fn last_sequence(nats: &Nats, stream: &str) -> Result<u64, BrowseError> {
    #[derive(Deserialize)]
    struct Info {
        state: State,
    }
    #[derive(Deserialize)]
    struct State {
        last_seq: u64,
    }
    let info: Info = call(nats, &format!("STREAM.INFO.{stream}"), &serde_json::json!({})).await?;
    Ok(info.state.last_seq)
}

/// The newest message that a consumer has handed out.
pub(crate) async fn delivered(nats: &Nats, stream: &str, consumer: &str) -> Result<u64, BrowseError> {
    #[derive(Deserialize)]
    struct Info {
        delivered: Delivered,
    }
    #[derive(Deserialize)]
    struct Delivered {
        stream_seq: u64,
    }
    let question = serde_json::json!({});
    let info: Info = call(nats, &format!("CONSUMER.INFO.{stream}.{consumer}"), &question).await?;
    Ok(info.delivered.stream_seq)
}

async fn call<T: DeserializeOwned>(
    nats: &Nats,
    subject: &str,
    question: &serde_json::Value,
) -> Result<T, BrowseError> {
    let answer = ask(nats, subject, question).await?;
    serde_json::from_slice(&answer).map_err(|error| {
        // An answer without what was asked for says why.
        let said = String::from_utf8_lossy(&answer).chars().take(300).collect::<String>();
        failed(format!("{error}: {said}"))
    })
}

async fn ask(nats: &Nats, subject: &str, question: &serde_json::Value) -> Result<Bytes, BrowseError> {
    let request = Request::new().timeout(Some(API_TIMEOUT)).payload(question.to_string().into());
    let answer = nats.client.send_request(format!("$JS.API.{subject}"), request).await.map_err(failed)?;
    Ok(answer.payload)
}

fn read(answer: async_nats::Message) -> Result<Message, BrowseError> {
    let headers = answer.headers.unwrap_or_default();
    let (subject, sequence) = (headers.get(SUBJECT), number(Some(&headers), SEQUENCE));
    let (Some(subject), Some(sequence)) = (subject, sequence) else {
        return Err(failed("an answer of the stream has no subject or no sequence"));
    };
    Ok(Message { subject: subject.to_string(), sequence, payload: answer.payload, headers })
}

fn number(headers: Option<&HeaderMap>, name: &str) -> Option<u64> {
    headers?.get(name)?.as_str().parse().ok()
}

fn unexpected(status: StatusCode, description: Option<String>) -> BrowseError {
    failed(format!("the stream answered {status} {}", description.unwrap_or_default()))
}
