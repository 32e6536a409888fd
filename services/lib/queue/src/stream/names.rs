//! What a stream holds, by its names and numbers. The stream's leader answers, so what was just
//! written is there.

use std::collections::HashMap;

use serde::Deserialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{From, ask, call, unexpected};
use crate::Nats;

/// The broker lists at most 100,000 subjects at once, in their order. What leaves the stream
/// between two pages moves the others up, so pages overlap.
const PAGE_STEP: usize = 50_000;
/// No names are wanted, only how many there are.
const BEHIND_ALL: u32 = 1_000_000_000;

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

pub(crate) async fn extent(nats: &Nats, stream: &str) -> Result<Extent, async_nats::Error> {
    #[derive(Deserialize)]
    struct Info {
        state: Extent,
    }
    let info: Info = call(nats, &info_of(stream), &serde_json::json!({})).await?;
    Ok(info.state)
}

/// How many subjects fit `filter`.
pub(crate) async fn count_subjects(
    nats: &Nats,
    stream: &str,
    filter: &str,
) -> Result<u64, async_nats::Error> {
    #[derive(Deserialize)]
    struct Info {
        #[serde(default)]
        total: u64,
    }
    let question = serde_json::json!({ "subjects_filter": filter, "offset": BEHIND_ALL });
    let info: Info = call(nats, &info_of(stream), &question).await?;
    Ok(info.total)
}

/// Whether any subject of the stream fits.
pub(crate) async fn has_subject(nats: &Nats, stream: &str, filter: &str) -> Result<bool, async_nats::Error> {
    Ok(count_subjects(nats, stream, filter).await? > 0)
}

/// Calls `visit` with each subject that fits, in no order; with none of them twice, and with all that
/// are there from the beginning to the end.
pub(crate) async fn subjects(
    nats: &Nats,
    stream: &str,
    filter: &str,
    mut visit: impl FnMut(&str),
) -> Result<(), async_nats::Error> {
    let mut next = Some(0);
    let mut seen = String::new();
    while let Some(offset) = next {
        let mut last = String::new();
        next = subjects_from(nats, stream, filter, offset, |subject| {
            if subject > seen.as_str() {
                visit(subject);
            }
            if subject > last.as_str() {
                last.replace_range(.., subject);
            }
        })
        .await?;
        seen = last.max(seen);
    }
    Ok(())
}

/// Calls `visit` with one page of the subjects that fit, and says where the next one begins. Pages
/// overlap.
pub(crate) async fn subjects_from(
    nats: &Nats,
    stream: &str,
    filter: &str,
    offset: usize,
    visit: impl FnMut(&str),
) -> Result<Option<usize>, async_nats::Error> {
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
    let question = serde_json::json!({ "subjects_filter": filter, "offset": offset });
    let answer = ask(nats, &info_of(stream), &question).await?;
    let page: Page<'_> = serde_json::from_slice(&answer).map_err(|error| unexpected(&error, &answer))?;
    page.state.subjects.keys().copied().for_each(visit);
    let is_last = offset + page.state.subjects.len() >= page.total;
    Ok((!is_last).then_some(offset + PAGE_STEP))
}

/// The newest message that a consumer has handed out.
pub(crate) async fn delivered(nats: &Nats, stream: &str, consumer: &str) -> Result<u64, async_nats::Error> {
    Ok(state_of(nats, stream, consumer).await?.delivered.stream_seq)
}

/// What a consumer has not acknowledged: how many messages, and behind which one they stand.
pub(crate) async fn unacknowledged(
    nats: &Nats,
    stream: &str,
    consumer: &str,
) -> Result<(u64, u64), async_nats::Error> {
    let state = state_of(nats, stream, consumer).await?;
    Ok((state.num_pending + state.num_ack_pending, state.ack_floor.stream_seq))
}

#[derive(Deserialize)]
struct ConsumerState {
    delivered: Place,
    ack_floor: Place,
    num_pending: u64,
    num_ack_pending: u64,
}

#[derive(Deserialize)]
struct Place {
    stream_seq: u64,
}

async fn state_of(nats: &Nats, stream: &str, consumer: &str) -> Result<ConsumerState, async_nats::Error> {
    call(nats, &format!("CONSUMER.INFO.{stream}.{consumer}"), &serde_json::json!({})).await
}

fn info_of(stream: &str) -> String {
    format!("STREAM.INFO.{stream}")
}
