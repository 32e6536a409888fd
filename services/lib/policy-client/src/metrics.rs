//! Names of the metrics of this crate.

use std::time::Instant;

use metrics::{Unit, describe_histogram, histogram};

/// Histogram, seconds; attributes `decision` = accept, reject, defer, route and
/// `source` = remote, cache, fallback.
pub const DECISION_DURATION: &str = "mail.policy.decision.duration";

pub fn describe() {
    describe_histogram!(
        DECISION_DURATION,
        Unit::Seconds,
        "Time until a policy question was answered; source fallback: the service gave no answer"
    );
}

/// Where an answer came from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source {
    Remote,
    Cache,
    Fallback,
}

impl Source {
    const fn name(self) -> &'static str {
        match self {
            Self::Remote => "remote",
            Self::Cache => "cache",
            Self::Fallback => "fallback",
        }
    }
}

pub(crate) fn record(decision: &'static str, source: Source, asked: Instant) {
    histogram!(DECISION_DURATION, "decision" => decision, "source" => source.name()).record(asked.elapsed());
}
