//! How an attempt ended <-> protobuf.

use std::time::Duration;

use hikyaku_proto::queue::v1 as wire;
use hikyaku_types::{
    outcome::{Cause, Failure, FailureClass, LocalError, LocalErrorKind, Phase, RemoteReply},
    reply::EnhancedCode,
};

use super::{DecodeError, field, optional, time, timestamp};

pub(super) fn encode_failure(failure: &Failure) -> wire::Failure {
    let (remote, local, local_error) = match &failure.cause {
        Cause::Remote(reply) => (Some(encode_reply(reply)), String::new(), None),
        Cause::Local(error) => (None, error.what.clone(), Some(encode_local(error))),
    };
    let phase = match failure.phase {
        Phase::Dns => wire::Phase::Dns,
        Phase::Connect => wire::Phase::Connect,
        Phase::Tls => wire::Phase::Tls,
        Phase::Greeting => wire::Phase::Greeting,
        Phase::Auth => wire::Phase::Auth,
        Phase::Mail => wire::Phase::Mail,
        Phase::Rcpt => wire::Phase::Rcpt,
        Phase::Content => wire::Phase::Content,
    };
    let class = match failure.class {
        FailureClass::Temp => wire::FailureClass::Temp,
        FailureClass::NoReply => wire::FailureClass::Noreply,
        FailureClass::Perm => wire::FailureClass::Perm,
        FailureClass::Policy => wire::FailureClass::Policy,
    };
    wire::Failure {
        at: Some(timestamp(failure.at)),
        phase: phase.into(),
        class: class.into(),
        remote,
        local,
        local_error,
        status: failure.status.to_string(),
    }
}

pub(super) fn decode_failure(record: wire::Failure) -> Result<Failure, DecodeError> {
    let phase = match wire::Phase::try_from(record.phase) {
        Ok(wire::Phase::Dns) => Phase::Dns,
        Ok(wire::Phase::Connect) => Phase::Connect,
        Ok(wire::Phase::Tls) => Phase::Tls,
        Ok(wire::Phase::Greeting) => Phase::Greeting,
        Ok(wire::Phase::Auth) => Phase::Auth,
        Ok(wire::Phase::Mail) => Phase::Mail,
        Ok(wire::Phase::Rcpt) => Phase::Rcpt,
        Ok(wire::Phase::Content) => Phase::Content,
        Ok(wire::Phase::Unspecified) | Err(_) => return Err(field("failure.phase", record.phase)),
    };
    let class = match wire::FailureClass::try_from(record.class) {
        Ok(wire::FailureClass::Temp) => FailureClass::Temp,
        Ok(wire::FailureClass::Noreply) => FailureClass::NoReply,
        Ok(wire::FailureClass::Perm) => FailureClass::Perm,
        Ok(wire::FailureClass::Policy) => FailureClass::Policy,
        Ok(wire::FailureClass::Unspecified) | Err(_) => return Err(field("failure.class", record.class)),
    };
    let cause = match record.remote {
        Some(reply) => Cause::Remote(decode_reply(reply)?),
        None => Cause::Local(decode_local(record.local, record.local_error)),
    };
    let status = record.status.parse().map_err(|_| field("failure.status", &record.status))?;
    Ok(Failure { at: time(record.at, "failure.at")?, phase, class, cause, status })
}

fn encode_reply(reply: &RemoteReply) -> wire::RemoteReply {
    wire::RemoteReply {
        host: reply.host.clone(),
        address: reply.address.to_string(),
        code: u32::from(reply.code),
        enhanced: reply.enhanced.map(|code| code.to_string()).unwrap_or_default(),
        text: reply.text.clone(),
    }
}

fn decode_reply(record: wire::RemoteReply) -> Result<RemoteReply, DecodeError> {
    let enhanced: Option<EnhancedCode> = optional(&record.enhanced, "reply.enhanced")?;
    Ok(RemoteReply {
        host: record.host,
        address: record.address.parse().map_err(|_| field("reply.address", &record.address))?,
        code: u16::try_from(record.code).map_err(|_| field("reply.code", record.code))?,
        enhanced,
        text: record.text,
    })
}

fn encode_local(error: &LocalError) -> wire::LocalError {
    let (kind, errno) = match error.kind {
        LocalErrorKind::Eof => (wire::LocalErrorKind::Eof, 0),
        LocalErrorKind::Timeout => (wire::LocalErrorKind::Timeout, 0),
        LocalErrorKind::Os(number) => (wire::LocalErrorKind::Os, number),
        LocalErrorKind::Protocol => (wire::LocalErrorKind::Protocol, 0),
        LocalErrorKind::Dns => (wire::LocalErrorKind::Dns, 0),
        LocalErrorKind::Unmet => (wire::LocalErrorKind::Unmet, 0),
        LocalErrorKind::Internal => (wire::LocalErrorKind::Unspecified, 0),
    };
    let elapsed_micros = u64::try_from(error.elapsed.as_micros()).unwrap_or(u64::MAX);
    wire::LocalError { kind: kind.into(), errno, bytes: error.bytes, elapsed_micros }
}

/// One that a later version has told apart is still an error of our side: no reason to leave the entry alone.
fn decode_local(what: String, record: Option<wire::LocalError>) -> LocalError {
    let wire::LocalError { kind, errno, bytes, elapsed_micros } = record.unwrap_or_default();
    let kind = match wire::LocalErrorKind::try_from(kind) {
        Ok(wire::LocalErrorKind::Unspecified) | Err(_) => LocalErrorKind::Internal,
        Ok(wire::LocalErrorKind::Eof) => LocalErrorKind::Eof,
        Ok(wire::LocalErrorKind::Timeout) => LocalErrorKind::Timeout,
        Ok(wire::LocalErrorKind::Os) => LocalErrorKind::Os(errno),
        Ok(wire::LocalErrorKind::Protocol) => LocalErrorKind::Protocol,
        Ok(wire::LocalErrorKind::Dns) => LocalErrorKind::Dns,
        Ok(wire::LocalErrorKind::Unmet) => LocalErrorKind::Unmet,
    };
    LocalError { what, kind, bytes, elapsed: Duration::from_micros(elapsed_micros) }
}
