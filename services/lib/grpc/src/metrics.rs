//! Names of the metrics of this crate.

use metrics::{Unit, counter, describe_counter};

/// Counter: calls and connections that were refused; `reason` = nobody, token, certificate, role,
/// handshake.
pub const REFUSALS: &str = "rpc.server.refusals";

pub fn describe() {
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

pub(crate) fn refused(reason: Reason) {
    counter!(REFUSALS, "reason" => reason.name()).increment(1);
}
