//! What happens to a session, and what a session hands over when a message is complete.

use hikyaku_types::{
    address::{ForwardPath, Mailbox, ReversePath},
    destination::Destination,
    envelope::Transfer,
    ids::QueueId,
    reply::Reply,
    reporting::Reporting,
};

use super::content::Content;

/// Something that happened outside. Times are passed beside it.
#[derive(Debug)]
pub enum Event<'a> {
    /// The client may talk to us, or not; the first event of every session.
    Connected(Verdict<()>),
    /// Octets of the client.
    Input(&'a [u8]),
    /// The answer to [`Question::Sender`](super::Question::Sender).
    SenderAnswered(Verdict<()>),
    /// The answer to [`Question::Recipient`](super::Question::Recipient).
    RecipientAnswered(Verdict<AcceptedRecipient>),
    /// What became of the transaction handed over by [`Action::Store`](super::Action::Store).
    Stored(Stored),
    /// The time of [`Session::next_deadline`](super::Session::next_deadline) has come.
    TimedOut,
    /// The service is going away: say so as soon as the protocol allows.
    Draining,
    /// The client closed the connection.
    Closed,
}

/// The answer to a question. The reply of a refusal is said word for word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict<T> {
    Accept(T),
    Refuse(Reply),
}

/// The fate of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// It is on durable storage: the only thing that makes the session say 250 for content.
    Durable(QueueId),
    /// It must not be accepted; the reply says why.
    Refused(Reply),
}

/// A complete message with its envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// What the client called itself.
    pub client_name: String,
    pub protocol: Protocol,
    pub reverse_path: ReversePath,
    pub transfer: Transfer,
    /// Never empty, in the order of the RCPT commands.
    pub recipients: Vec<Addressee>,
    /// As it was sent, dot-stuffing removed.
    pub content: Content,
}

/// How the client introduced itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HELO.
    Smtp,
    /// EHLO.
    Esmtp,
}

/// A recipient of a message, and what the sender wants to be told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addressee {
    pub accepted: AcceptedRecipient,
    pub reporting: Reporting,
}

/// A recipient and what the answer attached to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedRecipient {
    /// What the client wrote.
    pub forward_path: ForwardPath,
    /// Where it goes, after aliases.
    pub deliver_to: Mailbox,
    /// The next hop.
    pub destination: Destination,
}
