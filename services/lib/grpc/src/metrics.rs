//! Names of the metrics of this crate.

use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_histogram, histogram};

/// Counter: calls and connections that were refused; `reason` = nobody, token, certificate, role,
/// handshake.
pub const REFUSALS: &str = "rpc.server.refusals";

/// Histogram, seconds: from a call until its answer, or the first of a stream, by `rpc.service` and
/// `rpc.method`. Waiting and travelling outside the process are not in it.
pub const DURATION: &str = "rpc.server.call.duration";

pub fn describe() {
    describe_histogram!(DURATION, Unit::Seconds, "Time in which calls were answered");
    describe_counter!(
        REFUSALS,
        Unit::Count,
        "Calls and connections that were refused because of who made them"
    );
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Reason {
    /// Neither token nor certificate.
    Nobody,
    /// A token that is not known.
    Token,
    /// A certificate that no line names.
    Certificate,
    /// Known, without the role that the call needs.
    Role,
    /// TLS.
    Handshake,
}

impl Reason {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Token => "token",
            Self::Certificate => "certificate",
            Self::Role => "role",
            Self::Handshake => "handshake",
        }
    }
}

pub(crate) fn answered((service, method): (&'static str, &'static str), after: Duration) {
    histogram!(DURATION, "rpc.service" => service, "rpc.method" => method).record(after);
}

pub(crate) fn refused(reason: Reason) {
    counter!(REFUSALS, "reason" => reason.name()).increment(1);
}
