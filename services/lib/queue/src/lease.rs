//! An entry that a worker holds. It is settled once, by value; one that is dropped
//! unsettled goes back to the stream.

use std::{
    collections::{HashSet, VecDeque},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use async_nats::{Client, Subject, jetstream::AckKind};
use bytes::Bytes;
use hikyaku_types::{
    envelope::{Envelope, Lane},
    shard::ShardId,
};

use crate::{
    subject::{self, Place},
    tenure::Tenure,
    topology::{ACK_WAIT, LANE_BYTES, LANE_CAPACITY, LARGEST_ENTRY, queue_stream},
};

pub use crate::trace::Origin;

/// What went wrong may go wrong again.
const GIVE_BACK_PAUSE: Duration = Duration::from_secs(2);
/// An entry that is given back again and again waits longer each time, up to this.
const MAX_GIVE_BACK_PAUSE: Duration = Duration::from_secs(60);
/// The broker starts to count before we do.
const EXPIRY_MARGIN: Duration = Duration::from_secs(5);
/// How long the end of an entry is repeated until the broker confirms it.
const CONFIRM_FOR: Duration = Duration::from_secs(20);
const CONFIRM_PAUSE: Duration = Duration::from_millis(250);

/// Renew a lease at least this often.
pub const RENEW_EVERY: Duration = Duration::from_secs(10);
/// Most messages are through before they need it.
const RENEWED_LATELY: Duration = Duration::from_secs(2);

pub struct Lease {
    envelope: Envelope,
    lane: Lane,
    /// How often the stream has handed this entry out.
    deliveries: u64,
    origin: Origin,
    /// Where the entry stands in its stream.
    place: StreamPlace,
    held: Held,
    tenure: Tenure,
    age: Age,
    /// `None` once settled.
    reply: Option<Reply>,
}

impl Lease {
    #[expect(clippy::too_many_arguments, reason = "one caller, which has all of them at hand")]
    pub(crate) fn new(
        envelope: Envelope,
        lane: Lane,
        deliveries: u64,
        origin: Origin,
        place: StreamPlace,
        held: Held,
        tenure: Tenure,
        reply: Reply,
    ) -> Self {
        Self {
            envelope,
            lane,
            deliveries,
            origin,
            place,
            held,
            tenure,
            age: Age::new(Instant::now()),
            reply: Some(reply),
        }
    }

    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    pub fn lane(&self) -> Lane {
        self.lane
    }

    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    pub(crate) fn place(&self) -> StreamPlace {
        self.place
    }

    /// The stream in which it stands.
    pub fn stream(&self) -> String {
        queue_stream(self.place.shard)
    }

    /// Where the entry stands in its lane.
    pub(crate) fn subject(&self) -> subject::Subject {
        subject::Subject {
            shard: self.place.shard,
            place: Place::Lane(self.lane),
            destination: self.envelope.destination.clone(),
            entry: self.envelope.entry,
        }
    }

    /// The message id of what this entry becomes. Each stored message has one successor, so a
    /// repeat of its writing is recognised as a repeat and nothing else is.
    pub(crate) fn successor_id(&self) -> String {
        format!("{}>{}.{}", self.envelope.entry, self.place.shard, self.place.sequence)
    }

    /// Entries of this size for which there is room in this lane of this shard.
    pub fn room_in_lane(&self) -> usize {
        self.held.lane.room_for_backlog(self.held.bytes)
    }

    /// Handed out before: the former holder may have written a schedule and died before the
    /// acknowledgement.
    pub fn is_redelivery(&self) -> bool {
        self.deliveries > 1
    }

    /// For telling the stream, now and then, that the entry is still worked on.
    pub fn renewal(&self) -> Renewal {
        Renewal { reply: self.reply.clone(), tenure: self.tenure.clone(), age: self.age.clone() }
    }

    /// The broker may have handed the entry to somebody else: nothing may be done for it any
    /// more. So it is after a pause of the process, when the buffers are full of the past, and
    /// when the shard has another owner.
    pub fn is_expired(&self, now: Instant) -> bool {
        self.tenure.is_over() || self.age.is_expired(now)
    }

    pub fn tenure(&self) -> &Tenure {
        &self.tenure
    }

    /// The entry has its end, or lives on under another subject. Says whether the stream has
    /// recorded it. Until it confirms, the acknowledgement is repeated: a broker that is killed
    /// forgets what it did not confirm, and a consumer without a leader hears nothing.
    pub async fn done(mut self) -> bool {
        let Some(reply) = self.reply.take() else { return true };
        let start = Instant::now();
        loop {
            match reply.confirm(AckKind::Ack).await {
                Ok(()) => {
                    self.held.lane.ends(self.place.sequence);
                    return true;
                }
                Err(error) if start.elapsed() >= CONFIRM_FOR => {
                    let entry = self.envelope.entry;
                    tracing::warn!(%entry, %error, "entry was not acknowledged and will come again");
                    self.tenure.remember_unconfirmed(self.place.sequence);
                    return false;
                }
                Err(_) => tokio::time::sleep(CONFIRM_PAUSE).await,
            }
        }
    }

    /// The entry has had its end in this tenure; only the stream does not know it.
    pub(crate) fn has_had_its_end(&self) -> bool {
        let sequence = self.place.sequence;
        self.tenure.was_unconfirmed(sequence) || self.is_redelivery() && self.held.lane.has_ended(sequence)
    }

    /// Another copy of the same entry is held: this one needs no end.
    pub fn forget(mut self) {
        self.reply = None;
    }

    /// The longer, the more often the entry was handed out in vain.
    fn pause(&self) -> Duration {
        let times = u32::try_from(self.deliveries).unwrap_or(u32::MAX);
        GIVE_BACK_PAUSE.saturating_mul(times).min(MAX_GIVE_BACK_PAUSE)
    }

    /// Gives the entry back untouched. It comes again after a pause.
    pub async fn give_back(mut self) {
        let pause = self.pause();
        if let Some(reply) = self.reply.take().filter(|_| !self.tenure.is_over()) {
            report(reply.tell(AckKind::Nak(Some(pause))).await, "entry was not given back");
        }
    }
}

impl Renewal {
    /// Renews for ever, and at once where the last time is a while ago.
    pub async fn keep(&self) {
        loop {
            if self.age.since_renewed(Instant::now()) >= RENEWED_LATELY {
                self.renew().await;
            }
            tokio::time::sleep(RENEW_EVERY).await;
        }
    }

    /// Does nothing for a lease that is lost already.
    pub async fn renew(&self) {
        let now = Instant::now();
        let is_lost = self.tenure.is_over() || self.age.is_expired(now);
        if let Some(reply) = self.reply.as_ref().filter(|_| !is_lost) {
            match reply.tell(AckKind::Progress).await {
                Ok(()) => self.age.renewed(now),
                Err(error) => tracing::warn!(%error, "lease was not renewed"),
            }
        }
    }
}

/// When a lease was received or last renewed, shared with its renewals.
#[derive(Clone, Debug)]
struct Age {
    received: Instant,
    /// Milliseconds from the receipt to the last renewal.
    renewed: Arc<AtomicU64>,
}

impl Age {
    fn new(received: Instant) -> Self {
        Self { received, renewed: Arc::default() }
    }

    fn renewed(&self, now: Instant) {
        let millis = now.saturating_duration_since(self.received).as_millis();
        self.renewed.store(u64::try_from(millis).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn since_renewed(&self, now: Instant) -> Duration {
        let renewed = self.received + Duration::from_millis(self.renewed.load(Ordering::Relaxed));
        now.saturating_duration_since(renewed)
    }

    fn is_expired(&self, now: Instant) -> bool {
        self.since_renewed(now) >= ACK_WAIT - EXPIRY_MARGIN
    }
}

impl fmt::Debug for Renewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewal").finish_non_exhaustive()
    }
}

/// The way back to the consumer that handed an entry out.
#[derive(Clone)]
pub(crate) struct Reply {
    pub(crate) client: Client,
    pub(crate) subject: Subject,
}

impl Reply {
    async fn tell(&self, kind: AckKind) -> Result<(), async_nats::Error> {
        Ok(self.client.publish(self.subject.clone(), Bytes::from(kind)).await?)
    }

    async fn confirm(&self, kind: AckKind) -> Result<(), async_nats::Error> {
        self.client.request(self.subject.clone(), Bytes::from(kind)).await?;
        Ok(())
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct StreamPlace {
    pub(crate) shard: ShardId,
    pub(crate) sequence: u64,
}

/// What a process holds of one lane. Both limits bound its memory, and the second also when every
/// entry is as large as an envelope may be.
#[derive(Debug, Default)]
pub(crate) struct LaneHoldings {
    entries: AtomicUsize,
    bytes: AtomicUsize,
    sequences: Mutex<Sequences>,
}

/// Stream sequences of entries that are held, and of the last ones that have had their end: copies of both may
/// come, and have no need of another attempt.
#[derive(Debug, Default)]
struct Sequences {
    held: HashSet<u64>,
    ended: VecDeque<u64>,
}

impl LaneHoldings {
    /// Entries of this size that may wait yet. A quarter of what is pulled is kept for destinations
    /// with nothing waiting, or a few slow ones would stop the lane.
    pub(crate) fn room_for_backlog(&self, bytes_each: usize) -> usize {
        let left =
            |all: usize, held: &AtomicUsize| (all / 4 * 3).saturating_sub(held.load(Ordering::Relaxed));
        let entries = left(usize::from(LANE_CAPACITY), &self.entries);
        entries.min(left(LANE_BYTES - LARGEST_ENTRY, &self.bytes) / bytes_each.max(1))
    }

    /// Whether this entry is held.
    pub(crate) fn holds(&self, sequence: u64) -> bool {
        self.sequences().held.contains(&sequence)
    }

    /// No more copies can be under way than a lane may hold.
    fn ends(&self, sequence: u64) {
        let mut sequences = self.sequences();
        if sequences.ended.contains(&sequence) {
            return; // a copy: others must not be forgotten for it
        }
        if sequences.ended.len() == usize::from(LANE_CAPACITY) {
            sequences.ended.pop_front();
        }
        sequences.ended.push_back(sequence);
    }

    fn has_ended(&self, sequence: u64) -> bool {
        self.sequences().ended.contains(&sequence)
    }

    fn sequences(&self) -> MutexGuard<'_, Sequences> {
        // Nothing that holds the lock can panic half-way.
        self.sequences.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Entries that may be pulled, and bytes.
    pub(crate) fn room(&self) -> (usize, usize) {
        let left = |all: usize, held: &AtomicUsize| all.saturating_sub(held.load(Ordering::Relaxed));
        (left(usize::from(LANE_CAPACITY), &self.entries), left(LANE_BYTES, &self.bytes))
    }
}

/// Counts one lease among those of its lane that exist.
#[derive(Debug)]
pub(crate) struct Held {
    lane: Arc<LaneHoldings>,
    sequence: u64,
    bytes: usize,
}

impl Held {
    pub(crate) fn one_more(lane: &Arc<LaneHoldings>, sequence: u64, bytes: usize) -> Self {
        lane.entries.fetch_add(1, Ordering::Relaxed);
        lane.bytes.fetch_add(bytes, Ordering::Relaxed);
        lane.sequences().held.insert(sequence);
        Self { lane: Arc::clone(lane), sequence, bytes }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.lane.entries.fetch_sub(1, Ordering::Relaxed);
        self.lane.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.lane.sequences().held.remove(&self.sequence);
    }
}

/// Renews a lease without holding it.
#[derive(Clone)]
pub struct Renewal {
    reply: Option<Reply>,
    tenure: Tenure,
    age: Age,
}

/// The connection reconnects by itself and the stream hands out again what it does not hear of.
fn report(result: Result<(), async_nats::Error>, what: &'static str) {
    if let Err(error) = result {
        tracing::warn!(%error, "{what}");
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let pause = self.pause();
        let Some(reply) = self.reply.take() else { return };
        // The next owner has it already.
        if self.tenure.is_over() {
            return;
        }
        let entry = self.envelope.entry;
        tracing::warn!(%entry, "lease was dropped unsettled; the entry goes back");
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                report(reply.tell(AckKind::Nak(Some(pause))).await, "entry was not given back");
            });
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("entry", &self.envelope.entry)
            .field("lane", &self.lane)
            .field("deliveries", &self.deliveries)
            .finish_non_exhaustive()
    }
}
