//! One lane of a shard as a stream of leases, for the shard's owner. It asks for no more than it
//! has room for.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_nats::jetstream::consumer::{
    Consumer,
    pull::{self, Batch},
};
use futures::StreamExt as _;
use hikyaku_types::envelope::Lane;

use crate::{
    Lease, Nats, codec,
    lease::{Held, LaneHoldings, Reply, StreamPlace},
    tenure::Tenure,
    topology::{LARGEST_ENTRY, queue_stream},
    trace,
};

const BATCH: usize = 500;
const EXPIRES: Duration = Duration::from_secs(1);
/// A broker that is silent for longer than it said is asked anew.
const SILENCE: Duration = Duration::from_secs(3);
const REOPEN_PAUSE: Duration = Duration::from_millis(250);
const FULL_PAUSE: Duration = Duration::from_millis(20);

/// The broker's time, as far as it is known.
pub type Now = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// Pulls for ever; what ends a batch of messages only makes it ask for the next one.
pub struct LanePuller {
    nats: Nats,
    tenure: Tenure,
    lane: Lane,
    held: Arc<LaneHoldings>,
    now: Now,
    consumer: Option<Consumer<pull::Config>>,
    batch: Option<Batch>,
}

impl std::fmt::Debug for LanePuller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LanePuller")
            .field("shard", &self.tenure.shard())
            .field("lane", &self.lane)
            .finish_non_exhaustive()
    }
}

impl LanePuller {
    pub fn new(nats: Nats, tenure: Tenure, lane: Lane, now: Now) -> Self {
        Self { nats, tenure, lane, held: Arc::default(), now, consumer: None, batch: None }
    }

    /// The next entry of the lane. Safe to drop while it waits.
    pub async fn next(&mut self) -> Lease {
        loop {
            let Some(batch) = &mut self.batch else {
                if let Err(error) = self.ask().await {
                    let (shard, lane) = (self.tenure.shard(), self.lane.name());
                    tracing::warn!(%shard, lane, %error, "failed to pull; trying again");
                    self.consumer = None;
                    tokio::time::sleep(REOPEN_PAUSE).await;
                }
                continue;
            };
            match tokio::time::timeout(SILENCE, batch.next()).await {
                Ok(Some(Ok(message))) => match self.lease(message) {
                    Some(lease) if lease.has_had_its_end() => {
                        self.tenure.tasks().spawn(lease.done());
                    }
                    Some(lease) => return lease,
                    None => {}
                },
                Ok(Some(Err(error))) => {
                    let (shard, lane) = (self.tenure.shard(), self.lane.name());
                    tracing::debug!(%shard, lane, %error, "pull ended; asking again");
                    self.batch = None;
                    tokio::time::sleep(REOPEN_PAUSE).await;
                }
                Ok(None) | Err(_) => self.batch = None,
            }
        }
    }

    /// Asks for as many entries as there is room for.
    async fn ask(&mut self) -> Result<(), async_nats::Error> {
        let (room, bytes) = self.held.room();
        if room == 0 || bytes < LARGEST_ENTRY {
            tokio::time::sleep(FULL_PAUSE).await;
            return Ok(());
        }
        let consumer = match &mut self.consumer {
            Some(consumer) => consumer,
            missing => {
                let stream = queue_stream(self.tenure.shard());
                let jetstream = &self.nats.jetstream;
                missing.insert(jetstream.get_consumer_from_stream(self.lane.name(), stream).await?)
            }
        };
        let batch = consumer.batch().max_messages(room.min(BATCH)).max_bytes(bytes);
        let batch = batch.expires(EXPIRES).messages().await?;
        self.batch = Some(batch);
        Ok(())
    }

    fn lease(&self, message: async_nats::jetstream::Message) -> Option<Lease> {
        let info = message.info().ok()?;
        let sequence = info.stream_sequence;
        let deliveries = u64::try_from(info.delivered).unwrap_or(1)
            + u64::from(self.tenure.was_handed_out(self.lane, sequence));
        let place = StreamPlace { shard: self.tenure.shard(), sequence };
        let async_nats::Message { subject, reply, payload, headers, .. } = message.message;
        let size = payload.len();
        let reply = Reply { client: self.nats.client.clone(), subject: reply? };
        let origin = trace::read(headers.as_ref(), (self.now)());
        match codec::decode(payload) {
            Ok(envelope) => {
                let held = Held::one_more(&self.held, size);
                let tenure = self.tenure.clone();
                Some(Lease::new(envelope, self.lane, deliveries, origin, place, held, tenure, reply))
            }
            Err(error) => {
                // It is not acknowledged: it stays for a version that can read it.
                tracing::error!(%subject, %error, "entry cannot be read");
                None
            }
        }
    }
}
