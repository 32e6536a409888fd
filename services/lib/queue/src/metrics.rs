//! Metric names of this crate.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

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

pub fn describe() {
    describe_histogram!(
        OPERATION_DURATION,
        Unit::Seconds,
        "Time from publish to the acknowledgement of the stream"
    );
    describe_gauge!(DURABLE, "1 when every broker syncs each write before it acknowledges");
    describe_counter!(REPEATED, Unit::Count, "Publishes repeated because no acknowledgement came in time");
    describe_counter!(
        CUSTODY_LATE,
        Unit::Count,
        "Custody events whose mail went on before they were written"
    );
    describe_counter!(CUSTODY_LOST, Unit::Count, "Custody events that were never written");
}
