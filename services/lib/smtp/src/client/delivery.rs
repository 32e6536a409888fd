//! A message to hand over, and how each recipient fared.

use bytes::Bytes;
use hikyaku_types::{
    address::{Mailbox, ReversePath},
    envelope::Transfer,
    outcome::Phase,
    reply::EnhancedCode,
    reporting::Reporting,
};

use crate::wire::reply::RawReply;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub reverse_path: ReversePath,
    pub recipients: Vec<DeliveryRecipient>,
    pub transfer: Transfer,
    /// In order; cut anywhere.
    pub content: Vec<Bytes>,
    /// Octets of all chunks.
    pub size: u64,
}

/// What the sender wants to be told of a recipient is passed on as it is, to a server that offers
/// DSN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRecipient {
    pub address: Mailbox,
    pub reporting: Reporting,
}

/// One result for each recipient, in the order of the delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryResult {
    pub recipients: Vec<RecipientResult>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecipientResult {
    /// The reply to the final dot: the server is responsible now. To a question: the reply to RCPT.
    Accepted(RawReply),
    Refused {
        phase: Phase,
        reply: RawReply,
    },
    /// The server did not say. After the final dot it may or may not have the message.
    NoReply {
        phase: Phase,
        silence: Silence,
        /// In words, for example "connection closed by peer while waiting for RCPT reply".
        what: String,
    },
    /// The server does not offer what the message needs; nothing was sent.
    Unsupported {
        status: EnhancedCode,
        what: String,
    },
}

/// Why there is no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Silence {
    TimedOut,
    /// End of stream.
    Closed,
    /// The number of the operating system, where it has one.
    Os(Option<i32>),
    /// What came is not SMTP, or not an answer to what was asked.
    Protocol,
    /// The driver ended the session.
    GivenUp,
}

/// The session ended while no delivery was under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionFailure {
    pub phase: Phase,
    pub kind: FailureKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FailureKind {
    /// What the server said instead of taking mail.
    Remote(RawReply),
    NoReply {
        silence: Silence,
        what: String,
    },
    /// The server does not offer what the session needs (RFC 3463 status and words).
    Unmet {
        status: EnhancedCode,
        what: String,
    },
}
