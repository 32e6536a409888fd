//! The answers as the caller sees them. An accepted recipient always has an
//! address and a next hop, by type.

use std::sync::Arc;

use hikyaku_types::{
    address::Mailbox,
    destination::Destination,
    reply::{EnhancedCode, Reply},
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Accept,
    /// 4yz or 5yz, to be said as it is.
    Refuse(Reply),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub verdict: Verdict,
    /// `document:line`, or the name of a built-in rule.
    pub decided_by: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionAnswer {
    pub decision: Decision,
    /// The client's network may relay: no connection limits, X-Relay is added (SEED-096).
    pub relay_network: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecipientVerdict {
    Accept {
        /// Where the message is delivered to, after aliases.
        deliver_to: Mailbox,
        destination: Destination,
    },
    /// 4yz or 5yz, to be said as it is.
    Refuse(Reply),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientAnswer {
    /// `document:line`, or the name of a built-in rule.
    pub decided_by: Arc<str>,
    pub verdict: RecipientVerdict,
}

/// What is said when policy gives no usable verdict.
pub fn unavailable_reply() -> Reply {
    Reply::new(451, Some(EnhancedCode(4, 3, 0)), "policy not available, try again later")
}
