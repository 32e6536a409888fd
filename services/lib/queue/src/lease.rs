//! An entry that a worker holds. It is settled once, by value; one that is dropped
//! unsettled goes back to the stream.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_nats::{Client, Subject, jetstream::AckKind};
use bytes::Bytes;
use hikyaku_types::{
    envelope::{Envelope, Lane},
    shard::ShardId,
};

use crate::topology::PIN_TIMEOUT;

pub use crate::trace::Origin;

/// By then the pin of a worker that stopped has run out.
const GIVE_BACK_PAUSE: Duration = PIN_TIMEOUT;

/// Renew a lease at least this often.
pub const RENEW_EVERY: Duration = Duration::from_secs(10);

pub struct Lease {
    envelope: Envelope,
    lane: Lane,
    /// How often the stream has handed this entry out.
    deliveries: u64,
    origin: Origin,
    /// Where the entry stands in its stream.
    place: StreamPlace,
    held: Held,
    /// `None` once settled.
    reply: Option<Reply>,
}

impl Lease {
    pub(crate) fn new(
        envelope: Envelope,
        lane: Lane,
        deliveries: u64,
        origin: Origin,
        place: StreamPlace,
        held: Held,
        reply: Reply,
    ) -> Self {
        Self { envelope, lane, deliveries, origin, place, held, reply: Some(reply) }
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

    /// The message id of what this entry becomes. Each stored message has one successor, so a
    /// repeat of its writing is recognised as a repeat and nothing else is.
    pub(crate) fn successor_id(&self) -> String {
        format!("{}>{}.{}", self.envelope.entry, self.place.shard, self.place.sequence)
    }

    /// Entries of this lane of this shard that the process holds now.
    pub fn held_in_lane(&self) -> usize {
        self.held.0.load(Ordering::Relaxed)
    }

    /// Handed out before: the former holder may have written a schedule and died before the
    /// acknowledgement.
    pub fn is_redelivery(&self) -> bool {
        self.deliveries > 1
    }

    /// For telling the stream, now and then, that the entry is still worked on.
    pub fn renewal(&self) -> Renewal {
        Renewal(self.reply.clone())
    }

    /// The entry has its end, or lives on under another subject. Returns when the stream has
    /// recorded it: a broker that is killed forgets acknowledgements that it did not confirm,
    /// and would hand the entry out again.
    pub async fn done(mut self) {
        if let Some(reply) = self.reply.take() {
            report(reply.confirm(AckKind::Ack).await, "entry was not acknowledged and will come again");
        }
    }

    /// Gives the entry back untouched, for the next owner of the shard. The pause keeps it from
    /// coming straight back to this one.
    pub async fn give_back(mut self) {
        if let Some(reply) = self.reply.take() {
            report(reply.tell(AckKind::Nak(Some(GIVE_BACK_PAUSE))).await, "entry was not given back");
        }
    }
}

impl Renewal {
    pub async fn renew(&self) {
        if let Some(reply) = &self.0 {
            report(reply.tell(AckKind::Progress).await, "lease was not renewed");
        }
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

/// Counts the leases of a lane that exist.
#[derive(Debug)]
pub(crate) struct Held(Arc<AtomicUsize>);

impl Held {
    pub(crate) fn one_more(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Renews a lease without holding it.
#[derive(Clone)]
pub struct Renewal(Option<Reply>);

/// The connection reconnects by itself and the stream hands out again what it does not hear of.
fn report(result: Result<(), async_nats::Error>, what: &'static str) {
    if let Err(error) = result {
        tracing::warn!(%error, "{what}");
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(reply) = self.reply.take() else { return };
        let entry = self.envelope.entry;
        tracing::warn!(%entry, "lease was dropped unsettled; the entry goes back");
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                // Not at once: what went wrong may go wrong again.
                report(reply.tell(AckKind::Nak(Some(GIVE_BACK_PAUSE))).await, "entry was not given back");
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
