//! A reply, or the lack of one, as a failure with its class and status.

use std::time::SystemTime;

use hikyaku_route::plan::RouteError;
use hikyaku_types::{
    outcome::{
        Cause, Failure, FailureClass, LocalError, LocalErrorKind, Phase, RecipientOutcome, RemoteReply,
    },
    reply::EnhancedCode,
};

/// RFC 3463: no answer from host.
const NO_ANSWER: EnhancedCode = EnhancedCode(4, 4, 1);
/// RFC 3463: bad connection.
const BAD_CONNECTION: EnhancedCode = EnhancedCode(4, 4, 2);
/// RFC 3463: directory server failure.
const DIRECTORY: EnhancedCode = EnhancedCode(4, 4, 3);
/// RFC 3463: system incorrectly configured.
const MISCONFIGURED: EnhancedCode = EnhancedCode(4, 3, 5);
/// RFC 3463: security features not supported.
const NOT_SUPPORTED: EnhancedCode = EnhancedCode(4, 7, 4);
/// RFC 3463: cryptographic failure.
const CRYPTOGRAPHIC: EnhancedCode = EnhancedCode(4, 7, 5);
/// RFC 3463: encryption needed.
const ENCRYPTION_NEEDED: EnhancedCode = EnhancedCode(5, 7, 10);
/// RFC 8689 4.2.1: REQUIRETLS needed.
const REQUIRETLS_NEEDED: EnhancedCode = EnhancedCode(5, 7, 30);
/// RFC 4954 6: authentication credentials invalid.
const CREDENTIALS: EnhancedCode = EnhancedCode(4, 7, 8);

/// A refusal of the remote server.
pub(crate) fn refused(phase: Phase, reply: RemoteReply, now: SystemTime) -> Failure {
    // RFC 5321 4.5.3.1.10: 552 to RCPT means "too many recipients", as 452 does.
    let too_many = phase == Phase::Rcpt && reply.code == 552;
    let permanent = (500..600).contains(&reply.code) && !too_many;
    // A 5yz greeting says "not this host", not "no such recipient" (SEED-174), and one to our login is our
    // administrator's to mend (SEED-026).
    let class = match phase {
        Phase::Dns | Phase::Connect | Phase::Tls | Phase::Greeting | Phase::Auth => FailureClass::Temp,
        Phase::Mail | Phase::Rcpt | Phase::Content if permanent => FailureClass::Perm,
        Phase::Mail | Phase::Rcpt | Phase::Content => FailureClass::Temp,
    };
    let told = reply.enhanced.filter(|_| !too_many);
    let status = match phase {
        Phase::Auth if permanent => CREDENTIALS,
        Phase::Tls if permanent => NOT_SUPPORTED,
        Phase::Dns
        | Phase::Connect
        | Phase::Tls
        | Phase::Greeting
        | Phase::Auth
        | Phase::Mail
        | Phase::Rcpt
        | Phase::Content => told.unwrap_or(EnhancedCode(if permanent { 5 } else { 4 }, 0, 0)),
    };
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
    // SEED-215: who ends the session to get rid of a message has enough of us for now.
    if reply.code == 421 {
        return true;
    }
    let text = reply.text.to_lowercase();
    TOO_MUCH.iter().any(|words| text.contains(words))
}

/// Nobody answered, or the connection broke.
pub(crate) fn no_reply(phase: Phase, error: LocalError, now: SystemTime) -> Failure {
    let status = match phase {
        Phase::Dns => DIRECTORY,
        Phase::Connect => NO_ANSWER,
        Phase::Tls | Phase::Greeting | Phase::Auth | Phase::Mail | Phase::Rcpt | Phase::Content => {
            BAD_CONNECTION
        }
    };
    Failure { at: now, phase, class: FailureClass::NoReply, cause: Cause::Local(error), status }
}

/// The name system did not say.
pub(crate) fn unresolved(what: String, now: SystemTime) -> Failure {
    no_reply(Phase::Dns, LocalError::new(LocalErrorKind::Dns, what), now)
}

fn local(kind: LocalErrorKind, what: String) -> Cause {
    Cause::Local(LocalError::new(kind, what))
}

/// What we know without asking: the peer cannot take this message.
pub(crate) fn unsupported(status: EnhancedCode, what: String, now: SystemTime) -> Failure {
    let cause = local(LocalErrorKind::Unmet, what);
    Failure { at: now, phase: Phase::Mail, class: FailureClass::Perm, cause, status }
}

/// The peer does not offer what the rules ask for, so it gets nothing.
pub(crate) fn unmet(phase: Phase, status: EnhancedCode, what: String, now: SystemTime) -> Failure {
    Failure { at: now, phase, class: FailureClass::Policy, cause: local(LocalErrorKind::Unmet, what), status }
}

/// The handshake failed, and the rules bear no clear text.
pub(crate) fn no_tls(error: LocalError, now: SystemTime) -> Failure {
    let class = FailureClass::Policy;
    Failure { at: now, phase: Phase::Tls, class, cause: Cause::Local(error), status: CRYPTOGRAPHIC }
}

/// RFC 8689 4.2.1: the sender wants rather a report than mail that anybody may have read.
pub(crate) fn unprotected(what: String, now: SystemTime) -> Failure {
    let (phase, class) = (Phase::Tls, FailureClass::Perm);
    let cause = local(LocalErrorKind::Unmet, what);
    Failure { at: now, phase, class, cause, status: ENCRYPTION_NEEDED }
}

/// The server may hand it on in the clear.
pub(crate) fn no_require_tls(what: String, now: SystemTime) -> Failure {
    Failure { status: REQUIRETLS_NEEDED, ..unprotected(what, now) }
}

/// The rules name a login that cannot be used here.
pub(crate) fn misconfigured(what: String, now: SystemTime) -> Failure {
    let class = FailureClass::NoReply;
    let cause = local(LocalErrorKind::Internal, what);
    Failure { at: now, phase: Phase::Auth, class, cause, status: MISCONFIGURED }
}

/// Something of ours did not work: never the recipient's fault, so it is tried again.
pub(crate) fn our_fault(what: String, now: SystemTime) -> Failure {
    let status = EnhancedCode(4, 3, 0);
    Failure {
        at: now,
        phase: Phase::Content,
        class: FailureClass::NoReply,
        cause: local(LocalErrorKind::Internal, what),
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
    let cause = local(LocalErrorKind::Dns, error.to_string());
    Failure { at: now, phase: Phase::Dns, class, cause, status }
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
            (Phase::Tls, 554, FailureClass::Temp),
            (Phase::Auth, 535, FailureClass::Temp),
            (Phase::Auth, 454, FailureClass::Temp),
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

    /// SEED-026: the sender did nothing wrong, whatever the server says of our login.
    #[test]
    fn seed_026_a_refused_login_is_never_permanent() {
        let now = SystemTime::UNIX_EPOCH;
        for (code, enhanced, status) in [
            (535, "5.7.8", "4.7.8"),
            (550, "5.1.1", "4.7.8"),
            (501, "", "4.7.8"),
            (454, "4.7.0", "4.7.0"),
            (432, "", "4.0.0"),
        ] {
            let reply = RemoteReply { enhanced: enhanced.parse().ok(), ..reply(code) };
            let failure = refused(Phase::Auth, reply, now);
            assert_eq!((failure.status.to_string().as_str(), failure.class), (status, FailureClass::Temp));
        }
    }

    #[test]
    fn seed_215_who_has_enough_of_us() {
        let now = SystemTime::UNIX_EPOCH;
        for (code, text, is_so) in [
            (421, "4.7.0 closing", true),
            (450, "4.2.0 greylisted", false),
            (451, "4.7.1 Too many connections from you", true),
            (452, "mailbox full", false),
            (550, "rate limit exceeded", false),
        ] {
            let reply = RemoteReply { text: text.to_owned(), ..reply(code) };
            let outcome = RecipientOutcome::Failed(refused(Phase::Rcpt, reply, now));
            assert_eq!(is_too_much(&outcome), is_so, "{code} {text}");
        }
    }

    #[test]
    fn a_name_server_that_fails_is_no_bounce() {
        let now = SystemTime::UNIX_EPOCH;
        assert_eq!(no_route(&RouteError::TryAgain("servfail".to_owned()), now).class, FailureClass::NoReply);
        assert_eq!(no_route(&RouteError::NoSuchDomain, now).class, FailureClass::Perm);
    }
}
