//! A reply, or the lack of one, as a failure with its class and status.

use std::time::SystemTime;

use hikyaku_route::plan::RouteError;
use hikyaku_types::{
    outcome::{Cause, Failure, FailureClass, Phase, RecipientOutcome, RemoteReply},
    reply::EnhancedCode,
};

/// RFC 3463: no answer from host.
const NO_ANSWER: EnhancedCode = EnhancedCode(4, 4, 1);
/// RFC 3463: bad connection.
const BAD_CONNECTION: EnhancedCode = EnhancedCode(4, 4, 2);
/// RFC 3463: directory server failure.
const DIRECTORY: EnhancedCode = EnhancedCode(4, 4, 3);

/// A refusal of the remote server.
pub(crate) fn refused(phase: Phase, reply: RemoteReply, now: SystemTime) -> Failure {
    // RFC 5321 4.5.3.1.10: 552 to RCPT means "too many recipients", as 452 does.
    let too_many = phase == Phase::Rcpt && reply.code == 552;
    let permanent = (500..600).contains(&reply.code) && !too_many;
    // A 5yz greeting says "not this host", not "no such recipient" (SEED-174).
    let class = match phase {
        Phase::Dns | Phase::Connect | Phase::Tls | Phase::Greeting => FailureClass::Temp,
        Phase::Mail | Phase::Rcpt | Phase::Content if permanent => FailureClass::Perm,
        Phase::Mail | Phase::Rcpt | Phase::Content => FailureClass::Temp,
    };
    let told = reply.enhanced.filter(|_| !too_many);
    let status = told.unwrap_or(EnhancedCode(if permanent { 5 } else { 4 }, 0, 0));
    Failure { at: now, phase, class, cause: Cause::Remote(reply), status }
}

/// Words with which servers say that they get too much at once from us, and not that there is
/// something about the message.
const TOO_MUCH: [&str; 6] = [
    "too many connection",
    "too many concurrent",
    "concurrent connection",
    "rate limit",
    "throttl",
    "too fast",
];

pub(crate) fn is_too_much(outcome: &RecipientOutcome) -> bool {
    let RecipientOutcome::Failed(Failure { class: FailureClass::Temp, cause: Cause::Remote(reply), .. }) =
        outcome
    else {
        return false;
    };
    let text = reply.text.to_lowercase();
    TOO_MUCH.iter().any(|words| text.contains(words))
}

/// Nobody answered, or the connection broke.
pub(crate) fn no_reply(phase: Phase, what: String, now: SystemTime) -> Failure {
    let status = match phase {
        Phase::Dns => DIRECTORY,
        Phase::Connect => NO_ANSWER,
        Phase::Tls | Phase::Greeting | Phase::Mail | Phase::Rcpt | Phase::Content => BAD_CONNECTION,
    };
    Failure { at: now, phase, class: FailureClass::NoReply, cause: Cause::Local(what), status }
}

/// What we know without asking: the peer cannot take this message.
pub(crate) fn unsupported(status: EnhancedCode, what: String, now: SystemTime) -> Failure {
    Failure { at: now, phase: Phase::Mail, class: FailureClass::Perm, cause: Cause::Local(what), status }
}

/// Something of ours did not work: never the recipient's fault, so it is tried again.
pub(crate) fn our_fault(what: String, now: SystemTime) -> Failure {
    let status = EnhancedCode(4, 3, 0);
    Failure {
        at: now,
        phase: Phase::Content,
        class: FailureClass::NoReply,
        cause: Cause::Local(what),
        status,
    }
}

pub(crate) fn no_route(error: &RouteError, now: SystemTime) -> Failure {
    let (class, status) = match error {
        // SEED-176, and RFC 3463: bad destination system address.
        RouteError::NoSuchDomain => (FailureClass::Perm, EnhancedCode(5, 1, 2)),
        // RFC 7505 4.1.
        RouteError::NullMx => (FailureClass::Perm, EnhancedCode(5, 1, 10)),
        RouteError::NoAddress => (FailureClass::Perm, EnhancedCode(5, 4, 4)),
        RouteError::Loop => (FailureClass::Perm, EnhancedCode(5, 4, 6)),
        RouteError::TryAgain(_) => (FailureClass::NoReply, DIRECTORY),
    };
    Failure { at: now, phase: Phase::Dns, class, cause: Cause::Local(error.to_string()), status }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(code: u16) -> RemoteReply {
        RemoteReply {
            host: "mx.example.org".to_owned(),
            address: "192.0.2.1:25".parse().unwrap(),
            code,
            enhanced: None,
            text: String::new(),
        }
    }

    #[test]
    fn classes() {
        let now = SystemTime::UNIX_EPOCH;
        for (phase, code, class) in [
            (Phase::Greeting, 554, FailureClass::Temp),
            (Phase::Greeting, 421, FailureClass::Temp),
            (Phase::Mail, 550, FailureClass::Perm),
            (Phase::Rcpt, 550, FailureClass::Perm),
            (Phase::Rcpt, 451, FailureClass::Temp),
            (Phase::Rcpt, 552, FailureClass::Temp),
            (Phase::Content, 552, FailureClass::Perm),
            (Phase::Content, 554, FailureClass::Perm),
            (Phase::Content, 452, FailureClass::Temp),
        ] {
            assert_eq!(refused(phase, reply(code), now).class, class, "{phase:?} {code}");
        }
    }

    #[test]
    fn a_name_server_that_fails_is_no_bounce() {
        let now = SystemTime::UNIX_EPOCH;
        assert_eq!(no_route(&RouteError::TryAgain("servfail".to_owned()), now).class, FailureClass::NoReply);
        assert_eq!(no_route(&RouteError::NoSuchDomain, now).class, FailureClass::Perm);
    }
}
