//! Whom a session is with, and what it said or did as outcomes.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use hikyaku_smtp::client::{FailureKind, RawReply, RecipientResult, SessionFailure, Silence};
use hikyaku_types::outcome::{Failure, LocalError, LocalErrorKind, RecipientOutcome, RemoteReply};

use crate::{connection::local_error, outcome::classify};

/// What is kept of a reply: a hostile one must not make an envelope too large for the broker.
const MAX_REPLY_TEXT: usize = 2 * 1024;

/// How long nothing has moved, and what had come of a reply by then (SEED-210).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quiet {
    pub(crate) bytes: u64,
    pub(crate) elapsed: Duration,
}

#[derive(Debug, Clone)]
pub(crate) struct Host {
    /// As in the MX record or the route.
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
}

impl Host {
    /// `hop_reports`: it was told what the sender wants to be told.
    pub(crate) fn outcome(
        &self,
        result: RecipientResult,
        hop_reports: bool,
        quiet: Quiet,
    ) -> RecipientOutcome {
        let now = SystemTime::now();
        RecipientOutcome::Failed(match result {
            RecipientResult::Accepted(reply) => {
                return RecipientOutcome::Delivered { reply: self.reply(reply), hop_reports };
            }
            RecipientResult::Refused { phase, reply } => classify::refused(phase, self.reply(reply), now),
            RecipientResult::NoReply { phase, silence, what } => {
                classify::no_reply(phase, self.silent(silence, &what, quiet), now)
            }
            RecipientResult::Unsupported { status, what } => {
                classify::unsupported(status, self.named(&what), now)
            }
        })
    }

    pub(crate) fn failure(&self, failure: SessionFailure, quiet: Quiet) -> Failure {
        let (phase, now) = (failure.phase, SystemTime::now());
        match failure.kind {
            FailureKind::Remote(reply) => classify::refused(phase, self.reply(reply), now),
            FailureKind::NoReply { silence, what } => {
                classify::no_reply(phase, self.silent(silence, &what, quiet), now)
            }
            FailureKind::Unmet { status, what } => classify::unmet(phase, status, self.named(&what), now),
        }
    }

    pub(crate) fn silent(&self, silence: Silence, what: &str, Quiet { bytes, elapsed }: Quiet) -> LocalError {
        LocalError { what: self.named(what), kind: local_error::of_silence(silence), bytes, elapsed }
    }

    /// The peer has ended the connection at a moment when it had nothing to answer.
    pub(crate) fn left(&self, what: &str) -> LocalError {
        LocalError::new(LocalErrorKind::Eof, self.named(what))
    }

    pub(crate) fn named(&self, what: &str) -> String {
        format!("{}[{}]: {what}", self.name, self.address)
    }

    fn reply(&self, reply: RawReply) -> RemoteReply {
        let mut text = reply.text;
        if text.len() > MAX_REPLY_TEXT {
            text.truncate(text.floor_char_boundary(MAX_REPLY_TEXT));
        }
        let Self { name: host, address } = self.clone();
        RemoteReply { host, address, code: reply.code, enhanced: reply.enhanced, text }
    }
}
