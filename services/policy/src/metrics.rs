//! Names of the metrics of this service.

use std::time::Duration;

use hikyaku_queue::recipients::Existence;
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

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

pub fn describe() {
    describe_counter!(RECIPIENTS, "Recipients whose answer comes from somebody else, asked now or before");
    describe_counter!(AUTHENTICATIONS, "Logins by outcome");
    describe_gauge!(DIRECTORY_VERSION, "Version of the directory that is in force in this process");
    describe_histogram!(DIRECTORY_LOAD_DURATION, Unit::Seconds, "Time to read, check and swap a version");
    describe_counter!(
        DIRECTORY_REJECTED,
        "Versions in the store that have errors and were not brought into force"
    );
}

pub(crate) fn version_loaded(version: u64, elapsed: Duration) {
    // A version is a count of commits; it does not reach the 2^53 at which a float loses ones.
    gauge!(DIRECTORY_VERSION).set(version as f64);
    histogram!(DIRECTORY_LOAD_DURATION).record(elapsed);
}

pub(crate) fn authentication(outcome: &'static str) {
    counter!(AUTHENTICATIONS, "outcome" => outcome).increment(1);
}

pub(crate) fn recipient(source: &RecipientSource, existence: &Existence) {
    let source = match source {
        RecipientSource::NextHop => "next_hop",
        RecipientSource::Ldap(_) => "ldap",
    };
    counter!(RECIPIENTS, "source" => source, "result" => existence.name()).increment(1);
}

pub(crate) fn version_rejected() {
    counter!(DIRECTORY_REJECTED).increment(1);
}
