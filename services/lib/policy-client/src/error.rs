//! Why there is no answer. Not a verdict: the caller defers (451 4.3.0), it never
//! accepts and never rejects.

use std::{error::Error, time::Duration};

type Source = Box<dyn Error + Send + Sync>;

#[derive(Debug, thiserror::Error)]
pub enum PolicyUnavailable {
    #[error("policy service did not answer within {0:?}")]
    Timeout(Duration),
    #[error("call of the policy service failed")]
    Call(#[source] Source),
    #[error("policy service answered with an unusable {field}")]
    Answer {
        field: &'static str,
        #[source]
        source: Source,
    },
}

#[derive(Debug, thiserror::Error)]
#[error("{endpoint:?} is not an endpoint that can be used")]
pub struct InvalidEndpoint {
    pub(crate) endpoint: String,
    #[source]
    pub(crate) source: Source,
}
