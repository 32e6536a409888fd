//! Times as text in headers and records: RFC 3339.

use std::time::SystemTime;

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

pub(crate) fn read(text: &str) -> Option<SystemTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok().map(SystemTime::from)
}

/// `None` only for a year beyond 9999.
pub(crate) fn write(time: SystemTime) -> Option<String> {
    OffsetDateTime::from(time).format(&Rfc3339).ok()
}
