//! How long each step of a session may take (RFC 5321 4.5.3.2).

use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientConfig {
    /// What we call ourselves in EHLO.
    pub helo_name: String,
    pub timeouts: Timeouts,
}

/// From the end of our write, or of the reply before, to the end of the next reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    pub greeting: Duration,
    /// EHLO, HELO and RSET.
    pub hello: Duration,
    pub mail: Duration,
    pub rcpt: Duration,
    pub data: Duration,
    /// One [`Action::Write`](super::Action::Write) of content.
    pub block: Duration,
    pub final_dot: Duration,
    /// Politeness is not waited for long.
    pub quit: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            greeting: Duration::from_secs(300),
            hello: Duration::from_secs(300),
            mail: Duration::from_secs(300),
            rcpt: Duration::from_secs(300),
            data: Duration::from_secs(120),
            block: Duration::from_secs(180),
            final_dot: Duration::from_secs(600),
            quit: Duration::from_secs(5),
        }
    }
}
