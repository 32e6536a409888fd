//! What a state is part of, and how a transaction ends.

use super::{Signal, State};
use crate::server::action::Outcome;

impl State {
    /// True while the session waits for its driver, not for its client.
    pub(crate) const fn is_waiting(self) -> bool {
        match self {
            Self::Connecting
            | Self::Securing
            | Self::DecidingIdentity
            | Self::DecidingSender
            | Self::DecidingRecipient { .. }
            | Self::Storing => true,
            Self::TurnedAway
            | Self::Greeted
            | Self::Ready
            | Self::Authenticating
            | Self::Confirming
            | Self::Mail
            | Self::AllRefused
            | Self::Rcpt
            | Self::Content
            | Self::Chunk
            | Self::BetweenChunks
            | Self::Closed => false,
        }
    }

    /// True from the question about the sender to the fate of the content.
    pub(crate) const fn is_in_transaction(self) -> bool {
        match self {
            Self::DecidingSender
            | Self::Mail
            | Self::AllRefused
            | Self::DecidingRecipient { .. }
            | Self::Rcpt
            | Self::Content
            | Self::Chunk
            | Self::BetweenChunks
            | Self::Storing => true,
            Self::Connecting
            | Self::TurnedAway
            | Self::Greeted
            | Self::Ready
            | Self::Securing
            | Self::Authenticating
            | Self::DecidingIdentity
            | Self::Confirming
            | Self::Closed => false,
        }
    }

    /// True from the first octet of the content to its last.
    pub(crate) const fn is_taking_content(self) -> bool {
        match self {
            Self::Content | Self::Chunk | Self::BetweenChunks => true,
            Self::Connecting
            | Self::TurnedAway
            | Self::Greeted
            | Self::Ready
            | Self::Securing
            | Self::Authenticating
            | Self::DecidingIdentity
            | Self::Confirming
            | Self::DecidingSender
            | Self::Mail
            | Self::AllRefused
            | Self::DecidingRecipient { .. }
            | Self::Rcpt
            | Self::Storing
            | Self::Closed => false,
        }
    }

    /// True while an exchange of AUTH goes on.
    pub(crate) const fn is_in_exchange(self) -> bool {
        match self {
            Self::Authenticating | Self::DecidingIdentity | Self::Confirming => true,
            Self::Connecting
            | Self::TurnedAway
            | Self::Greeted
            | Self::Ready
            | Self::Securing
            | Self::DecidingSender
            | Self::Mail
            | Self::AllRefused
            | Self::DecidingRecipient { .. }
            | Self::Rcpt
            | Self::Content
            | Self::Chunk
            | Self::BetweenChunks
            | Self::Storing
            | Self::Closed => false,
        }
    }

    /// How a transaction ended, when going from `self` to `next` ends one.
    pub(crate) fn ended(self, signal: Signal, next: Self) -> Option<Outcome> {
        use Signal as G;
        if !self.is_in_transaction() || next.is_in_transaction() {
            return None;
        }
        Some(match signal {
            G::Durable if self == Self::Storing => Outcome::Accepted,
            G::Rejected | G::ContentTooBig | G::ContentBroken | G::BdatHopeless => Outcome::Rejected,
            G::Deferred | G::Dismissed | G::ContentUnkept => Outcome::Deferred,
            G::Durable
            | G::Admitted
            | G::Barred
            | G::TalkedEarly
            | G::Hello
            | G::Mail
            | G::MailUnauthenticated
            | G::MailTooBig
            | G::Rcpt
            | G::RcptTooMany
            | G::Data
            | G::DataOfBinary
            | G::Bdat
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
            | G::ContentEnded
            | G::ChunkEnded
            | G::ChunkSkipped
            | G::IdleTooLong
            | G::TransactionTooLong
            | G::TooManyErrors
            | G::Drain
            | G::PeerClosed => match self == Self::AllRefused {
                true => Outcome::Rejected,
                false => Outcome::Aborted,
            },
        })
    }
}
