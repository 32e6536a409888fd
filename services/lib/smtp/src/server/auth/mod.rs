//! The exchange of `AUTH` (RFC 4954): mechanisms as they stand on the wire.
//!
//! Not here: whether a password is right. That is asked, step by step ([`AuthStep`]); nothing in
//! this crate computes with secrets.

mod login; // a name as the client wrote it -> a mailbox
mod mechanism; // which there are, which are offered
mod scram; // the messages of RFC 5802
mod exchange; // responses and answers -> what comes next
mod question; // what is asked, what is answered

pub use mechanism::Mechanism;
pub use question::{AuthAnswer, AuthOutcome, AuthStep};

pub(crate) use exchange::{Exchange, Setting, Step};
pub(crate) use login::complete;
pub(crate) use mechanism::{Means, find, offered};
pub(crate) use scram::Exporter;
