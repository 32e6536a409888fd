//! The time for which this process owns a shard. What is left of it when it is over has no
//! effect: the next owner has everything that was not settled.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hikyaku_types::{envelope::Lane, ids::EntryId, shard::ShardId};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Nats, stream, subject, topology::queue_stream};

const REMOVED_LOOKS: u32 = 20;
const REMOVED_PAUSE: Duration = Duration::from_millis(100);
const LED_LOOKS: u32 = 20;
const LED_PAUSE: Duration = Duration::from_millis(500);

#[derive(Debug, thiserror::Error)]
#[error("failed to take over {stream}")]
pub struct TakeOverError {
    stream: String,
    #[source]
    source: async_nats::Error,
}

/// Cheap to clone; all clones end together.
#[derive(Clone, Debug)]
pub struct Tenure(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shard: ShardId,
    over: AtomicBool,
    /// Somebody else waits for the shard.
    hastened: CancellationToken,
    /// For each lane the last stream sequence that earlier owners had been given.
    handed_out: [u64; Lane::ALL.len()],
    /// What is being written for this shard; it must end before the shard is given up.
    tasks: TaskTracker,
    /// Stream sequences whose end the stream has not confirmed. They come again, and have no need
    /// of another attempt.
    unconfirmed: Mutex<HashSet<u64>>,
    /// Entries whose attempt is over and being written.
    settling: Mutex<HashSet<EntryId>>,
}

/// An entry's attempt is being written until this is dropped.
#[derive(Debug)]
pub struct Settling {
    tenure: Tenure,
    entry: EntryId,
}

impl Tenure {
    /// Takes over the lanes of a shard: what earlier owners held and did not settle is handed out
    /// again at once. Call it only as the owner that the roster names.
    pub async fn begin(nats: &Nats, shard: ShardId) -> Result<Self, TakeOverError> {
        let stream = queue_stream(shard);
        let mut handed_out = [0; Lane::ALL.len()];
        for (lane, sequence) in Lane::ALL.into_iter().zip(&mut handed_out) {
            *sequence = take_over(nats, &stream, lane, Behind::Settled)
                .await
                .map_err(|source| TakeOverError { stream: stream.clone(), source })?;
        }
        let tasks = TaskTracker::new();
        Ok(Self(Arc::new(Inner {
            shard,
            over: AtomicBool::new(false),
            hastened: CancellationToken::new(),
            handed_out,
            tasks,
            unconfirmed: Mutex::default(),
            settling: Mutex::default(),
        })))
    }

    pub fn shard(&self) -> ShardId {
        self.0.shard
    }

    /// Hands out again, within this tenure, what of a lane has no end. Returns the last stream sequence that it
    /// concerns.
    pub(crate) async fn take_back(&self, nats: &Nats, lane: Lane) -> Result<u64, async_nats::Error> {
        take_over(nats, &queue_stream(self.shard()), lane, Behind::Settled).await
    }

    /// The same with all that the stream has, by another broker: neither what the consumer knows nor the one that
    /// leads it can be trusted.
    pub(crate) async fn begin_lane_anew(&self, nats: &Nats, lane: Lane) -> Result<u64, async_nats::Error> {
        let stream = queue_stream(self.shard());
        let step_down = format!("CONSUMER.LEADER.STEPDOWN.{stream}.{}", lane.name());
        let answer: serde_json::Value = nats.jetstream.request(step_down, &serde_json::json!({})).await?;
        let last = stream::extent(nats, &stream).await?.last;
        // A single broker refuses it, and one without a leader cannot do it.
        tracing::debug!(stream, lane = lane.name(), %answer, "another broker shall lead the consumer");
        let mut looks = 0..LED_LOOKS;
        loop {
            // Late, it would take from the next owner what that has just ended.
            if self.is_over() {
                return Err(format!("{stream} has another owner").into());
            }
            match take_over(nats, &stream, lane, Behind::Nothing).await {
                // Until there is another leader.
                Err(_) if looks.next().is_some() => tokio::time::sleep(LED_PAUSE).await,
                // What the consumer says it has handed out may be nothing.
                ended => return ended.map(|_| last),
            }
        }
    }

    /// Waits until the stream has removed what was acknowledged, which it does a moment later: what is
    /// there still would be handed out to the next owner, and sent again. Entries must have stopped to come.
    pub async fn until_removed(&self, nats: &Nats) {
        // All lanes together: nobody waits for long.
        let mut looks = 0..REMOVED_LOOKS;
        for lane in Lane::ALL {
            while looks.next().is_some() {
                match self.is_removed(nats, lane).await {
                    Ok(true) => break,
                    Ok(false) => tokio::time::sleep(REMOVED_PAUSE).await,
                    Err(error) => {
                        tracing::warn!(shard = %self.shard(), %error, "lane was not looked at");
                        break;
                    }
                }
            }
        }
    }

    async fn is_removed(&self, nats: &Nats, lane: Lane) -> Result<bool, async_nats::Error> {
        let (stream, filter) = (queue_stream(self.shard()), subject::lane_filter(self.shard(), lane));
        let info = nats.jetstream.get_stream_no_info(&stream).await?.consumer_info(lane.name()).await?;
        // In this order, what arrives meanwhile counts as handed out, not the other way round.
        let behind = stream::count(nats, &stream, &filter, info.delivered.stream_sequence + 1).await?;
        let all = stream::count(nats, &stream, &filter, 1).await?;
        Ok(all.saturating_sub(behind) <= info.num_ack_pending as u64)
    }

    /// Somebody else owns the shard, or will in a moment.
    pub fn end(&self) {
        self.0.over.store(true, Ordering::SeqCst);
    }

    pub fn is_over(&self) -> bool {
        self.0.over.load(Ordering::SeqCst)
    }

    /// What has not begun for good ends now, so that the shard can be given up.
    pub fn hasten(&self) {
        self.0.hastened.cancel();
    }

    pub async fn hastened(&self) {
        self.0.hastened.cancelled().await;
    }

    pub fn tasks(&self) -> &TaskTracker {
        &self.0.tasks
    }

    /// A copy of the entry that comes meanwhile is not attempted.
    pub fn settles(&self, entry: EntryId) -> Settling {
        self.settling().insert(entry);
        Settling { tenure: self.clone(), entry }
    }

    pub fn is_settling(&self, entry: EntryId) -> bool {
        self.settling().contains(&entry)
    }

    fn settling(&self) -> MutexGuard<'_, HashSet<EntryId>> {
        // Nothing that holds the lock can panic half-way.
        self.0.settling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn remember_unconfirmed(&self, sequence: u64) {
        self.unconfirmed().insert(sequence);
    }

    /// Whether this entry has its end already; the question forgets the answer.
    pub(crate) fn was_unconfirmed(&self, sequence: u64) -> bool {
        self.unconfirmed().remove(&sequence)
    }

    fn unconfirmed(&self) -> MutexGuard<'_, HashSet<u64>> {
        // Nothing that holds the lock can panic half-way.
        self.0.unconfirmed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An earlier owner may have begun with this entry, or written its retry.
    pub(crate) fn was_handed_out(&self, lane: Lane, sequence: u64) -> bool {
        Lane::ALL.iter().zip(&self.0.handed_out).any(|(of, last)| *of == lane && sequence <= *last)
    }
}

impl Drop for Settling {
    fn drop(&mut self) {
        self.tenure.settling().remove(&self.entry);
    }
}

/// Where a consumer begins again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Behind {
    /// All that it calls settled. The stream may remove the last of that a moment later.
    Settled,
    /// Nothing: whatever the stream has was not settled.
    Nothing,
}

/// Forgets who holds what. The reset has no call in the client library yet.
async fn take_over(nats: &Nats, stream: &str, lane: Lane, behind: Behind) -> Result<u64, async_nats::Error> {
    let info = nats.jetstream.get_stream_no_info(stream).await?.consumer_info(lane.name()).await?;
    let subject = format!("CONSUMER.RESET.{stream}.{}", lane.name());
    let from = match behind {
        Behind::Settled => serde_json::json!({}),
        Behind::Nothing => serde_json::json!({ "seq": 1 }),
    };
    let answer: serde_json::Value = nats.jetstream.request(subject, &from).await?;
    match answer.get("error") {
        Some(error) => Err(format!("consumer {} was not reset: {error}", lane.name()).into()),
        None => Ok(info.delivered.stream_sequence),
    }
}
