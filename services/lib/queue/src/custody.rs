//! Custody: each accepted recipient reaches exactly one end, and a stream of events proves it.
//!
//! An acceptance is written beside its entries, an end before the entry leaves the queue. So a
//! crash in between shows as an end too many, which is explained, and never as one that is
//! missing. A custody stream that cannot be written never stops mail.

mod codec; // events <-> bytes
mod writer; // many events in one stream message
mod ledger; // events and the queue -> what has no end; pure
pub mod audit; // reads both
pub mod trace; // the acceptance of one transaction

use std::{net::IpAddr, sync::Arc, time::SystemTime};

use hikyaku_types::{
    address::Mailbox,
    envelope::{Envelope, Recipient},
    ids::{EntryId, QueueId},
};

pub use writer::Custody;

/// What happened to recipients. One is known by its queue id and its final address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Accepted {
        entry: EntryId,
        recipients: Vec<String>,
        at: SystemTime,
        origin: Origin,
    },
    /// Every entry of the transaction is in the queue: from here on it is promised.
    Stored {
        queue_id: QueueId,
        /// Absent for mail of our own.
        admission: Option<Admission>,
    },
    Ended {
        entry: EntryId,
        recipient: String,
        end: End,
        at: SystemTime,
        /// 0 when it was none.
        attempt: u32,
    },
    /// Recipients go on in the entry `to`, or in the same one at another destination.
    Moved {
        from: EntryId,
        to: EntryId,
        recipients: Vec<String>,
        at: SystemTime,
    },
    /// An operator removes the entry, with all recipients that are in it.
    Removed {
        entry: EntryId,
        at: SystemTime,
    },
}

/// Who handed a message in, and why it was let in (SEED-102).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    pub client: IpAddr,
    /// Address that the client had authenticated as.
    pub identity: Option<String>,
    /// Line or built-in rule by which its sender was accepted.
    pub admitted_by: Arc<str>,
}

/// Where a message came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    Client,
    /// A report of our own.
    Report,
    /// A dead letter with this queue id, sent again.
    Resend(QueueId),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    Delivered,
    Failed,
    Expired,
    Deleted,
    DeadLettered,
}

impl End {
    pub const ALL: [Self; 5] =
        [Self::Delivered, Self::Failed, Self::Expired, Self::Deleted, Self::DeadLettered];
}

/// An event names at most so many recipients, so that a batch stays small.
const RECIPIENTS: usize = 100;

impl Event {
    pub(crate) fn accepted(envelope: &Envelope, origin: Origin) -> Vec<Self> {
        let (entry, at) = (envelope.entry, envelope.accepted_at);
        by_hundred(envelope).map(|recipients| Self::Accepted { entry, recipients, at, origin }).collect()
    }

    /// The end of a recipient in the attempt that was just made.
    pub fn ended(envelope: &Envelope, recipient: &Mailbox, end: End, at: SystemTime) -> Self {
        let recipient = recipient.to_string();
        Self::Ended { entry: envelope.entry, recipient, end, at, attempt: envelope.attempt + 1 }
    }

    pub(crate) fn moved(from: EntryId, part: &Envelope, at: SystemTime) -> Vec<Self> {
        by_hundred(part).map(|recipients| Self::Moved { from, to: part.entry, recipients, at }).collect()
    }
}

fn by_hundred(envelope: &Envelope) -> impl Iterator<Item = Vec<String>> {
    let addresses = |some: &[Recipient]| some.iter().map(|recipient| recipient.address.to_string()).collect();
    envelope.recipients.chunks(RECIPIENTS).map(addresses)
}
