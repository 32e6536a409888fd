//! Dates as mail writes them (RFC 5322 3.3), always in UTC.

use std::time::SystemTime;

use time::{OffsetDateTime, format_description::well_known::Rfc2822};

/// What [`rfc5322`] writes, and other spellings of RFC 5322.
pub(crate) fn read(text: &str) -> Option<SystemTime> {
    OffsetDateTime::parse(text.trim(), &Rfc2822).ok().map(SystemTime::from)
}

pub fn rfc5322(at: SystemTime) -> String {
    // Years before 1900 cannot be written; no clock of a relay shows one.
    OffsetDateTime::from(at).format(&Rfc2822).unwrap_or_else(|_| "Thu, 01 Jan 1970 00:00:00 +0000".to_owned())
}
