//! What happens to a session, and what a session hands over when a message is complete.

use std::fmt;

use hikyaku_types::{
    address::{ForwardPath, Mailbox, ReversePath},
    destination::Destination,
    envelope::Transfer,
    ids::QueueId,
    reply::Reply,
    reporting::Reporting,
};

use super::{auth::AuthAnswer, content::Content};

/// Something that happened outside. Times are passed beside it.
pub enum Event<'a> {
    /// The client may talk to us, or not; the first event of every session.
    Connected(Verdict<()>),
    /// The client did not wait for the greeting (SEED-101).
    TalkedEarly,
    /// Octets of the client.
    Input(&'a [u8]),
    /// There is no memory for the content that comes in: it is put off, and nothing of it is kept.
    NoRoom,
    /// What [`Action::StartTls`](super::Action::StartTls) asked for was done.
    Secured,
    /// The answer to [`Question::Authenticate`](super::Question::Authenticate).
    AuthAnswered(AuthAnswer),
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

/// What a client sends may be a password, so only its length is shown.
impl fmt::Debug for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected(verdict) => f.debug_tuple("Connected").field(verdict).finish(),
            Self::TalkedEarly => f.write_str("TalkedEarly"),
            Self::Input(octets) => write!(f, "Input({} octets)", octets.len()),
            Self::NoRoom => f.write_str("NoRoom"),
            Self::Secured => f.write_str("Secured"),
            Self::AuthAnswered(answer) => f.debug_tuple("AuthAnswered").field(answer).finish(),
            Self::SenderAnswered(verdict) => f.debug_tuple("SenderAnswered").field(verdict).finish(),
            Self::RecipientAnswered(verdict) => f.debug_tuple("RecipientAnswered").field(verdict).finish(),
            Self::Stored(stored) => f.debug_tuple("Stored").field(stored).finish(),
            Self::TimedOut => f.write_str("TimedOut"),
            Self::Draining => f.write_str("Draining"),
            Self::Closed => f.write_str("Closed"),
        }
    }
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
    /// It came over TLS.
    pub is_secure: bool,
    /// Who handed it in, if that was asked.
    pub identity: Option<Mailbox>,
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
