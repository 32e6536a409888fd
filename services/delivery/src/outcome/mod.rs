//! What becomes of an entry after an attempt.

pub(crate) mod classify; // reply or event -> failure
pub(crate) mod plan; // outcomes of all recipients -> what to write; pure
pub(crate) mod settle; // writes it: report, reschedule, acknowledge
pub(crate) mod bounce; // report into the queue
