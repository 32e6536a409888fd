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
//! STARTTLS is asked for here and done by the driver: after [`Action::StartTls`] it says
//! [`Event::Secured`], and everything that was said before is forgotten.
//!
//! Not here: which host to go to, whether its certificate is good, and what a result means for the queue.

mod login; // who we are, and how we prove it
mod limits; // what a session is to be, how long each step may take
mod delivery; // a message to hand over, and how each recipient fared
mod event; // what happens to a session, what it wants done
mod commands; // the octets of our commands
mod state; // the order of the protocol, one table
mod opening; // what is needed before the first message
mod exchange; // a line for each challenge of AUTH
mod cause; // what made the table be asked
mod outgoing; // content in the manner that a message needs
mod active; // the delivery under way: who has a result
mod session; // events -> table -> actions

pub use crate::wire::{ehlo::Capabilities, reply::RawReply};
pub use delivery::{
    Delivery, DeliveryRecipient, DeliveryResult, FailureKind, RecipientResult, SessionFailure, Silence,
};
pub use event::{Action, Cut, Event, NotReady, Part};
pub use limits::{ClientConfig, StartTls, Timeouts};
pub use login::{Login, Mechanism};
pub use session::ClientSession;
