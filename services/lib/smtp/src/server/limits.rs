//! What a session is allowed to cost. Plain values; the shipped ones are the defaults.

use std::time::Duration;

use hikyaku_types::{domain::Domain, origin::Listener};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionConfig {
    /// The name in the reply to EHLO.
    pub hostname: String,
    /// What stands behind 220: a name, and text (RFC 5321 4.2).
    pub banner: String,
    pub listener: Listener,
    /// STARTTLS can be had.
    pub starttls: bool,
    /// REQUIRETLS is offered over TLS (RFC 8689).
    pub requiretls: bool,
    pub auth: AuthConfig,
    /// Completes a login without a domain (SEED-048).
    pub default_domain: Option<Domain>,
    /// Octets of content; 0 is no limit (SEED-138).
    pub max_message_size: u64,
    /// Accepted recipients in one transaction (SEED-139; RFC 5321 4.5.3.1.8 wants at least 100).
    pub max_recipients: usize,
    /// Commands that were answered with a syntax or sequence error before the client is cut off.
    pub max_errors: u32,
    /// Wrong credentials before the client is cut off (SEED-116).
    pub max_auth_failures: u32,
    /// Longest silence of a client (SEED-141; RFC 5321 4.5.3.2.7 wants at least five minutes).
    pub idle_timeout: Duration,
    /// Longest time from the greeting or from `MAIL` to the end of the content (SEED-141).
    pub transaction_timeout: Duration,
}

/// What of AUTH a listener offers (SEED-113).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AuthConfig {
    pub offered: bool,
    pub cram_md5: bool,
    pub scram: bool,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            hostname: "localhost".to_owned(),
            banner: "localhost ESMTP".to_owned(),
            listener: Listener::Relay,
            starttls: false,
            requiretls: true,
            auth: AuthConfig::default(),
            default_domain: None,
            max_message_size: 50 * 1024 * 1024,
            max_recipients: 1000,
            max_errors: 20,
            max_auth_failures: 5,
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
