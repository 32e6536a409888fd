//! What sessions of the last day came to, as the node remembers them.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// Seconds that the memory goes back: a day at most, less after a start.
    pub reach: u64,
    /// Sessions with the destination that were begun.
    pub sessions: u64,
    /// Those that failed, or in which a message did: the last ones.
    pub failures: Vec<PastFailure>,
    /// Other destinations at the same port, from this node.
    pub others: Others,
    /// An operator holds the destination: why.
    pub held: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastFailure {
    /// Seconds ago.
    pub age: u64,
    /// As in the mail log: connect, greeting, mail ...
    pub phase: String,
    /// What was said, or what happened.
    pub what: String,
    /// The server said something; otherwise it did not, and the connection ended or time was over.
    pub code: Option<u16>,
    /// Milliseconds without an octet before the end.
    pub waited: u64,
    /// Milliseconds since the connection was begun.
    pub lasted: u64,
    /// Milliseconds that this phase may take.
    pub limit: u64,
    /// Octets of content that were sent, of so many.
    pub sent: u64,
    pub size: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Others {
    /// With at least one session that had a connection.
    pub reached: u64,
    /// With sessions, none of which had one.
    pub unreached: u64,
}
