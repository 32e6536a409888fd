//! Names, labels and descriptions of the metrics of this crate.

use metrics::{Unit, counter, describe_counter};

/// Lines that a sink did not take.
pub const LOST: &str = "mail.log.lost";

pub fn describe() {
    describe_counter!(LOST, Unit::Count, "Lines of the mail log that a sink did not take");
}

/// `sink`: file or stream.
pub fn lost(sink: &'static str, lines: u64) {
    counter!(LOST, "sink" => sink).increment(lines);
}
