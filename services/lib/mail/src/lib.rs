//! Message level: what the relay reads and writes of a message. No I/O, no clock.

pub mod date; // RFC 5322 dates
pub mod dsn; // delivery reports
