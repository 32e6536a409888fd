//! Fair turns: between lanes, between clients, between the senders of a client.

mod queue; // who is next; pure
mod slots; // the sessions of this process, shared fairly

pub(crate) use queue::{Class, FairQueue};
pub(crate) use slots::{Slot, Slots};

/// No client has more than this part of the slots of a process or of the sessions of a
/// destination (SEED-180).
pub(crate) fn share_of_one_client(total: usize) -> usize {
    (total * 7 / 10).max(1)
}
