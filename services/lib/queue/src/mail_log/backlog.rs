//! How far the receiver of all lines is behind.

use std::time::{Duration, SystemTime};

use async_nats::header;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::forward::CONSUMER;
use crate::{
    Nats,
    metrics::{WEBHOOK_AGE, WEBHOOK_WAITING},
    stream::{self, From, Reading},
    subject,
    topology::LOG_STREAM,
};

const EVERY: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Backlog {
    /// That were not taken, with the one that is being sent.
    pub(super) batches: u64,
    /// When the oldest of them was written.
    pub(super) since: Option<SystemTime>,
}

/// Each worker shows it, whichever of them sends: also when none does.
pub(super) async fn show(nats: &Nats) {
    let mut known = None;
    loop {
        match backlog(nats).await {
            Ok(backlog) => known = Some(backlog),
            // What was the oldest grows older: it does not leave while the broker is away.
            Err(error) => tracing::debug!(%error, "how far the webhook is behind is not known"),
        }
        if let Some(Backlog { batches, since }) = known {
            let age = since.map(|since| SystemTime::now().duration_since(since).unwrap_or_default());
            metrics::gauge!(WEBHOOK_WAITING).set(batches as f64);
            metrics::gauge!(WEBHOOK_AGE).set(age.unwrap_or_default().as_secs_f64());
        }
        tokio::time::sleep(EVERY).await;
    }
}

pub(super) async fn backlog(nats: &Nats) -> Result<Backlog, async_nats::Error> {
    let (batches, taken) = stream::unacknowledged(nats, LOG_STREAM, CONSUMER).await?;
    if batches == 0 {
        return Ok(Backlog { batches, since: None });
    }
    let reading = Reading { stream: LOG_STREAM, filter: subject::ALL_LOG_BATCHES, messages: 1 };
    let oldest = reading.next(nats, From::Sequence(taken + 1)).await?;
    let stored = oldest.messages.first().and_then(|message| message.headers.get(header::NATS_TIME_STAMP));
    let since = stored.and_then(|text| OffsetDateTime::parse(text.as_str(), &Rfc3339).ok());
    Ok(Backlog { batches, since: since.map(SystemTime::from) })
}
