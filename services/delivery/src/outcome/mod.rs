//! What becomes of an entry after an attempt.

pub(crate) mod classify; // reply or event -> failure
mod hint; // the server's words -> when it wants to be asked again
mod greylist; // how long a server greylists, learned from its answers
mod timing; // when the next attempt is; pure
pub(crate) mod plan; // outcomes of all recipients -> what to write; pure
pub(crate) mod settle; // writes it: report, reschedule, acknowledge
mod reports; // who is told what; pure
pub(crate) mod bounce; // reports into the queue
pub(crate) mod digest; // many failures in one message, for the administrator

pub(crate) use digest::Failures;
pub(crate) use greylist::Greylists;
