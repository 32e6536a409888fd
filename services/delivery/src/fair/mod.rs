//! Fair turns: between lanes, between clients, between the senders of a client.

mod queue; // who is next; pure
mod slots; // the sessions of this process, shared fairly

pub(crate) use queue::{Candidate, Class, FairQueue};
pub(crate) use slots::{Slot, Slots};

/// Per cent of the slots of a process, and of the sessions of a destination, that one client may
/// have (SEED-180), unless a rule says otherwise.
pub(crate) const USUAL_SHARE: u32 = 70;

pub(crate) fn share(percent: u32, total: usize) -> usize {
    let percent = usize::try_from(percent.min(100)).unwrap_or(100);
    (total * percent / 100).max(1)
}
