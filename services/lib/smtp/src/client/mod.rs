//! The client side of SMTP: a session as a function of events.
//!
//! The driver owns the socket and the clock. It feeds an [`Event`], performs every [`Action`]
//! that comes out of [`ClientSession::next_action`], and wakes the session at
//! [`ClientSession::next_deadline`]. It reads while it writes: a server may answer the front of
//! a long pipelined group before it takes the rest (RFC 2920 3.1).
//!
//! A result is what the server said. Where it said nothing, the result says that and in what
//! step; nothing is made up (SEED-210).
//!
//! Not here: which host to go to, TLS, and what a result means for the queue.

mod limits; // how long each step may take
mod delivery; // a message to hand over, and how each recipient fared
mod event; // what happens to a session, what it wants done
mod commands; // the octets of our commands
mod state; // the order of the protocol, one table
mod active; // the delivery under way: who has a result
mod session; // events -> table -> actions

pub use crate::wire::{ehlo::Capabilities, reply::RawReply};
pub use delivery::{
    Delivery, DeliveryRecipient, DeliveryResult, FailureKind, RecipientResult, SessionFailure, Silence,
};
pub use event::{Action, Cut, Event, NotReady};
pub use limits::{ClientConfig, Timeouts};
pub use session::ClientSession;
