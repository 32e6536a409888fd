//! What a session is allowed to cost. Plain values; the shipped ones are the defaults.

use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionConfig {
    /// The name in the banner and in the reply to EHLO.
    pub hostname: String,
    /// Octets of content; 0 is no limit (SEED-138).
    pub max_message_size: u64,
    /// Accepted recipients in one transaction (SEED-139; RFC 5321 4.5.3.1.8 wants at least 100).
    pub max_recipients: usize,
    /// Commands that were answered with a syntax or sequence error before the client is cut off.
    pub max_errors: u32,
    /// Longest silence of a client (SEED-141; RFC 5321 4.5.3.2.7 wants at least five minutes).
    pub idle_timeout: Duration,
    /// Longest time from the greeting or from `MAIL` to the end of the content (SEED-141).
    pub transaction_timeout: Duration,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            hostname: "localhost".to_owned(),
            max_message_size: 50 * 1024 * 1024,
            max_recipients: 1000,
            max_errors: 20,
            idle_timeout: Duration::from_secs(300),
            transaction_timeout: Duration::from_secs(30 * 60),
        }
    }
}

impl SessionConfig {
    /// The size limit as a number to compare with.
    pub(crate) fn size_limit(&self) -> u64 {
        if self.max_message_size == 0 { u64::MAX } else { self.max_message_size }
    }
}
