//! Names, labels and descriptions of the metrics of this crate.

use hikyaku_measures::{Label, Measure, counter};

/// Lines that a sink did not take.
pub const LOST: &str = "mail.log.lost";

pub const ALL: &[Measure] = &[counter(
    LOST,
    &[Label { name: "sink", values: || vec!["stdout", "file", "stream", "webhook", "otlp"] }],
    "Lines of the mail log that a sink did not take",
)];

pub fn describe() {
    hikyaku_measures::describe(ALL);
}

/// `sink`: stdout, file, stream, webhook or otlp.
pub fn lost(sink: &'static str, lines: u64) {
    metrics::counter!(LOST, "sink" => sink).increment(lines);
}
