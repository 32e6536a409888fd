//! The mail log: what becomes of each message, for people who are asked where it is. One event for each change of its
//! state; addresses appear here and nowhere else. It is the process's own, as its metrics are: [`begin`] once, then
//! [`record`] from anywhere.
//!
//! What an event looks like is an interface: `mail-log.schema.json` says it, and is made from these types.

pub mod event; // what can happen
mod keys; // by what an event is found
mod entry; // an event with its time and place, as a line
mod schema; // the interface as JSON Schema
mod journal; // the process's log: who gets its lines
pub mod sink; // standard output, a file
pub mod metrics; // names, labels, descriptions

pub use entry::{Entry, Form, Place, TARGET, Unreadable};
pub use event::Event;
pub use journal::{add, begin, connections_are_wanted, flush, record};
pub use keys::{Key, fold};
pub use schema::schema;
pub use sink::Sink;
