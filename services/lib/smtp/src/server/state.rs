//! The order of the protocol, as one table (RFC 5321 4.1.4). `transition.golden` shows all of it.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Before the greeting: may this client talk to us?
    Connecting,
    /// The greeting was a 5yz: the client may only quit (RFC 5321 3.1).
    TurnedAway,
    Greeted,
    /// After EHLO or HELO, between transactions.
    Ready,
    /// STARTTLS was accepted: the next octets are those of TLS.
    Securing,
    /// AUTH: the client's response is to come.
    Authenticating,
    DecidingIdentity,
    /// AUTH: the client is who it says, and has to acknowledge our own proof.
    Confirming,
    DecidingSender,
    /// A sender; no recipient was tried.
    Mail,
    /// A sender; recipients were tried and every one was refused.
    AllRefused,
    /// `some`: a recipient was accepted earlier in this transaction.
    DecidingRecipient {
        some: bool,
    },
    /// A sender and at least one recipient.
    Rcpt,
    Content,
    /// The octets of a chunk (RFC 3030) come in.
    Chunk,
    /// A chunk is there and more are to come.
    BetweenChunks,
    Storing,
    Closed,
}

/// What the table is asked about: an event or a command without its particulars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    Admitted,
    /// Refused before the greeting, by a 5yz.
    Barred,
    /// Before it was greeted.
    TalkedEarly,
    /// Refused by a 421, which always ends the session (RFC 5321 3.8).
    Dismissed,
    Hello,
    Mail,
    /// This listener wants to know who it is first.
    MailUnauthenticated,
    /// `SIZE=` is over the limit.
    MailTooBig,
    Rcpt,
    /// One more recipient than a transaction may have.
    RcptTooMany,
    Data,
    /// DATA for a binary message.
    DataOfBinary,
    /// A chunk is to come.
    Bdat,
    /// BDAT after which nothing can be read any more; the reply came with it.
    BdatHopeless,
    Rset,
    Noop,
    Vrfy,
    Expn,
    Help,
    StartTls,
    /// TLS is on already.
    StartTlsAgain,
    /// There is no TLS.
    StartTlsOff,
    /// AUTH where none is possible: in a transaction, or a second one.
    Auth,
    /// AUTH is not offered by this listener.
    AuthOff,
    /// A mechanism that is not offered.
    AuthUnknown,
    /// A password without TLS.
    AuthUnsafe,
    /// 334, with what the client has to answer.
    AuthChallenge,
    /// The driver can say more.
    AuthAsk,
    AuthMalformed,
    AuthCancelled,
    AuthTooLong,
    /// Credentials that cannot be right; nobody was asked.
    AuthRefused,
    /// Wrong credentials, once too often.
    AuthTooOften,
    Quit,
    /// A peer says who is behind it.
    Xclient,
    /// A line that is no command; the reply came with it.
    BadCommand,
    /// A bare CR or LF in a command line.
    BrokenLine,
    /// The driver has made the connection secure.
    Secured,
    /// Our proof, after the client's was accepted.
    AuthProof,
    Authenticated,
    SenderAccepted,
    RecipientAccepted,
    /// The message is on durable storage.
    Durable,
    /// The identity, the sender, the recipient or the message was refused: 5yz, 4yz.
    Rejected,
    Deferred,
    ContentEnded,
    /// A chunk is complete, and more are to come.
    ChunkEnded,
    /// The octets of a chunk that was not asked for are read away.
    ChunkSkipped,
    /// Its end was reached.
    ContentTooBig,
    /// Its end was reached, and there was no memory for it.
    ContentUnkept,
    /// A bare CR or LF in the content.
    ContentBroken,
    IdleTooLong,
    TransactionTooLong,
    TooManyErrors,
    Drain,
    PeerClosed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Reply(Say),
    /// Hand the connection over for TLS.
    Secure,
    AskIdentity,
    AskSender,
    AskRecipient,
    OpenContent,
    OpenChunks,
    Store,
    /// The client is another one.
    Adopt,
    Close,
}

/// Replies by name; the words are in `replies.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Say {
    /// The reply that came with the event.
    Given,
    Banner,
    Hello,
    SenderOk,
    RecipientOk,
    StartContent,
    ChunkOk,
    /// 250 with the queue id: the promise.
    Stored,
    ResetOk,
    NoopOk,
    VrfyUnsure,
    ExpnOff,
    HelpText,
    StartTlsOk,
    StartTlsOff,
    /// 334 with what came with the event.
    Challenge,
    Authenticated,
    AuthOff,
    AuthUnknown,
    AuthUnsafe,
    AuthMalformed,
    AuthCancelled,
    AuthTooLong,
    AuthRefused,
    AuthTooOften,
    AuthRequired,
    Bye,
    TalkedEarly,
    BadSequence,
    NeedsBdat,
    NoValidRecipients,
    TooBig,
    NoRoom,
    TooManyRecipients,
    BareNewlineInCommand,
    BareNewlineInContent,
    BareNewlineInChunk,
    IdleTooLong,
    TransactionTooLong,
    TooManyErrors,
    Draining,
    Fault,
}

impl State {
    /// The whole protocol. Exhaustive on purpose: adding a state or a signal does not compile
    /// until every pair has an answer.
    pub(crate) fn on(self, signal: Signal) -> (Self, &'static [Effect]) {
        use Effect::{
            Adopt, AskIdentity, AskRecipient, AskSender, Close, OpenChunks, OpenContent, Reply, Secure, Store,
        };
        use Signal as G;
        use State as S;
        match (self, signal) {
            (S::Closed, _) => (S::Closed, &[]),

            // The fate of a message being stored is waited for, whatever happens meanwhile: the
            // client's repeat would otherwise be a second copy.
            (S::Storing, G::Durable) => (S::Ready, &[Reply(Say::Stored)]),
            (S::Storing, G::Rejected | G::Deferred) => (S::Ready, &[Reply(Say::Given)]),
            (S::Storing, G::Dismissed) => (S::Closed, &[Reply(Say::Given), Close]),
            (
                S::Storing | S::DecidingIdentity | S::DecidingSender | S::DecidingRecipient { .. },
                G::IdleTooLong | G::TransactionTooLong | G::Drain | G::PeerClosed,
            ) => (self, &[]),
            // A handshake has its own time, and its failure is the end.
            (S::Securing, G::IdleTooLong | G::TransactionTooLong | G::Drain) => (self, &[]),
            // So is the end of content that is coming in.
            (S::Content | S::Chunk | S::BetweenChunks, G::Drain) => (self, &[]),

            (_, G::PeerClosed) => (S::Closed, &[Close]),
            (_, G::IdleTooLong) => (S::Closed, &[Reply(Say::IdleTooLong), Close]),
            (_, G::TransactionTooLong) => (S::Closed, &[Reply(Say::TransactionTooLong), Close]),
            (_, G::Drain) => (S::Closed, &[Reply(Say::Draining), Close]),
            (_, G::TooManyErrors) => (S::Closed, &[Reply(Say::TooManyErrors), Close]),

            (S::Connecting, G::Admitted) => (S::Greeted, &[Reply(Say::Banner)]),
            (S::Connecting, G::Barred) => (S::TurnedAway, &[Reply(Say::Given)]),
            (S::Connecting, G::TalkedEarly) => (S::Closed, &[Reply(Say::TalkedEarly), Close]),
            (S::Connecting, G::Dismissed) => (S::Closed, &[Reply(Say::Given), Close]),

            // RFC 3207 4.2: nothing is left of what was said in the clear, so nothing needs to have been.
            (S::Greeted | S::Ready, G::StartTls) => (S::Securing, &[Reply(Say::StartTlsOk), Secure]),
            (S::Securing, G::Secured) => (S::Greeted, &[]),

            // As if it had just connected.
            (S::Greeted | S::Ready, G::Xclient) => (S::Connecting, &[Adopt]),

            // RFC 4954 4.
            (S::Ready | S::Authenticating, G::AuthChallenge) => (S::Authenticating, &[Reply(Say::Challenge)]),
            (S::Ready | S::Authenticating, G::AuthAsk) => (S::DecidingIdentity, &[AskIdentity]),
            (S::Ready | S::Authenticating | S::Confirming, G::AuthMalformed) => {
                (S::Ready, &[Reply(Say::AuthMalformed)])
            }
            (S::Ready | S::Authenticating, G::AuthRefused) => (S::Ready, &[Reply(Say::AuthRefused)]),
            (S::Ready | S::Authenticating | S::DecidingIdentity, G::AuthTooOften) => {
                (S::Closed, &[Reply(Say::AuthTooOften), Close])
            }
            (S::Authenticating | S::Confirming, G::AuthCancelled) => (S::Ready, &[Reply(Say::AuthCancelled)]),
            (S::Authenticating | S::Confirming, G::AuthTooLong) => (S::Ready, &[Reply(Say::AuthTooLong)]),
            (S::Authenticating | S::Confirming, G::BrokenLine) => {
                (S::Closed, &[Reply(Say::BareNewlineInCommand), Close])
            }
            (S::DecidingIdentity, G::AuthChallenge) => (S::Authenticating, &[Reply(Say::Challenge)]),
            (S::DecidingIdentity, G::AuthProof) => (S::Confirming, &[Reply(Say::Challenge)]),
            (S::DecidingIdentity | S::Confirming, G::Authenticated) => {
                (S::Ready, &[Reply(Say::Authenticated)])
            }
            (S::DecidingIdentity, G::Rejected | G::Deferred) => (S::Ready, &[Reply(Say::Given)]),

            (S::DecidingSender, G::SenderAccepted) => (S::Mail, &[Reply(Say::SenderOk)]),
            (S::DecidingSender, G::Rejected | G::Deferred) => (S::Ready, &[Reply(Say::Given)]),
            (S::DecidingIdentity | S::DecidingSender | S::DecidingRecipient { .. }, G::Dismissed) => {
                (S::Closed, &[Reply(Say::Given), Close])
            }
            (S::DecidingRecipient { .. }, G::RecipientAccepted) => (S::Rcpt, &[Reply(Say::RecipientOk)]),
            (S::DecidingRecipient { some: true }, G::Rejected | G::Deferred) => {
                (S::Rcpt, &[Reply(Say::Given)])
            }
            (S::DecidingRecipient { some: false }, G::Rejected | G::Deferred) => {
                (S::AllRefused, &[Reply(Say::Given)])
            }

            (S::Content | S::Chunk, G::ContentEnded) => (S::Storing, &[Store]),
            (S::Chunk, G::ChunkEnded) => (S::BetweenChunks, &[Reply(Say::ChunkOk)]),
            // The end of the content was found, so the connection stays usable (SEED-138).
            (S::Content | S::Chunk, G::ContentUnkept) => (S::Ready, &[Reply(Say::NoRoom)]),
            (S::Content | S::Chunk, G::ContentTooBig) => (S::Ready, &[Reply(Say::TooBig)]),
            // So does one whose octets are counted.
            (S::Chunk, G::ContentBroken) => (S::Ready, &[Reply(Say::BareNewlineInChunk)]),
            // Nothing behind a bare line end can be trusted to be a command.
            (S::Content, G::ContentBroken) => (S::Closed, &[Reply(Say::BareNewlineInContent), Close]),

            // Commands come in at rest only: while a question is open, the session holds them back.
            (
                S::TurnedAway | S::Greeted | S::Ready | S::Mail | S::AllRefused | S::Rcpt | S::BetweenChunks,
                G::Quit,
            ) => (S::Closed, &[Reply(Say::Bye), Close]),
            (
                S::TurnedAway | S::Greeted | S::Ready | S::Mail | S::AllRefused | S::Rcpt | S::BetweenChunks,
                G::BrokenLine,
            ) => (S::Closed, &[Reply(Say::BareNewlineInCommand), Close]),
            (
                S::TurnedAway | S::Greeted | S::Ready | S::Mail | S::AllRefused | S::Rcpt | S::BetweenChunks,
                G::BadCommand,
            ) => (self, &[Reply(Say::Given)]),
            // RFC 5321 4.1.4: EHLO in a transaction is a RSET too.
            (S::Greeted | S::Ready | S::Mail | S::AllRefused | S::Rcpt | S::BetweenChunks, G::Hello) => {
                (S::Ready, &[Reply(Say::Hello)])
            }
            (S::Ready | S::Mail | S::AllRefused | S::Rcpt | S::BetweenChunks, G::Rset) => {
                (S::Ready, &[Reply(Say::ResetOk)])
            }
            (S::Greeted, G::Rset) => (S::Greeted, &[Reply(Say::ResetOk)]),
            // RFC 5321 4.1.4: these may be used at any time.
            (S::Greeted | S::Ready | S::Mail | S::AllRefused | S::Rcpt | S::BetweenChunks, G::Noop) => {
                (self, &[Reply(Say::NoopOk)])
            }
            (S::Greeted | S::Ready | S::Mail | S::AllRefused | S::Rcpt | S::BetweenChunks, G::Vrfy) => {
                (self, &[Reply(Say::VrfyUnsure)])
            }
            (S::Greeted | S::Ready | S::Mail | S::AllRefused | S::Rcpt | S::BetweenChunks, G::Expn) => {
                (self, &[Reply(Say::ExpnOff)])
            }
            (S::Greeted | S::Ready | S::Mail | S::AllRefused | S::Rcpt | S::BetweenChunks, G::Help) => {
                (self, &[Reply(Say::HelpText)])
            }
            (S::Greeted | S::Ready | S::Mail | S::AllRefused | S::Rcpt | S::BetweenChunks, G::AuthOff) => {
                (self, &[Reply(Say::AuthOff)])
            }
            (
                S::Greeted | S::Ready | S::Mail | S::AllRefused | S::Rcpt | S::BetweenChunks,
                G::StartTlsOff,
            ) => (self, &[Reply(Say::StartTlsOff)]),
            (S::Ready, G::AuthUnknown) => (S::Ready, &[Reply(Say::AuthUnknown)]),
            (S::Ready, G::AuthUnsafe) => (S::Ready, &[Reply(Say::AuthUnsafe)]),

            (S::Ready, G::Mail) => (S::DecidingSender, &[AskSender]),
            (S::Ready, G::MailUnauthenticated) => (S::Ready, &[Reply(Say::AuthRequired)]),
            (S::Ready, G::MailTooBig) => (S::Ready, &[Reply(Say::TooBig)]),
            (S::Mail | S::AllRefused, G::Rcpt) => (S::DecidingRecipient { some: false }, &[AskRecipient]),
            (S::Rcpt, G::Rcpt) => (S::DecidingRecipient { some: true }, &[AskRecipient]),
            (S::Rcpt, G::RcptTooMany) => (S::Rcpt, &[Reply(Say::TooManyRecipients)]),
            (S::Rcpt, G::Data) => (S::Content, &[OpenContent, Reply(Say::StartContent)]),
            // RFC 5321 4.1.1.4 as corrected by RFC 2920 3.1: DATA without a valid recipient.
            (S::AllRefused, G::Data | G::DataOfBinary | G::ChunkSkipped) => {
                (S::AllRefused, &[Reply(Say::NoValidRecipients)])
            }
            // RFC 3030 3.
            (S::Rcpt, G::DataOfBinary) => (S::Rcpt, &[Reply(Say::NeedsBdat)]),
            (S::Rcpt, G::Bdat) => (S::Chunk, &[OpenChunks]),
            (S::BetweenChunks, G::Bdat) => (S::Chunk, &[]),
            // RFC 3030 2: the octets are read away before anything is said of it.
            (S::TurnedAway | S::Greeted | S::Ready | S::Mail | S::AllRefused, G::Bdat) => (self, &[]),
            (
                S::TurnedAway | S::Greeted | S::Ready | S::Mail | S::AllRefused | S::Rcpt | S::BetweenChunks,
                G::BdatHopeless,
            ) => (S::Closed, &[Reply(Say::Given), Close]),
            (
                S::TurnedAway | S::Greeted | S::Ready | S::Mail | S::AllRefused | S::Rcpt | S::BetweenChunks,
                G::Hello
                | G::Mail
                | G::MailUnauthenticated
                | G::MailTooBig
                | G::Rcpt
                | G::RcptTooMany
                | G::Data
                | G::DataOfBinary
                | G::ChunkSkipped
                | G::Rset
                | G::Noop
                | G::Vrfy
                | G::Expn
                | G::Help
                | G::StartTls
                | G::StartTlsAgain
                | G::StartTlsOff
                | G::Auth
                | G::AuthOff
                | G::Xclient,
            ) => (self, &[Reply(Say::BadSequence)]),

            // The driver answered what was not asked, or fed a command that was to be held back.
            (
                S::Connecting
                | S::TurnedAway
                | S::Greeted
                | S::Ready
                | S::Securing
                | S::Authenticating
                | S::DecidingIdentity
                | S::Confirming
                | S::DecidingSender
                | S::Mail
                | S::AllRefused
                | S::DecidingRecipient { .. }
                | S::Rcpt
                | S::Content
                | S::Chunk
                | S::BetweenChunks
                | S::Storing,
                G::Admitted
                | G::Barred
                | G::TalkedEarly
                | G::Dismissed
                | G::Hello
                | G::Mail
                | G::MailUnauthenticated
                | G::MailTooBig
                | G::Rcpt
                | G::RcptTooMany
                | G::Data
                | G::DataOfBinary
                | G::Bdat
                | G::BdatHopeless
                | G::Rset
                | G::Noop
                | G::Vrfy
                | G::Expn
                | G::Help
                | G::StartTls
                | G::StartTlsAgain
                | G::StartTlsOff
                | G::Auth
                | G::AuthOff
                | G::AuthUnknown
                | G::AuthUnsafe
                | G::AuthChallenge
                | G::AuthAsk
                | G::AuthMalformed
                | G::AuthCancelled
                | G::AuthTooLong
                | G::AuthRefused
                | G::AuthTooOften
                | G::Quit
                | G::Xclient
                | G::BadCommand
                | G::BrokenLine
                | G::Secured
                | G::AuthProof
                | G::Authenticated
                | G::SenderAccepted
                | G::RecipientAccepted
                | G::Durable
                | G::Rejected
                | G::Deferred
                | G::ContentEnded
                | G::ChunkEnded
                | G::ChunkSkipped
                | G::ContentTooBig
                | G::ContentUnkept
                | G::ContentBroken,
            ) => (S::Closed, &[Reply(Say::Fault), Close]),
        }
    }
}

mod phases; // what a state is part of

#[cfg(test)]
mod tests;
