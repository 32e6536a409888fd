//! What made the table be asked, and the failures that follow from it.

use super::{
    delivery::{FailureKind, RecipientResult, SessionFailure, Silence},
    opening::Opening,
    state::State,
};
use crate::wire::reply::RawReply;

pub(crate) enum Cause {
    Reply(RawReply),
    Silence(Silence, String),
    /// The line that answers a challenge.
    Response(String),
    /// What the session needs next.
    Opening(Opening),
    /// Our own side.
    Us,
}

impl Cause {
    pub(crate) fn no_reply(&self, state: State) -> RecipientResult {
        let (silence, what) = self.silence(state);
        RecipientResult::NoReply { phase: state.phase(), silence, what }
    }

    pub(crate) fn failure(&self, state: State) -> SessionFailure {
        let kind = match self {
            Self::Opening(Opening::Unmet(failure)) => return failure.clone(),
            Self::Reply(reply) if reply.code >= 400 => FailureKind::Remote(reply.clone()),
            Self::Reply(_) | Self::Silence(..) | Self::Response(_) | Self::Opening(_) | Self::Us => {
                let (silence, what) = self.silence(state);
                FailureKind::NoReply { silence, what }
            }
        };
        SessionFailure { phase: state.phase(), kind }
    }

    fn silence(&self, state: State) -> (Silence, String) {
        match self {
            Self::Silence(silence, words) => (*silence, words.clone()),
            Self::Reply(reply) => {
                (Silence::Protocol, format!("unexpected {} reply {}", reply.code, state.while_doing()))
            }
            Self::Response(_) | Self::Opening(_) | Self::Us => {
                (Silence::GivenUp, format!("given up {}", state.while_doing()))
            }
        }
    }
}
