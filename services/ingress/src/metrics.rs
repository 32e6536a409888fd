//! Metric names of this crate.

use hikyaku_smtp::server::{AuthOutcome, Mechanism, Outcome};
use std::time::SystemTime;

use hikyaku_measures::{Label, Measure, bytes, counter, gauge};
use metrics::Unit;

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

/// What was refused, by the check that did it.
pub const REFUSALS: &str = "smtp.server.refusals";
/// What content takes, and may take.
pub const CONTENT_MEMORY: &str = "smtp.server.content.memory";

/// Checks by their names in the mail log.
const CHECKS: [&str; 34] = [
    "smtp.connections",
    "smtp.connections-per-client",
    "smtp.rate",
    "smtp.memory",
    "smtp.size",
    "smtp.recipients",
    "smtp.transactions",
    "smtp.errors",
    "smtp.idle",
    "smtp.transaction-time",
    "smtp.line-length",
    "smtp.auth-failures",
    "smtp.early-talker",
    "smtp.draining",
    "smtp.address",
    "smtp.auth-cancelled",
    "smtp.auth-login",
    "smtp.auth-mechanism",
    "smtp.auth-plaintext",
    "smtp.auth-required",
    "smtp.auth-syntax",
    "smtp.bare-newline",
    "smtp.fault",
    "smtp.listener",
    "smtp.not-implemented",
    "smtp.proxy-without-client",
    "smtp.sequence",
    "smtp.smtputf8",
    "smtp.syntax",
    "mail.loop",
    "mail.destinations",
    "queue",
    "policy-unavailable",
    "directory",
];

pub const ALL: &[Measure] = &[
    gauge(CONNECTIONS, &[], "Open connections of clients"),
    counter(
        TRANSACTIONS,
        &[Label { name: "outcome", values: || vec!["accepted", "rejected", "deferred", "aborted"] }],
        "Transactions by their outcome",
    ),
    counter(
        REFUSALS,
        &[Label { name: "check", values: || CHECKS.to_vec() }],
        "Connections, commands and messages that were refused or put off, by the check that did it: the mail log's \
         decided_by; directory: a line or rule of the directory",
    ),
    bytes(MESSAGE_SIZE, &[], "Content of accepted messages, as it came"),
    gauge(
        CONTENT_MEMORY,
        &[Label { name: "state", values: || vec!["used", "limit"] }],
        "Memory that the content of messages takes until it is stored, and what it may take",
    )
    .of(Unit::Bytes),
    counter(
        HANDSHAKES,
        &[
            Label { name: "outcome", values: || vec!["completed", "failed", "timed-out"] },
            Label { name: "version", values: || vec!["1.2", "1.3", "none"] },
        ],
        "TLS handshakes with clients",
    ),
    gauge(
        CERTIFICATE_EXPIRY,
        &[],
        "When the first of the certificates that clients are shown ends, since 1970",
    )
    .of(Unit::Seconds),
    counter(PROXY_ERRORS, &[], "Connections of PROXY peers without a header that can be read"),
    counter(
        AUTHENTICATIONS,
        &[
            Label { name: "mechanism", values: || vec!["plain", "login", "cram-md5", "scram-sha-256"] },
            Label { name: "outcome", values: || vec!["accepted", "refused", "deferred", "aborted"] },
        ],
        "Exchanges of AUTH by their outcome",
    ),
];

pub fn describe() {
    hikyaku_measures::describe(ALL);
}

/// `decided_by` is the name of a check or a line of the directory.
pub(crate) fn refused(decided_by: &str) {
    let known = CHECKS.iter().find(|check| **check == decided_by);
    let check = known.copied().unwrap_or("directory");
    metrics::counter!(REFUSALS, "check" => check).increment(1);
}

/// `None`: there is no limit.
#[expect(clippy::cast_precision_loss, reason = "no memory is that large")]
pub(crate) fn content_memory(used: usize, limit: Option<usize>) {
    metrics::gauge!(CONTENT_MEMORY, "state" => "used").set(used as f64);
    if let Some(limit) = limit {
        metrics::gauge!(CONTENT_MEMORY, "state" => "limit").set(limit as f64);
    }
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
