//! Names of the metrics of this crate.

use std::time::Duration;

use hikyaku_measures::{Label, Measure, counter, seconds};

use crate::access;

/// Counter: calls and connections that were refused; `reason` = nobody, token, certificate, role,
/// handshake.
pub const REFUSALS: &str = "rpc.server.refusals";

/// Histogram, seconds: from a call until its answer, or the first of a stream, by `rpc.service` and
/// `rpc.method`. Waiting and travelling outside the process are not in it.
pub const DURATION: &str = "rpc.server.call.duration";

pub const ALL: &[Measure] = &[
    seconds(
        DURATION,
        &[
            Label { name: "rpc.service", values: access::services },
            Label { name: "rpc.method", values: access::methods },
        ],
        "Time from a call until its answer, or the first of a stream; waiting and travelling outside the process are not in it",
    ),
    counter(
        REFUSALS,
        &[Label { name: "reason", values: || vec!["nobody", "token", "certificate", "role", "handshake"] }],
        "Calls and connections that were refused because of who made them",
    ),
];

pub fn describe() {
    hikyaku_measures::describe(ALL);
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
    metrics::histogram!(DURATION, "rpc.service" => service, "rpc.method" => method).record(after);
}

pub(crate) fn refused(reason: Reason) {
    metrics::counter!(REFUSALS, "reason" => reason.name()).increment(1);
}
