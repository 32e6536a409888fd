//! Names of the metrics of this crate.

use std::time::Instant;

use hikyaku_measures::{Label, Measure, seconds};

/// Histogram, seconds; attributes `decision` = accept, reject, defer, route and
/// `source` = remote, cache, fallback.
pub const DECISION_DURATION: &str = "mail.policy.decision.duration";

pub const ALL: &[Measure] = &[seconds(
    DECISION_DURATION,
    &[
        Label { name: "decision", values: || vec!["accept", "reject", "defer", "route"] },
        Label { name: "source", values: || vec!["remote", "cache", "fallback"] },
    ],
    "Time until a policy question was answered; source fallback: the service gave no answer",
)];

pub fn describe() {
    hikyaku_measures::describe(ALL);
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
    metrics::histogram!(DECISION_DURATION, "decision" => decision, "source" => source.name())
        .record(asked.elapsed());
}
