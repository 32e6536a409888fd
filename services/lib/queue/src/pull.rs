//! One lane of a shard as a stream of leases. The broker pins one client to the lane;
//! others wait until the pin runs out or is given up.

use std::{
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use async_nats::jetstream::consumer::pull::{self, Stream as Messages};
use futures::StreamExt as _;
use hikyaku_types::{envelope::Lane, shard::ShardId};

use crate::{
    Lease, Nats, codec,
    lease::{Held, Reply, StreamPlace},
    topology::{GROUP, queue_stream},
    trace,
};

const BATCH: usize = 500;
/// Well below the pin's time-out, or the pin is lost between two pulls.
const EXPIRES: Duration = Duration::from_secs(1);
const HEARTBEAT: Duration = Duration::from_millis(400);
const REOPEN_PAUSE: Duration = Duration::from_millis(500);

/// Pulls for ever; what ends a stream of messages only makes it open the next one.
pub struct LanePuller {
    nats: Nats,
    shard: ShardId,
    lane: Lane,
    held: Arc<AtomicUsize>,
    messages: Option<Messages>,
}

impl std::fmt::Debug for LanePuller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LanePuller")
            .field("shard", &self.shard)
            .field("lane", &self.lane)
            .finish_non_exhaustive()
    }
}

impl LanePuller {
    pub fn new(nats: Nats, shard: ShardId, lane: Lane) -> Self {
        Self { nats, shard, lane, held: Arc::default(), messages: None }
    }

    /// The next entry of the lane. Safe to drop while it waits.
    pub async fn next(&mut self) -> Lease {
        loop {
            let messages = match &mut self.messages {
                Some(messages) => messages,
                closed => match open(&self.nats, self.shard, self.lane).await {
                    Ok(messages) => closed.insert(messages),
                    Err(error) => {
                        tracing::warn!(shard = %self.shard, lane = self.lane.name(), %error, "failed to pull; trying again");
                        tokio::time::sleep(REOPEN_PAUSE).await;
                        continue;
                    }
                },
            };
            match messages.next().await {
                Some(Ok(message)) => {
                    if let Some(lease) = self.lease(message) {
                        return lease;
                    }
                }
                Some(Err(error)) => {
                    tracing::debug!(shard = %self.shard, lane = self.lane.name(), %error, "pull ended; reopening");
                    self.messages = None;
                    tokio::time::sleep(REOPEN_PAUSE).await;
                }
                None => self.messages = None,
            }
        }
    }

    fn lease(&self, message: async_nats::jetstream::Message) -> Option<Lease> {
        let info = message.info().ok()?;
        let deliveries = u64::try_from(info.delivered).unwrap_or(1);
        let place = StreamPlace { shard: self.shard, sequence: info.stream_sequence };
        let async_nats::Message { subject, reply, payload, headers, .. } = message.message;
        let reply = Reply { client: self.nats.client.clone(), subject: reply? };
        let origin = trace::read(headers.as_ref());
        match codec::decode(payload) {
            Ok(envelope) => {
                let held = Held::one_more(&self.held);
                Some(Lease::new(envelope, self.lane, deliveries, origin, place, held, reply))
            }
            Err(error) => {
                // It is not acknowledged: it stays for a version that can read it.
                tracing::error!(%subject, %error, "entry cannot be read");
                None
            }
        }
    }
}

async fn open(nats: &Nats, shard: ShardId, lane: Lane) -> Result<Messages, async_nats::Error> {
    let consumer: async_nats::jetstream::consumer::Consumer<pull::Config> =
        nats.jetstream.get_consumer_from_stream(lane.name(), queue_stream(shard)).await?;
    let messages = consumer
        .stream()
        .group(GROUP)
        .max_messages_per_batch(BATCH)
        .expires(EXPIRES)
        .heartbeat(HEARTBEAT)
        .messages()
        .await?;
    Ok(messages)
}

/// Gives up the pin of every lane of a shard, so that the next owner need not wait for the
/// time-out. Call it after the pullers were dropped.
pub async fn release(nats: &Nats, shard: ShardId) {
    let Ok(stream) = nats.jetstream.get_stream_no_info(queue_stream(shard)).await else { return };
    for lane in Lane::ALL {
        if let Err(error) = stream.unpin_consumer(lane.name(), GROUP).await {
            tracing::debug!(%shard, lane = lane.name(), %error, "pin was not given up; it runs out by itself");
        }
    }
}
