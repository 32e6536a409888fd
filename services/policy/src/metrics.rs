//! Names of the metrics of this service.

use std::time::Duration;

use hikyaku_measures::{Label, Measure, counter, gauge, seconds};
use hikyaku_queue::recipients::Existence;

use crate::rules::decision::RecipientSource;

/// Gauge: version of the directory that is in force in this process.
pub const DIRECTORY_VERSION: &str = "mail.policy.directory.version";
/// Histogram, seconds: reading, checking and swapping a version.
pub const DIRECTORY_LOAD_DURATION: &str = "mail.policy.directory.load.duration";
/// Counter: versions in the store that have errors and were not brought into force.
pub const DIRECTORY_REJECTED: &str = "mail.policy.directory.rejected";

/// Counter: logins by `outcome`: accepted, refused, locked, unavailable.
pub const AUTHENTICATIONS: &str = "mail.policy.authentications";

/// Counter: recipients whose answer comes from somebody else, asked now or before, by `source` (next_hop, ldap) and `result`
/// (exists, unknown, unclear).
pub const RECIPIENTS: &str = "mail.policy.recipients";

pub const ALL: &[Measure] = &[
    counter(
        RECIPIENTS,
        &[
            Label { name: "source", values: || vec!["next_hop", "ldap"] },
            Label { name: "result", values: || vec!["exists", "unknown", "unclear"] },
        ],
        "Recipients whose answer comes from somebody else, asked now or before",
    ),
    counter(
        AUTHENTICATIONS,
        &[Label { name: "outcome", values: || vec!["accepted", "refused", "locked", "unavailable"] }],
        "Logins by outcome",
    ),
    gauge(DIRECTORY_VERSION, &[], "Version of the directory that is in force in this process"),
    seconds(DIRECTORY_LOAD_DURATION, &[], "Time to read, check and swap a version"),
    counter(
        DIRECTORY_REJECTED,
        &[],
        "Versions in the store that have errors and were not brought into force",
    ),
];

pub fn describe() {
    hikyaku_measures::describe(ALL);
}

pub(crate) fn version_loaded(version: u64, elapsed: Duration) {
    // A version is a count of commits; it does not reach the 2^53 at which a float loses ones.
    metrics::gauge!(DIRECTORY_VERSION).set(version as f64);
    metrics::histogram!(DIRECTORY_LOAD_DURATION).record(elapsed);
}

pub(crate) fn authentication(outcome: &'static str) {
    metrics::counter!(AUTHENTICATIONS, "outcome" => outcome).increment(1);
}

pub(crate) fn recipient(source: &RecipientSource, existence: &Existence) {
    let source = match source {
        RecipientSource::NextHop => "next_hop",
        RecipientSource::Ldap(_) => "ldap",
    };
    metrics::counter!(RECIPIENTS, "source" => source, "result" => existence.name()).increment(1);
}

pub(crate) fn version_rejected() {
    metrics::counter!(DIRECTORY_REJECTED).increment(1);
}
