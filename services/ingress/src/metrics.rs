//! Metric names of this crate.

use hikyaku_smtp::server::{AuthOutcome, Mechanism, Outcome};
use std::time::SystemTime;

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Open connections of clients.
pub const CONNECTIONS: &str = "smtp.server.connections";
/// Transactions by `outcome`: accepted, rejected, deferred, aborted.
pub const TRANSACTIONS: &str = "smtp.server.transactions";
/// Content of accepted messages, as it came.
pub const MESSAGE_SIZE: &str = "smtp.server.message.size";

/// Handshakes by `outcome`: completed, failed, timed-out; and by `version`: 1.2, 1.3, none.
pub const HANDSHAKES: &str = "smtp.server.tls.handshakes";
/// Exchanges of AUTH by `mechanism` and `outcome`: accepted, refused, deferred, aborted.
pub const AUTHENTICATIONS: &str = "smtp.server.authentications";
/// When the first of the certificates ends, in seconds since 1970.
pub const CERTIFICATE_EXPIRY: &str = "smtp.server.tls.certificate.expiry";
/// Connections of PROXY peers that were ended because their header was missing or unreadable.
pub const PROXY_ERRORS: &str = "smtp.server.proxy_errors";

pub fn describe() {
    describe_gauge!(CONNECTIONS, "Open connections of clients");
    describe_gauge!(CERTIFICATE_EXPIRY, Unit::Seconds, "When the first of the certificates ends, since 1970");
    describe_counter!(TRANSACTIONS, Unit::Count, "Transactions by their outcome");
    describe_counter!(HANDSHAKES, Unit::Count, "TLS handshakes by their outcome");
    describe_counter!(
        PROXY_ERRORS,
        Unit::Count,
        "Connections of PROXY peers without a header that can be read"
    );
    describe_counter!(AUTHENTICATIONS, Unit::Count, "Exchanges of AUTH by their outcome");
    describe_histogram!(MESSAGE_SIZE, Unit::Bytes, "Content of accepted messages");
}

pub(crate) fn proxy_refused() {
    metrics::counter!(PROXY_ERRORS).increment(1);
}

pub(crate) fn transaction(outcome: Outcome) {
    metrics::counter!(TRANSACTIONS, "outcome" => outcome.name()).increment(1);
}

pub(crate) fn authentication(mechanism: Mechanism, outcome: AuthOutcome) {
    let labels = [("mechanism", mechanism.name()), ("outcome", outcome.name())];
    metrics::counter!(AUTHENTICATIONS, &labels).increment(1);
}

/// `Ok` is the version.
pub(crate) fn handshake(outcome: Result<&'static str, &'static str>) {
    let (outcome, version) = match outcome {
        Ok(version) => ("completed", version),
        Err(outcome) => (outcome, "none"),
    };
    metrics::counter!(HANDSHAKES, "outcome" => outcome, "version" => version).increment(1);
}

pub(crate) fn message(size: usize) {
    // A histogram takes a float; sizes are exact in it up to 2^53.
    #[expect(clippy::cast_precision_loss, reason = "no message is that large")]
    metrics::histogram!(MESSAGE_SIZE).record(size as f64);
}

pub(crate) fn certificate_expires(at: SystemTime) {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    metrics::gauge!(CERTIFICATE_EXPIRY).set(since.as_secs_f64());
}

/// A connection, counted for as long as this lives.
#[derive(Debug)]
pub(crate) struct OpenConnection(());

impl OpenConnection {
    pub(crate) fn new() -> Self {
        metrics::gauge!(CONNECTIONS).increment(1.0);
        Self(())
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        metrics::gauge!(CONNECTIONS).decrement(1.0);
    }
}
