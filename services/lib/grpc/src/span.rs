//! The span of a call that a client has asked for in a trace.

use hikyaku_spans::{Origin, Span, declared::RPC_SERVER, is_enabled};
use tonic::{Code, codegen::http};

/// Whoever asks for no trace gets none: operators and their tools, and questions of nobody's mail.
pub(crate) fn of_call<B>(
    request: &http::Request<B>,
    (service, method): (&'static str, &'static str),
    peer: Option<std::net::SocketAddr>,
) -> Span {
    if !is_enabled() {
        return Span::none();
    }
    let origin = Origin::read(|name| request.headers().get(name)?.to_str().ok());
    let span = Span::below(&origin, &RPC_SERVER, format!("{service}/{method}"));
    span.set("rpc.system", "grpc");
    span.set("rpc.service", service);
    span.set("rpc.method", method);
    if let Some(peer) = peer {
        span.show("client.address", &peer.ip());
    }
    span
}

/// Of an answer that is an error at once, the status stands in its headers; one that has content is good.
pub(crate) fn answered<B>(span: &Span, answer: &http::Response<B>) {
    let code = answer.headers().get("grpc-status").map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes()));
    span.set("rpc.grpc.status_code", i64::from(i32::from(code)));
    // What the caller did wrong is no error of the server.
    if matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    ) {
        span.fail(code_name(code));
    }
}

/// As the specification of gRPC writes it.
pub fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
