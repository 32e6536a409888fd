//! All lines of the cluster to somebody else, in the order of the stream: a batch leaves when the one before it was
//! taken. The stream remembers how far that is, so nothing is skipped by restarts of either side, and a batch may be
//! sent twice. Of several workers one sends at a time.

use std::time::Duration;

use async_nats::{
    header,
    jetstream::{
        AckKind,
        consumer::{AckPolicy, DeliverPolicy, pull},
    },
};
use bytes::Bytes;
use futures::StreamExt as _;

use crate::{Nats, subject, topology::LOG_STREAM};

const CONSUMER: &str = "webhook";
/// Without a word for so long a batch is handed to another worker.
const ACK_WAIT: Duration = Duration::from_secs(60);
/// Between two tries: doubled from the first to the last.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(20));
const PULLED_FOR: Duration = Duration::from_secs(30);

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Forwarded {
    Taken,
    /// It is sent again.
    Refused(String),
}

/// Who gets the lines.
pub trait Forward: Send + Sync {
    /// Lines that end with a line feed; `id` is the same when they are sent again.
    fn forward(&self, id: &str, lines: Bytes) -> impl Future<Output = Forwarded> + Send;
}

impl Nats {
    /// Sends lines until it is dropped.
    pub async fn forward_mail_log(&self, to: &impl Forward) {
        loop {
            if let Err(error) = self.forward(to).await {
                tracing::warn!(%error, "lines of the mail log are not forwarded; they wait in their stream");
            }
            tokio::time::sleep(PAUSES.0).await;
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
                let batch = batch?;
                // Who wrote it, and its number there: also when it was stored twice, or the stream is a new one.
                let id = batch.headers.as_ref().and_then(|headers| headers.get(header::NATS_MESSAGE_ID));
                let id = id.map(ToString::to_string).unwrap_or_default();
                let mut pause = PAUSES.0;
                while let Forwarded::Refused(reason) = to.forward(&id, batch.payload.clone()).await {
                    tracing::warn!(reason, "a batch of the mail log was not taken; it is sent again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSES.1);
                    // Still ours; without this another worker would send it too.
                    batch.ack_with(AckKind::Progress).await?;
                }
                batch.double_ack().await?;
            }
        }
    }
}
