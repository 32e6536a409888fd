//! The order of the protocol as a client sees it, as one table. `transition.golden` shows all of it.

use hikyaku_types::outcome::Phase;

/// What the session waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Greeting,
    Ehlo,
    Helo,
    /// The server has made its offer; what is needed next, the session says at once.
    Greeted,
    /// For the reply to STARTTLS.
    StartTls,
    /// For the driver.
    Handshake,
    /// For a challenge or the end of AUTH.
    Auth,
    Ready,
    /// `pipelined`: the whole group was sent, so every reply of it has to be read (RFC 2920 3.1).
    Mail {
        pipelined: bool,
    },
    Rcpt {
        pipelined: bool,
    },
    /// Replies to pipelined RCPT commands behind a refused MAIL; they decide nothing.
    RcptMoot,
    /// `some`: a recipient was accepted.
    Data {
        some: bool,
    },
    Content,
    /// The same by BDAT (RFC 3030).
    Chunk,
    FinalDot,
    /// For the reply to BDAT.
    ChunkSent,
    /// The final dot of an empty message that a server asked for although no recipient was accepted.
    MootDot,
    Reset,
    Quit,
    Closed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// 2yz.
    Positive,
    /// 3yz.
    Intermediate,
    /// 4yz other than 421.
    Deferred,
    /// 5yz.
    Rejected,
    /// 421: the server ends the session (RFC 5321 3.8).
    Goodbye,
    /// STARTTLS is wanted and offered.
    WantsTls,
    /// The handshake is done.
    Secured,
    /// AUTH is wanted and can be done.
    WantsLogin,
    /// Nothing more is needed.
    Complete,
    /// What is needed cannot be had.
    Unmet,
    /// A reply to every RCPT is in. `chunked`: the content goes by BDAT, so there was no DATA among what was
    /// pipelined.
    RecipientsAnswered {
        some: bool,
        chunked: bool,
    },
    Start {
        pipelined: bool,
    },
    /// The content was written to its end.
    ContentSent,
    Quit,
    TimedOut,
    Cut,
    /// What came is not SMTP.
    Nonsense,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    SendEhlo,
    SendHelo,
    SendStartTls,
    StartTls,
    /// The server refused TLS; whether that is borne is asked next.
    NoteRefusal,
    /// RFC 3207 4.2: what was learned in the clear.
    Forget,
    SendAuth,
    SendResponse,
    /// MAIL, every RCPT and, unless the content goes by BDAT, DATA in one write.
    SendGroup,
    SendMail,
    /// The next RCPT, if there is one.
    SendRcpt,
    SendData,
    SendContent,
    /// BDAT and the content.
    SendChunk,
    SendDot,
    SendReset,
    SendQuit,
    NoteOffer,
    /// The reply belongs to the next recipient.
    BookRecipient,
    /// One more reply that decides nothing.
    SkipRecipient,
    /// Recipients without a result get the reply as a refusal.
    RefuseOpen,
    /// Recipients without a result are delivered.
    AcceptOpen,
    /// Recipients without a result had no reply.
    LoseOpen,
    Finish,
    Ready,
    Fail,
    Close,
}

impl Signal {
    pub(crate) const fn of_reply(code: u16) -> Self {
        match code {
            421 => Self::Goodbye,
            200..=299 => Self::Positive,
            300..=399 => Self::Intermediate,
            400..=499 => Self::Deferred,
            _ => Self::Rejected,
        }
    }
}

impl State {
    /// The whole protocol. Exhaustive on purpose: adding a state or a signal does not compile
    /// until every pair has an answer.
    pub(crate) fn on(self, signal: Signal) -> (Self, &'static [Effect]) {
        use Effect::{
            AcceptOpen, BookRecipient, Close, Fail, Finish, Forget, LoseOpen, NoteOffer, NoteRefusal, Ready,
            RefuseOpen, SendAuth, SendChunk, SendContent, SendData, SendDot, SendEhlo, SendGroup, SendHelo,
            SendMail, SendQuit, SendRcpt, SendReset, SendResponse, SendStartTls, SkipRecipient, StartTls,
        };
        use Signal as G;
        use State as S;
        match (self, signal) {
            (S::Closed, _) => (S::Closed, &[]),

            (S::Greeting, G::Positive) => (S::Ehlo, &[SendEhlo]),
            (S::Ehlo, G::Positive) => (S::Greeted, &[NoteOffer]),
            // RFC 5321 3.2: a server that does not know EHLO is greeted by HELO.
            (S::Ehlo, G::Rejected) => (S::Helo, &[SendHelo]),
            (S::Helo, G::Positive) => (S::Greeted, &[]),
            (S::Greeting | S::Helo | S::Auth | S::Reset, G::Rejected | G::Deferred)
            | (S::Ehlo, G::Deferred) => (S::Closed, &[Fail, SendQuit, Close]),

            (S::Greeted, G::WantsTls) => (S::StartTls, &[SendStartTls]),
            (S::Greeted, G::WantsLogin) => (S::Auth, &[SendAuth]),
            (S::Greeted, G::Complete) => (S::Ready, &[Ready]),
            (S::Greeted, G::Unmet) => (S::Closed, &[Fail, SendQuit, Close]),

            (S::StartTls, G::Positive) => (S::Handshake, &[StartTls]),
            (S::StartTls, G::Rejected | G::Deferred) => (S::Greeted, &[NoteRefusal]),
            (S::Handshake, G::Secured) => (S::Ehlo, &[Forget, SendEhlo]),

            (S::Auth, G::Intermediate) => (S::Auth, &[SendResponse]),
            (S::Auth, G::Positive) => (S::Ready, &[Ready]),

            (S::Ready, G::Start { pipelined: true }) => (S::Mail { pipelined: true }, &[SendGroup]),
            (S::Ready, G::Start { pipelined: false }) => (S::Mail { pipelined: false }, &[SendMail]),
            (S::Ready, G::Quit) => (S::Quit, &[SendQuit]),

            (S::Mail { pipelined: false }, G::Positive) => (S::Rcpt { pipelined: false }, &[SendRcpt]),
            (S::Mail { pipelined: true }, G::Positive) => (S::Rcpt { pipelined: true }, &[]),
            (S::Mail { pipelined: false }, G::Rejected | G::Deferred) => {
                (S::Reset, &[RefuseOpen, Finish, SendReset])
            }
            (S::Mail { pipelined: true }, G::Rejected | G::Deferred) => (S::RcptMoot, &[RefuseOpen]),

            (S::Rcpt { pipelined: false }, G::Positive | G::Rejected | G::Deferred) => {
                (self, &[BookRecipient, SendRcpt])
            }
            (S::Rcpt { pipelined: true }, G::Positive | G::Rejected | G::Deferred) => {
                (self, &[BookRecipient])
            }
            (S::RcptMoot, G::Positive | G::Rejected | G::Deferred) => (self, &[SkipRecipient]),
            (S::Rcpt { pipelined: false }, G::RecipientsAnswered { some: true, chunked: false }) => {
                (S::Data { some: true }, &[SendData])
            }
            (S::Rcpt { .. }, G::RecipientsAnswered { some: true, chunked: true }) => (S::Chunk, &[SendChunk]),
            (S::Rcpt { pipelined: false }, G::RecipientsAnswered { some: false, .. })
            | (S::Rcpt { pipelined: true }, G::RecipientsAnswered { some: false, chunked: true })
            | (S::RcptMoot, G::RecipientsAnswered { chunked: true, .. }) => (S::Reset, &[Finish, SendReset]),
            (S::Rcpt { pipelined: true }, G::RecipientsAnswered { some, chunked: false }) => {
                (S::Data { some }, &[])
            }
            (S::RcptMoot, G::RecipientsAnswered { chunked: false, .. }) => (S::Data { some: false }, &[]),

            (S::Data { some: true }, G::Intermediate) => (S::Content, &[SendContent]),
            (S::Data { some: true }, G::Rejected | G::Deferred) => {
                (S::Reset, &[RefuseOpen, Finish, SendReset])
            }
            // RFC 2920 3.1: content must follow a 354, so an empty one ends what nobody gets.
            (S::Data { some: false }, G::Intermediate) => (S::MootDot, &[SendDot]),
            (S::Data { some: false }, G::Rejected | G::Deferred) => (S::Reset, &[Finish, SendReset]),

            (S::Content, G::ContentSent) => (S::FinalDot, &[]),
            // Refused before it had all: the rest cannot be sent and nothing else can.
            (S::Content | S::Chunk, G::Rejected | G::Deferred) => (S::Closed, &[RefuseOpen, Finish, Close]),
            (S::FinalDot, G::Positive) => (S::Ready, &[AcceptOpen, Finish, Ready]),
            (S::FinalDot, G::Rejected | G::Deferred) => (S::Ready, &[RefuseOpen, Finish, Ready]),
            (S::Chunk, G::ContentSent) => (S::ChunkSent, &[]),
            (S::ChunkSent, G::Positive) => (S::Ready, &[AcceptOpen, Finish, Ready]),
            // RFC 3030 2: the transaction has failed, and not every server takes it for ended.
            (S::ChunkSent, G::Rejected | G::Deferred) => (S::Reset, &[RefuseOpen, Finish, SendReset]),
            (S::MootDot, G::Positive | G::Rejected | G::Deferred) => (S::Ready, &[Finish, Ready]),
            (S::Reset, G::Positive) => (S::Ready, &[Ready]),

            (
                S::Quit,
                G::Positive
                | G::Intermediate
                | G::Deferred
                | G::Rejected
                | G::Goodbye
                | G::TimedOut
                | G::Cut
                | G::Nonsense
                | G::Quit,
            ) => (S::Closed, &[Close]),

            // The server ends it.
            (
                S::Mail { .. }
                | S::Rcpt { .. }
                | S::RcptMoot
                | S::Data { .. }
                | S::Content
                | S::Chunk
                | S::FinalDot
                | S::ChunkSent
                | S::MootDot,
                G::Goodbye,
            ) => (S::Closed, &[RefuseOpen, Finish, Close]),
            (S::Ready, G::Rejected | G::Deferred)
            | (
                S::Greeting
                | S::Ehlo
                | S::Helo
                | S::Greeted
                | S::StartTls
                | S::Handshake
                | S::Auth
                | S::Ready
                | S::Reset,
                G::Goodbye,
            ) => (S::Closed, &[Fail, Close]),

            // We end it. A delivery that is under way has no reply.
            (
                S::Greeting
                | S::Ehlo
                | S::Helo
                | S::Greeted
                | S::StartTls
                | S::Handshake
                | S::Auth
                | S::Reset,
                G::Quit,
            ) => (S::Closed, &[Close]),

            // Nobody says how it ends: silence, or an answer to something that was not asked.
            (
                S::Greeting
                | S::Ehlo
                | S::Helo
                | S::Greeted
                | S::StartTls
                | S::Handshake
                | S::Auth
                | S::Ready
                | S::Reset,
                G::TimedOut | G::Cut | G::Nonsense | G::Positive | G::Intermediate,
            )
            | (S::Greeted | S::Handshake, G::Rejected | G::Deferred) => (S::Closed, &[Fail, Close]),
            (
                S::Mail { .. }
                | S::Rcpt { .. }
                | S::RcptMoot
                | S::Data { .. }
                | S::Content
                | S::Chunk
                | S::FinalDot
                | S::ChunkSent
                | S::MootDot,
                G::TimedOut | G::Cut | G::Nonsense | G::Positive | G::Intermediate | G::Quit,
            ) => (S::Closed, &[LoseOpen, Finish, Close]),

            // Asked for by our own side at the wrong time: without effect.
            (
                S::Greeting
                | S::Ehlo
                | S::Helo
                | S::Greeted
                | S::StartTls
                | S::Handshake
                | S::Auth
                | S::Ready
                | S::Mail { .. }
                | S::Rcpt { .. }
                | S::RcptMoot
                | S::Data { .. }
                | S::Content
                | S::Chunk
                | S::FinalDot
                | S::ChunkSent
                | S::MootDot
                | S::Reset
                | S::Quit,
                G::WantsTls
                | G::Secured
                | G::WantsLogin
                | G::Complete
                | G::Unmet
                | G::Start { .. }
                | G::ContentSent
                | G::RecipientsAnswered { .. },
            ) => (self, &[]),
        }
    }

    /// Octets of the content are being sent.
    pub(crate) const fn is_sending(self) -> bool {
        match self {
            Self::Content | Self::Chunk => true,
            Self::Greeting
            | Self::Ehlo
            | Self::Helo
            | Self::Greeted
            | Self::StartTls
            | Self::Handshake
            | Self::Auth
            | Self::Ready
            | Self::Mail { .. }
            | Self::Rcpt { .. }
            | Self::RcptMoot
            | Self::Data { .. }
            | Self::FinalDot
            | Self::ChunkSent
            | Self::MootDot
            | Self::Reset
            | Self::Quit
            | Self::Closed => false,
        }
    }

    pub(crate) const fn phase(self) -> Phase {
        match self {
            Self::Greeting | Self::Ehlo | Self::Helo | Self::Greeted => Phase::Greeting,
            Self::StartTls | Self::Handshake => Phase::Tls,
            Self::Auth => Phase::Auth,
            // Between deliveries the next thing would be MAIL.
            Self::Ready | Self::Reset | Self::Quit | Self::Closed | Self::Mail { .. } => Phase::Mail,
            Self::Rcpt { .. } | Self::RcptMoot => Phase::Rcpt,
            Self::Data { .. }
            | Self::Content
            | Self::Chunk
            | Self::FinalDot
            | Self::ChunkSent
            | Self::MootDot => Phase::Content,
        }
    }

    pub(crate) const fn while_doing(self) -> &'static str {
        match self {
            Self::Greeting => "while waiting for the greeting",
            Self::Ehlo => "while waiting for EHLO reply",
            Self::Helo => "while waiting for HELO reply",
            Self::Greeted => "after EHLO",
            Self::StartTls => "while waiting for STARTTLS reply",
            Self::Handshake => "during the TLS handshake",
            Self::Auth => "while waiting for AUTH reply",
            Self::Ready | Self::Closed => "while idle",
            Self::Mail { .. } => "while waiting for MAIL reply",
            Self::Rcpt { .. } | Self::RcptMoot => "while waiting for RCPT reply",
            Self::Data { .. } => "while waiting for DATA reply",
            Self::Content | Self::Chunk => "while sending content",
            Self::FinalDot | Self::MootDot => "while waiting for the reply to the final dot",
            Self::ChunkSent => "while waiting for BDAT reply",
            Self::Reset => "while waiting for RSET reply",
            Self::Quit => "while waiting for QUIT reply",
        }
    }
}

#[cfg(test)]
mod tests;
