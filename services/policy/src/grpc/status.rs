//! The only place where an error becomes a [`tonic::Status`].

use hikyaku_runtime::error_chain::chain;
use hikyaku_types::address::{AddressError, Mailbox};
use tonic::Status;
use tracing::warn;

use crate::{
    document::UnknownDocument,
    store::{StoreError, commit::CommitError},
};

#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    #[error("the directory is not loaded yet")]
    NotLoaded,
    #[error("client {0:?} is not an IP address")]
    Client(String),
    #[error("the listener is not said")]
    Listener,
    #[error("the certificate is not a SHA-256 digest of 32 octets")]
    Certificate,
    #[error("no proof is given, or one that is not known")]
    Proof,
    #[error("{field} {text:?} cannot be read: {reason}")]
    Address { field: &'static str, text: String, reason: AddressError },
    #[error(transparent)]
    Document(#[from] UnknownDocument),
    #[error("{0} is named twice")]
    Twice(String),
    #[error("version {0} is not kept, or never was")]
    NoVersion(u64),
    #[error("a comment has at most 500 characters, on one line")]
    Comment,
    #[error("a search needs at least 2 characters")]
    Search,
    #[error("{0} envelopes in one call; 100,000 are allowed")]
    Questions(usize),
    #[error("{0:?} is of no kind that can be imported")]
    LegacyKind(String),
    #[error("{0:?} is not a domain")]
    ImportDomain(String),
    #[error("neither a login nor a client is named")]
    Nobody,
    #[error("{0} is not an account")]
    NoAccount(Mailbox),
    #[error("the secret was not stored: {0}")]
    Secret(String),
    #[error("the call ended early")]
    Ended,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl From<CallError> for Status {
    fn from(error: CallError) -> Self {
        let text = chain(&error);
        match error {
            CallError::NotLoaded => Self::unavailable(text),
            CallError::Client(_)
            | CallError::Listener
            | CallError::Certificate
            | CallError::Proof
            | CallError::Address { .. }
            | CallError::Document(_)
            | CallError::Twice(_)
            | CallError::Comment
            | CallError::Search
            | CallError::LegacyKind(_)
            | CallError::ImportDomain(_)
            | CallError::Nobody
            | CallError::Secret(_)
            | CallError::Questions(_) => Self::invalid_argument(text),
            CallError::NoVersion(_) | CallError::NoAccount(_) => Self::not_found(text),
            CallError::Ended => Self::internal(text),
            CallError::Commit(CommitError::Stale { .. } | CommitError::Raced) => Self::aborted(text),
            CallError::Store(_) | CallError::Commit(CommitError::Store(_)) => {
                warn!(error = text, "directory call failed");
                Self::unavailable(text)
            }
        }
    }
}
