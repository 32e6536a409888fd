//! The server side of SMTP: a session as a function of events.
//!
//! The driver owns the socket and the clock. It feeds an [`Event`], performs every [`Action`]
//! that comes out of [`Session::next_action`], reads from its socket only while
//! [`Session::wants_input`] says so, and wakes the session at [`Session::next_deadline`].
//!
//! Not here: who may send what. The session asks a [`Question`] and waits for the answer.

mod limits; // what a session is allowed to cost
mod auth; // who is it?
mod event; // what happens to a session
mod action; // what a session wants done
mod content; // the content as one buffer with room in front
mod draft; // the transaction as far as it has come
mod replies; // what is said, word for word
mod state; // the order of the protocol, one table
mod session; // events -> table -> actions

pub use action::{Action, Outcome, Question, Refusal};
pub use auth::{AuthAnswer, AuthOutcome, AuthStep, Mechanism};
pub use content::{Content, HEADROOM};
pub use event::{AcceptedRecipient, Addressee, Event, Protocol, Stored, Transaction, Verdict};
pub use limits::{AuthConfig, SessionConfig};
pub use session::Session;

pub use crate::wire::xclient::NamedAddress;
