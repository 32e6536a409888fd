//! All lines of the cluster to somebody else, in the order of the stream: a batch leaves when the one before it was
//! taken, or is refused for ever. The stream remembers how far that is, so nothing is skipped by restarts of either side,
//! and a batch may be sent twice. Of several workers one sends at a time.

use std::{ops::Range, time::Duration};

use async_nats::{
    header,
    jetstream::{
        AckKind, Message,
        consumer::{AckPolicy, DeliverPolicy, pull},
    },
};
use bytes::Bytes;
use futures::StreamExt as _;
use hikyaku_mail_log::metrics::lost;
use tokio::time::Instant;

use super::{
    backlog,
    pieces::{Answer, Pieces, Step},
};
use crate::{Nats, subject, topology::LOG_STREAM};

pub(super) const CONSUMER: &str = "webhook";
/// Without a word for so long a batch is handed to another worker.
const ACK_WAIT: Duration = Duration::from_secs(60);
/// Between two tries: doubled from the first to the last.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(20));
const PULLED_FOR: Duration = Duration::from_secs(30);
/// As metrics call it.
const WEBHOOK: &str = "webhook";

/// What became of lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Forwarded {
    Taken,
    /// The same may be taken another time.
    Later(String),
    /// These lines are never taken; others are.
    Refused(String),
    /// These lines are refused, or we are: what becomes of others tells.
    Unclear(String),
}

/// Who gets the lines.
pub trait Forward: Send + Sync {
    /// Lines that end with a line feed; `id` is the same when the same lines are sent again.
    fn forward(&self, id: &str, lines: Bytes) -> impl Future<Output = Forwarded> + Send;
}

impl Nats {
    /// Sends lines until it is dropped.
    pub async fn forward_mail_log(&self, to: &impl Forward) {
        let forwarding = async {
            loop {
                if let Err(error) = self.forward(to).await {
                    tracing::warn!(%error, "lines of the mail log are not forwarded; they wait in their stream");
                }
                tokio::time::sleep(PAUSES.0).await;
            }
        };
        tokio::select! {
            () = forwarding => {}
            () = backlog::show(self) => {}
        }
    }

    async fn forward(&self, to: &impl Forward) -> Result<(), async_nats::Error> {
        let config = pull::Config {
            durable_name: Some(CONSUMER.to_owned()),
            filter_subject: subject::ALL_LOG_BATCHES.to_owned(),
            // What is in the stream before anybody asked for it is not news.
            deliver_policy: DeliverPolicy::New,
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            // One after the other keeps their order.
            max_ack_pending: 1,
            max_deliver: -1,
            ..pull::Config::default()
        };
        let consumer = self.jetstream.create_consumer_on_stream(config, LOG_STREAM).await?;
        loop {
            let mut batches = consumer.batch().max_messages(1).expires(PULLED_FOR).messages().await?;
            while let Some(batch) = batches.next().await {
                hand_over(&batch?, to).await?;
            }
        }
    }
}

/// Ends when each line was taken, or will never be.
async fn hand_over(batch: &Message, to: &impl Forward) -> Result<(), async_nats::Error> {
    // Who wrote it, and its number there: also when it was stored twice, or the stream is a new one.
    let id = batch.headers.as_ref().and_then(|headers| headers.get(header::NATS_MESSAGE_ID));
    let id = id.map(ToString::to_string).unwrap_or_default();
    let ends = ends_of_lines(&batch.payload);
    let (mut pieces, began) = (Pieces::of(ends.len()), Instant::now());
    let (mut pause, mut refusal) = (PAUSES.0, None);
    while let Some(piece) = pieces.next() {
        let is_whole = piece.len() == ends.len();
        let name = if is_whole { id.clone() } else { format!("{id}:{}-{}", piece.start, piece.end) };
        let (answer, reason) = asked(to, &name, part(&batch.payload, &ends, &piece)).await;
        let step = pieces.answered(answer, began.elapsed());
        if let (Answer::Refused | Answer::Unclear, None, Some(reason)) = (answer, &refusal, &reason) {
            tracing::warn!(id, reason, "a batch of the mail log is refused; it is sent in smaller pieces");
        }
        if step == Step::Wait {
            let reason = reason.as_deref().unwrap_or_default();
            tracing::warn!(id, reason, "a batch of the mail log was not taken; it is sent again");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
        if answer != Answer::Later {
            refusal = reason.or(refusal);
        }
        if pieces.next().is_some() {
            // Still ours; without this another worker would send it too.
            batch.ack_with(AckKind::Progress).await?;
        }
    }
    // Who gets it once more counts it.
    batch.double_ack().await?;
    let (lines, reason) = (pieces.lost(), refusal.unwrap_or_default());
    if lines > 0 {
        lost(WEBHOOK, lines as u64);
        let message = "lines of the mail log are refused for ever; the webhook does not get them";
        tracing::error!(id, lines, reason, "{message}");
    }
    Ok(())
}

/// What the receiver says of these, and why it does not take them.
async fn asked(to: &impl Forward, name: &str, lines: Bytes) -> (Answer, Option<String>) {
    match to.forward(name, lines).await {
        Forwarded::Taken => (Answer::Taken, None),
        Forwarded::Later(reason) => (Answer::Later, Some(reason)),
        Forwarded::Refused(reason) => (Answer::Refused, Some(reason)),
        Forwarded::Unclear(reason) => (Answer::Unclear, Some(reason)),
    }
}

/// Where each line ends, behind its line feed.
fn ends_of_lines(lines: &[u8]) -> Vec<usize> {
    let feeds = lines.iter().enumerate().filter(|(_, octet)| **octet == b'\n');
    feeds.map(|(at, _)| at + 1).chain((!lines.ends_with(b"\n")).then_some(lines.len())).collect()
}

fn part(lines: &Bytes, ends: &[usize], piece: &Range<usize>) -> Bytes {
    let end_of =
        |number: usize| number.checked_sub(1).and_then(|before| ends.get(before)).copied().unwrap_or(0);
    lines.slice(end_of(piece.start)..end_of(piece.end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_whole_lines() {
        for text in ["a\nbb\n\nccc\n", "a\nbb\n\nccc"] {
            let lines = Bytes::from_static(text.as_bytes());
            let ends = ends_of_lines(&lines);
            assert_eq!(ends, [2, 5, 6, text.len()]);
            assert_eq!(part(&lines, &ends, &(0..4)), lines);
            assert_eq!(part(&lines, &ends, &(0..1)), "a\n");
            assert_eq!(part(&lines, &ends, &(1..3)), "bb\n\n");
            assert_eq!(part(&lines, &ends, &(3..4)), text[6..]);
        }
    }
}
