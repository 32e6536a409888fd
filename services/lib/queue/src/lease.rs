//! An entry that a worker holds. It is settled once, by value; one that is dropped
//! unsettled goes back to the stream.

use std::fmt;

use async_nats::jetstream::{AckKind, message::Acker};
use hikyaku_types::envelope::{Envelope, Lane};

pub use crate::trace::Origin;

pub struct Lease {
    envelope: Envelope,
    lane: Lane,
    /// How often the stream has handed this entry out.
    deliveries: u64,
    origin: Origin,
    /// `None` once settled.
    acker: Option<Acker>,
}

impl Lease {
    pub(crate) fn new(envelope: Envelope, lane: Lane, deliveries: u64, origin: Origin, acker: Acker) -> Self {
        Self { envelope, lane, deliveries, origin, acker: Some(acker) }
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

    /// Handed out before: the former holder may have written a schedule and died before the
    /// acknowledgement.
    pub fn is_redelivery(&self) -> bool {
        self.deliveries > 1
    }

    /// Tells the stream that the entry is still worked on.
    pub async fn renew(&self) {
        if let Some(acker) = &self.acker {
            report(acker.ack_with(AckKind::Progress).await, "lease was not renewed");
        }
    }

    /// The entry has its end, or lives on under another subject.
    pub async fn done(mut self) {
        if let Some(acker) = self.acker.take() {
            report(acker.ack().await, "entry was not acknowledged and will come again");
        }
    }

    /// Gives the entry back untouched.
    pub async fn give_back(mut self) {
        if let Some(acker) = self.acker.take() {
            report(acker.ack_with(AckKind::Nak(None)).await, "entry was not given back");
        }
    }
}

/// The connection reconnects by itself and the stream hands out again what it does not hear of.
fn report(result: Result<(), async_nats::Error>, what: &'static str) {
    if let Err(error) = result {
        tracing::warn!(%error, "{what}");
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(acker) = self.acker.take() else { return };
        let entry = self.envelope.entry;
        tracing::warn!(%entry, "lease was dropped unsettled; the entry goes back");
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                report(acker.ack_with(AckKind::Nak(None)).await, "entry was not given back");
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
