//! Metric names of this crate.

use hikyaku_measures::{Label, Measure, counter, gauge, seconds};
use metrics::Unit;

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

/// Batches of the mail log that the webhook has not taken.
pub const WEBHOOK_WAITING: &str = "mail.log.webhook.waiting";
/// How long ago the oldest of them was written.
pub const WEBHOOK_AGE: &str = "mail.log.webhook.oldest.age";

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
    gauge(
        WEBHOOK_WAITING,
        &[],
        "Batches of the mail log that the webhook has not taken; all workers show the same, where there is one",
    ),
    gauge(WEBHOOK_AGE, &[], "How long ago the oldest batch was written that the webhook has not taken")
        .of(Unit::Seconds),
];

pub fn describe() {
    hikyaku_measures::describe(ALL);
}
