//! Metric names of this crate.

use hikyaku_measures::{Label, Measure, counter, gauge, seconds};

/// Time from publish to the stream's acknowledgement.
pub const OPERATION_DURATION: &str = "messaging.client.operation.duration";
/// 1 when every broker syncs each write, else 0.
pub const DURABLE: &str = "mail.queue.durable";
/// Publishes that were repeated because no acknowledgement came.
pub const REPEATED: &str = "mail.queue.publish.repeated";
/// Custody events whose mail went on before they were written.
pub const CUSTODY_LATE: &str = "mail.custody.late";
/// Custody events that were never written: an audit misses them.
pub const CUSTODY_LOST: &str = "mail.custody.lost";

/// Values of `messaging.operation.name`.
pub(crate) mod operation {
    pub(crate) const ACCEPT: &str = "accept";
    pub(crate) const SCHEDULE: &str = "schedule";
    pub(crate) const BODY: &str = "body";
    pub(crate) const CUSTODY: &str = "custody";
}

pub const ALL: &[Measure] = &[
    seconds(
        OPERATION_DURATION,
        &[Label {
            name: "messaging.operation.name",
            values: || vec!["accept", "schedule", "body", "custody"],
        }],
        "Time from a publish to the acknowledgement of its stream",
    ),
    gauge(DURABLE, &[], "1 when every broker syncs each write before it acknowledges, or 0"),
    counter(
        REPEATED,
        &[Label { name: "messaging.operation.name", values: || vec!["accept", "schedule", "body"] }],
        "Publishes repeated because no acknowledgement came in time",
    ),
    counter(CUSTODY_LATE, &[], "Custody events whose mail went on before they were written"),
    counter(CUSTODY_LOST, &[], "Custody events that were never written: an audit misses them"),
];

pub fn describe() {
    hikyaku_measures::describe(ALL);
}
