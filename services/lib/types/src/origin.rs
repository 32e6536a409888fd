//! Where a question about mail comes from.

/// The kind of port that a client came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Listener {
    /// Port 25: other servers and trusted clients; AUTH is possible (SEED-125).
    Relay,
    /// Ports 587 and 465: nothing without AUTH (SEED-126).
    Submission,
}
