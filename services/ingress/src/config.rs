//! Limits and clocks of ingress. Plain values that need no check; the shipped ones are the
//! defaults.

use std::{num::NonZeroU32, time::Duration};

use hikyaku_smtp::server::{AuthConfig, SessionConfig};
use hikyaku_types::{domain::Domain, origin::Listener, traffic::Rate};
use ipnet::IpNet;

use crate::service::Service;

/// More than a person or a device sends.
const BULK_RATE: Rate = Rate { count: NonZeroU32::new(120).unwrap(), per: Duration::from_secs(60) };

#[derive(Debug, Clone)]
pub struct IngressConfig {
    /// The name of the cluster: in the banner, in Received and in X-Relay. All nodes share it,
    /// so that loops through any of them are seen.
    pub hostname: Domain,
    /// Load balancers: they begin each connection with a PROXY header.
    pub proxy_from: Vec<IpNet>,
    /// Proxies and filters that may say who is behind them (XCLIENT).
    pub xclient_from: Vec<IpNet>,
    /// REQUIRETLS is offered over TLS (RFC 8689).
    pub requiretls: bool,
    /// Octets of content; 0 is no limit (SEED-138).
    pub max_message_bytes: u64,
    /// Octets of content of all connections that may be in memory; 0 is no limit.
    pub max_content_memory_bytes: u64,
    /// Recipients of one transaction (SEED-139).
    pub max_recipients: usize,
    /// Connections of this node (SEED-140).
    pub max_connections: usize,
    /// Connections of one client address; clients that may relay are exempt (SEED-140).
    pub max_connections_per_client: usize,
    /// From the connection to the greeting on port 25 (SEED-101); zero is at once.
    pub greet_pause: Duration,
    /// Before each answer to a wrong password, and to a refused recipient when there were many.
    pub tarpit: Duration,
    /// Protocol errors of one session.
    pub max_errors: u32,
    /// AUTH on port 25, where it is not required (SEED-114).
    pub auth_on_relay: bool,
    /// CRAM-MD5 (SEED-113).
    pub cram_md5: bool,
    /// Off where passwords are known to others only, who cannot take part in it (LDAP).
    pub scram: bool,
    /// Received fields do not say from where an authenticated client sent.
    pub hide_submission_client: bool,
    /// Received fields that a message may have when it comes in (SEED-137).
    pub max_received: usize,
    /// What a sender sends above this rate is bulk mail (SEED-180).
    pub bulk_rate: Rate,
    /// A transaction with more recipients is bulk mail (SEED-182).
    pub bulk_recipients: usize,
    /// Longest silence of a client (SEED-141).
    pub idle_timeout: Duration,
    /// Longest time for one transaction (SEED-141).
    pub session_timeout: Duration,
    /// Longest wait for a client to take a reply.
    pub write_timeout: Duration,
    /// How long running transactions may go on after shutdown was asked for.
    pub drain_timeout: Duration,
}

impl IngressConfig {
    pub fn new(hostname: Domain) -> Self {
        let session = SessionConfig::default();
        Self {
            hostname,
            proxy_from: Vec::new(),
            xclient_from: Vec::new(),
            requiretls: session.requiretls,
            max_message_bytes: session.max_message_size,
            max_content_memory_bytes: 1024 * 1024 * 1024,
            max_recipients: session.max_recipients,
            max_connections: 500,
            max_connections_per_client: 20,
            greet_pause: Duration::ZERO,
            tarpit: Duration::from_secs(1),
            max_errors: session.max_errors,
            auth_on_relay: true,
            cram_md5: false,
            scram: true,
            hide_submission_client: false,
            max_received: 100,
            bulk_rate: BULK_RATE,
            bulk_recipients: 50,
            idle_timeout: session.idle_timeout,
            session_timeout: session.transaction_timeout,
            write_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(20),
        }
    }

    /// `has_tls`: there are certificates.
    pub(crate) fn session(&self, service: &Service, has_tls: bool) -> SessionConfig {
        let offers_auth = match service.listener {
            Listener::Submission => true,
            // Without TLS there is no password that may be sent, so nobody is tempted to.
            Listener::Relay => self.auth_on_relay && (has_tls || self.cram_md5),
        };
        SessionConfig {
            hostname: self.hostname.to_string(),
            banner: service.banner.clone().unwrap_or_else(|| format!("{} ESMTP", self.hostname)),
            listener: service.listener,
            starttls: has_tls,
            requiretls: self.requiretls,
            auth: AuthConfig { offered: offers_auth, cram_md5: self.cram_md5, scram: self.scram },
            default_domain: service.default_domain.clone(),
            max_auth_failures: SessionConfig::default().max_auth_failures,
            max_message_size: self.max_message_bytes,
            max_recipients: self.max_recipients,
            max_errors: self.max_errors,
            idle_timeout: self.idle_timeout,
            transaction_timeout: self.session_timeout,
        }
    }
}
