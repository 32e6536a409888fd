//! What a session wants done. Actions are performed in order.

use bytes::Bytes;
use hikyaku_types::{
    address::{ForwardPath, ReversePath},
    reply::EnhancedCode,
};

use super::{
    auth::{AuthOutcome, AuthStep, Mechanism},
    event::Transaction,
};
use crate::wire::xclient::NamedAddress;

#[derive(Debug)]
pub enum Action {
    /// Send these octets: one or more replies.
    Write(Bytes),
    /// A line of the client, for somebody who watches; what may be a secret is not in it. Only after
    /// [`Session::tell_lines`](super::Session::tell_lines).
    Heard(String),
    /// Let the client wait for what follows: it guesses passwords or recipients.
    Pause,
    /// Answer by the event that belongs to the question; the session waits for it.
    Ask(Question),
    /// Do the handshake of TLS and say [`Event::Secured`](super::Event::Secured); when it fails,
    /// [`Event::Closed`](super::Event::Closed). The session waits.
    StartTls,
    /// From here on the client is another one; answer by [`Event::Connected`](super::Event::Connected), as
    /// for a new connection. The session waits.
    Adopt(Option<NamedAddress>),
    /// Make it durable and answer by [`Event::Stored`](super::Event::Stored); the session waits.
    Store(Box<Transaction>),
    /// The session refused something by itself; for the log (SEED-201). Refusals that came in
    /// with an answer are not repeated here. The path is that of the open transaction.
    Refused { refusal: Refusal, reverse_path: Option<ReversePath> },
    /// A transaction ended; for the metrics.
    Ended(Outcome),
    /// An exchange of AUTH ended; for the metrics.
    AuthEnded { mechanism: Mechanism, outcome: AuthOutcome },
    /// Close the connection. No action follows.
    Close,
}

#[derive(Debug)]
pub enum Question {
    /// Is this client who it says?
    Authenticate { mechanism: Mechanism, step: AuthStep },
    /// May this client use this sender?
    Sender { reverse_path: ReversePath },
    /// May this client send from this sender to this recipient, and where does it go?
    Recipient { reverse_path: ReversePath, forward_path: ForwardPath },
}

/// A 4yz or 5yz that the protocol itself decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    pub code: u16,
    pub enhanced: EnhancedCode,
    /// Name of the check, for example `smtp.size`.
    pub check: &'static str,
}

/// How a transaction ended. It begins with an answer to `MAIL`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// 250 was said for the content.
    Accepted,
    /// 5yz for the sender or the content, or no recipient was accepted.
    Rejected,
    /// 4yz for the sender or the content.
    Deferred,
    /// The client gave up, or was cut off, before there was an answer to content.
    Aborted,
}

impl Outcome {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Deferred => "deferred",
            Self::Aborted => "aborted",
        }
    }
}
