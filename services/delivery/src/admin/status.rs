//! The only way from an error of ours to a gRPC status.

use hikyaku_policy_client::PolicyUnavailable;
use hikyaku_queue::{browse::BrowseError, dead::DeadError, holds::HoldError, publish::PublishError};
use hikyaku_runtime::error_chain::chain;
use tonic::Status;

#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    #[error(transparent)]
    Browse(#[from] BrowseError),
    #[error(transparent)]
    Hold(#[from] HoldError),
    #[error(transparent)]
    Dead(#[from] DeadError),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error("the route is not known")]
    Policy(#[from] PolicyUnavailable),
    #[error("{0}")]
    Argument(String),
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    Precondition(String),
}

impl From<CallError> for Status {
    fn from(error: CallError) -> Self {
        let text = chain(&error);
        match error {
            CallError::Argument(_) => Self::invalid_argument(text),
            CallError::NotFound(_) => Self::not_found(text),
            CallError::Precondition(_) => Self::failed_precondition(text),
            CallError::Browse(_)
            | CallError::Hold(_)
            | CallError::Dead(_)
            | CallError::Publish(_)
            | CallError::Policy(_) => {
                tracing::warn!(error = text, "admin call failed");
                Self::unavailable(text)
            }
        }
    }
}
