//! The mail log of all processes in one stream, and how a message is found in it.
//!
//! Each process writes its lines in batches, once a second, and for every few minutes of them a segment: a filter that
//! says which messages they may be about. So a search reads filters, and only those lines that it has to. Lines are
//! a witness and not the mail: when the stream cannot be written, mail goes on, and what is lost is counted.

mod filter; // may this be among them?
mod segment; // what some batches are about; pure
mod writer; // lines -> batches and segments
mod search; // what is known of a message
mod forward; // all lines, to somebody else
mod pieces; // what of a batch is sent next; pure
mod backlog; // how far that is behind

#[cfg(test)]
mod tests;

pub use forward::{Forward, Forwarded};
pub use search::{Found, Query, SearchError, find};
pub(crate) use writer::GATHERED_FOR;
pub use writer::{LogWriter, Stream};
