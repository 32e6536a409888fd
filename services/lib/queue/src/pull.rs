//! One lane of a shard as a stream of leases, for the shard's owner. It asks for no more than it
//! has room for.

mod overlooked; // what the consumer does not know of

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant, SystemTime},
};

use async_nats::jetstream::{
    consumer::{
        Consumer,
        pull::{self, Batch},
    },
    stream::DirectGetErrorKind,
};
use futures::StreamExt as _;
use hikyaku_types::envelope::Lane;

use self::overlooked::{Overlooked, Said};
use crate::{
    Lease, Nats, codec,
    lease::{Held, LaneHoldings, Reply, StreamPlace},
    stream::last_of_leader,
    subject,
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
/// The broker's word that a batch is over arrives within this time after its end.
const WORD: Duration = Duration::from_millis(500);
/// A broker that does not answer a look within this time does not keep mail waiting.
const LOOK: Duration = Duration::from_secs(1);

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
    batch: Option<(Batch, Instant)>,
    way: Way,
    overlooked: Overlooked,
    /// The last place of an entry that is of another version; nobody looks for what stands before.
    unreadable: u64,
}

/// What the consumer has handed out and what has come here. A broker that goes takes with it what it had sent to
/// nobody yet, and the consumer would wait for its end for the whole time of a lease.
#[derive(Debug, Default)]
struct Way {
    /// The consumer's number of the last entry that came. It counts what it hands out, without gaps.
    last: u64,
    /// Something has not come.
    is_lossy: bool,
    /// The consumer may have handed out what has not come.
    is_doubtful: bool,
    /// Connections to brokers that there had been.
    connects: u64,
    /// What stands here or before in the stream was handed out in this tenure, and then taken back.
    taken_back: u64,
}

impl Way {
    fn came(&mut self, number: u64) {
        // A new leader of the consumer may not know of the last ones, and hands them out again.
        self.is_lossy |= number > self.last + 1;
        self.last = number;
    }

    /// A batch ended otherwise than by the broker's word, or with a gap, or the connection is another one.
    fn is_doubtful(&self, connects: u64) -> bool {
        self.is_lossy || self.is_doubtful || connects != self.connects
    }

    /// The consumer says how many it has handed out. Whether all have come.
    fn agrees(&mut self, handed_out: u64) -> bool {
        let agrees = !self.is_lossy && handed_out <= self.last;
        self.last = handed_out.min(self.last);
        agrees
    }
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
        let way = Way { connects: connects(&nats), ..Way::default() };
        let overlooked = Overlooked::new(Instant::now());
        let held = Arc::default();
        Self { nats, tenure, lane, held, now, consumer: None, batch: None, way, overlooked, unreadable: 0 }
    }

    /// The next entry of the lane. Safe to drop while it waits.
    pub async fn next(&mut self) -> Lease {
        loop {
            let Some((batch, asked)) = &mut self.batch else {
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
                    (self.batch, self.way.is_doubtful) = (None, true);
                    tokio::time::sleep(REOPEN_PAUSE).await;
                }
                ended @ (Ok(None) | Err(_)) => {
                    self.way.is_doubtful |= ended.is_err() || asked.elapsed() > EXPIRES + WORD;
                    self.batch = None;
                }
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
        let now = connects(&self.nats);
        if self.way.is_doubtful(now) {
            look(consumer, &self.nats, &self.tenure, self.lane, &mut self.way).await?;
            self.way.connects = now;
        }
        if self.overlooked.is_time(Instant::now()) {
            self.look_for_overlooked().await?;
        }
        let Some(consumer) = &self.consumer else { return Ok(()) };
        let batch = consumer.batch().max_messages(room.min(BATCH)).max_bytes(bytes);
        let batch = batch.expires(EXPIRES).messages().await?;
        self.batch = Some((batch, Instant::now()));
        Ok(())
    }

    /// What stands in the lane and what the consumer says of it must agree, or it is handed out again. Without an
    /// answer mail goes on, and it is looked at later.
    async fn look_for_overlooked(&mut self) -> Result<(), async_nats::Error> {
        let (shard, lane) = (self.tenure.shard(), self.lane.name());
        let entry = match tokio::time::timeout(LOOK, self.overlooked_entry()).await {
            Ok(Ok(Some(entry))) if !self.tenure.is_over() => entry,
            Ok(Ok(Some(_) | None)) | Err(_) => return Ok(()),
            Ok(Err(error)) => {
                tracing::debug!(%shard, lane, %error, "lane was not compared with its consumer");
                return Ok(());
            }
        };
        tracing::warn!(%shard, lane, entry, "the consumer overlooks an entry; the lane is handed out again");
        let taken_back = self.tenure.begin_lane_anew(&self.nats, self.lane).await?;
        self.way = Way { taken_back, connects: self.way.connects, ..Way::default() };
        self.overlooked.came_again(Instant::now());
        Ok(())
    }

    /// The subject of the lane's first entry, when it is time that it comes again.
    async fn overlooked_entry(&mut self) -> Result<Option<String>, async_nats::Error> {
        let name = queue_stream(self.tenure.shard());
        let filter = subject::lane_filter(self.tenure.shard(), self.lane);
        let stream = self.nats.jetstream.get_stream_no_info(&name).await?;
        let first = match stream.direct_get_next_for_subject(filter, Some(self.unreadable + 1)).await {
            Ok(message) => Some(message).filter(|message| !self.held.holds(message.sequence)),
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        let (Some(first), Some(consumer)) = (first, &mut self.consumer) else {
            self.overlooked.is_none();
            return Ok(None);
        };
        let info = consumer.get_info().await?;
        let said = Said { place: info.delivered.stream_sequence, unsettled: info.num_ack_pending };
        if !self.overlooked.must_come_again(first.sequence, said, Instant::now()) {
            return Ok(None);
        }
        // A replica that lags shows what is gone.
        let subject = first.subject.to_string();
        let is_there = last_of_leader(&self.nats, &name, &subject).await?;
        Ok(is_there.filter(|last| last.sequence == first.sequence).map(|_| subject))
    }

    fn lease(&mut self, message: async_nats::jetstream::Message) -> Option<Lease> {
        let info = message.info().ok()?;
        let sequence = info.stream_sequence;
        self.way.came(info.consumer_sequence);
        let is_again = self.tenure.was_handed_out(self.lane, sequence) || sequence <= self.way.taken_back;
        let deliveries = u64::try_from(info.delivered).unwrap_or(1) + u64::from(is_again);
        if self.held.holds(sequence) {
            return None; // what was taken back comes again, also what is worked on here
        }
        let place = StreamPlace { shard: self.tenure.shard(), sequence };
        let async_nats::Message { subject, reply, payload, headers, .. } = message.message;
        let size = payload.len();
        let reply = Reply { client: self.nats.client.clone(), subject: reply? };
        let origin = trace::read(headers.as_ref(), (self.now)());
        match codec::decode(payload) {
            Ok(envelope) => {
                let held = Held::one_more(&self.held, sequence, size);
                let tenure = self.tenure.clone();
                Some(Lease::new(envelope, self.lane, deliveries, origin, place, held, tenure, reply))
            }
            Err(error) => {
                // It is not acknowledged: it stays for a version that can read it.
                self.unreadable = self.unreadable.max(sequence);
                tracing::error!(%subject, %error, "entry cannot be read");
                None
            }
        }
    }
}

/// Connections to brokers that there were.
fn connects(nats: &Nats) -> u64 {
    nats.client.statistics().connects.load(Ordering::Relaxed)
}

/// Compares what came with what the consumer has handed out. When something is missing, it hands out again all
/// that has no end.
async fn look(
    consumer: &Consumer<pull::Config>,
    nats: &Nats,
    tenure: &Tenure,
    lane: Lane,
    way: &mut Way,
) -> Result<(), async_nats::Error> {
    let delivered = consumer.get_info().await?.delivered;
    if !way.agrees(delivered.consumer_sequence) && !tenure.is_over() {
        let missing = delivered.consumer_sequence.saturating_sub(way.last);
        tracing::info!(shard = %tenure.shard(), lane = lane.name(), missing, "entries were lost on their way; the lane is handed out again");
        let taken_back = tenure.take_back(nats, lane).await?;
        *way = Way { taken_back, ..Way::default() };
    }
    (way.is_lossy, way.is_doubtful) = (false, false);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Way;

    fn after(numbers: &[u64]) -> Way {
        let mut way = Way::default();
        numbers.iter().for_each(|number| way.came(*number));
        way
    }

    #[test]
    fn what_came_in_order_is_all() {
        let mut way = after(&[1, 2, 3]);
        assert!(!way.is_doubtful(0));
        assert!(way.agrees(3));
    }

    #[test]
    fn a_gap_is_a_loss_at_once() {
        let mut way = after(&[1, 3]);
        assert!(way.is_doubtful(0));
        assert!(!way.agrees(3));
    }

    #[test]
    fn the_last_one_is_missed_when_the_consumer_tells() {
        let mut way = after(&[1, 2]);
        assert!(way.is_doubtful(1), "another connection");
        assert!(!way.agrees(3));
    }

    #[test]
    fn a_leader_that_knows_less_loses_nothing() {
        let mut way = after(&[1, 2, 3]);
        assert!(way.agrees(1));
        way.came(2);
        way.came(3);
        assert!(!way.is_doubtful(0) && way.agrees(3));
    }
}
