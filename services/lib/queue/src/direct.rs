//! Reading a stream in order without a consumer: many messages with one request (ADR-31, which the
//! client library has no call for yet), and the subjects of a stream without their messages.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use async_nats::{StatusCode, header};
use bytes::Bytes;
use futures::StreamExt as _;
use serde::Deserialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::Nats;

/// Between two messages of an answer.
const SILENCE: Duration = Duration::from_secs(4);
/// A list of very many subjects takes the broker a while.
const LIST_TIMEOUT: Duration = Duration::from_secs(30);
/// The broker lists at most 100,000 subjects at once, in their order. What leaves the stream
/// between two pages moves the others up, so pages overlap.
const PAGE_STEP: usize = 50_000;
/// A replica that lags does not have the last messages yet.
const LAG_TRIES: u32 = 50;
const LAG_PAUSE: Duration = Duration::from_millis(100);
const END_OF_BATCH: u16 = 204;

#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) sequence: u64,
    pub(crate) subject: String,
    pub(crate) payload: Bytes,
}

/// Where a stream is read and how much at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading<'a> {
    pub(crate) stream: &'a str,
    pub(crate) filter: &'a str,
    pub(crate) messages: usize,
    /// A single message may pass it.
    pub(crate) bytes: usize,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum From {
    Sequence(u64),
    Time(SystemTime),
}

/// What a stream holds.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Extent {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    #[serde(rename = "last_seq")]
    pub(crate) last: u64,
    last_ts: String,
}

impl Extent {
    /// Whether there is anything at or behind this place.
    pub(crate) fn reaches(&self, from: From) -> bool {
        let reaches = match from {
            From::Sequence(sequence) => sequence <= self.last,
            From::Time(at) => OffsetDateTime::parse(&self.last_ts, &Rfc3339).is_ok_and(|last| last >= at),
        };
        self.messages > 0 && reaches
    }
}

impl Reading<'_> {
    /// The next messages, in order; none: there are no more up to the stream's end, as this
    /// replica knows it.
    pub(crate) async fn next(&self, nats: &Nats, from: From) -> Result<Vec<Stored>, async_nats::Error> {
        let mut request = serde_json::json!({
            "next_by_subj": self.filter, "batch": self.messages, "max_bytes": self.bytes,
        });
        match from {
            From::Sequence(sequence) => request["seq"] = sequence.into(),
            From::Time(at) => {
                request["start_time"] = OffsetDateTime::from(at).format(&Rfc3339)?.into();
            }
        }
        let inbox = nats.client.new_inbox();
        let mut answers = nats.client.subscribe(inbox.clone()).await?;
        let subject = format!("$JS.API.DIRECT.GET.{}", self.stream);
        nats.client.publish_with_reply(subject, inbox, serde_json::to_vec(&request)?.into()).await?;
        let mut found = Vec::new();
        loop {
            let answer = tokio::time::timeout(SILENCE, answers.next()).await?;
            let answer = answer.ok_or("the connection ended")?;
            match answer.status {
                None => found.push(stored(answer)?),
                // The end of the batch, or nothing at all.
                Some(status) if status.as_u16() == END_OF_BATCH || status == StatusCode::NOT_FOUND => {
                    return Ok(found);
                }
                Some(status) => {
                    let what = answer.description.unwrap_or_default();
                    return Err(format!("stream {} was not read: {status} {what}", self.stream).into());
                }
            }
        }
    }

    /// As [`Self::next`] where there is something: waits for a replica that lags.
    pub(crate) async fn next_of(
        &self,
        nats: &Nats,
        from: From,
        extent: &Extent,
    ) -> Result<Vec<Stored>, async_nats::Error> {
        if !extent.reaches(from) {
            return Ok(Vec::new());
        }
        for _ in 0..LAG_TRIES {
            let found = self.next(nats, from).await?;
            if !found.is_empty() {
                return Ok(found);
            }
            tokio::time::sleep(LAG_PAUSE).await;
        }
        Err(format!("stream {} does not show its message {}", self.stream, extent.last).into())
    }
}

fn stored(message: async_nats::Message) -> Result<Stored, async_nats::Error> {
    let headers = message.headers.unwrap_or_default();
    let text = |name| headers.get(name).map(|value| value.as_str()).ok_or("no sequence or subject");
    let (sequence, subject) = (text(header::NATS_SEQUENCE)?.parse()?, text(header::NATS_SUBJECT)?.to_owned());
    Ok(Stored { sequence, subject, payload: message.payload })
}

/// What the stream's leader knows of it.
pub(crate) async fn extent(nats: &Nats, stream: &str) -> Result<Extent, async_nats::Error> {
    Ok(info(nats, stream, &serde_json::json!({})).await?.state.extent)
}

/// Whether any subject of the stream matches.
pub(crate) async fn has_subject(nats: &Nats, stream: &str, filter: &str) -> Result<bool, async_nats::Error> {
    Ok(info(nats, stream, &serde_json::json!({ "subjects_filter": filter })).await?.total > 0)
}

/// One page of the subjects that match, and the offset of the next one; they overlap.
pub(crate) async fn subjects_from(
    nats: &Nats,
    stream: &str,
    filter: &str,
    offset: usize,
) -> Result<(Vec<String>, Option<usize>), async_nats::Error> {
    let request = serde_json::json!({ "subjects_filter": filter, "offset": offset });
    let info = info(nats, stream, &request).await?;
    let subjects = info.state.subjects.unwrap_or_default();
    let is_last = offset + subjects.len() >= info.total;
    Ok((subjects.into_keys().collect(), (!is_last).then_some(offset + PAGE_STEP)))
}

/// Calls `page` with all subjects of a stream that match, some of them twice.
pub(crate) async fn subjects(
    nats: &Nats,
    stream: &str,
    filter: &str,
    mut page: impl FnMut(Vec<String>),
) -> Result<(), async_nats::Error> {
    let mut next = Some(0);
    while let Some(offset) = next {
        let subjects;
        (subjects, next) = subjects_from(nats, stream, filter, offset).await?;
        page(subjects);
    }
    Ok(())
}

#[derive(Deserialize)]
struct Info {
    state: State,
    #[serde(default)]
    total: usize,
}

#[derive(Deserialize)]
struct State {
    #[serde(flatten)]
    extent: Extent,
    subjects: Option<HashMap<String, u64>>,
}

async fn info(nats: &Nats, stream: &str, request: &serde_json::Value) -> Result<Info, async_nats::Error> {
    let request =
        async_nats::Request::new().payload(serde_json::to_vec(request)?.into()).timeout(Some(LIST_TIMEOUT));
    let answer = nats.client.send_request(format!("$JS.API.STREAM.INFO.{stream}"), request).await?;
    serde_json::from_slice(&answer.payload).map_err(|error| {
        let start = String::from_utf8_lossy(answer.payload.get(..300).unwrap_or(&answer.payload));
        format!("stream {stream} cannot be looked at: {error}: {start}").into()
    })
}
