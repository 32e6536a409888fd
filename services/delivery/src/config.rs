//! Limits and clocks of delivery.

use std::{collections::HashMap, path::PathBuf, time::Duration};

use hikyaku_queue::topology::LANE_CAPACITY;
use hikyaku_runtime::tls::{TlsClientConfig, TlsVersion};
use hikyaku_smtp::client::Mechanism;
use hikyaku_types::{
    address::Mailbox,
    destination::{Destination, HTTPS_PORT, SMTP_PORT},
    domain::Domain,
    schedule::RetrySchedule,
    traffic::LoginName,
};

#[derive(Debug, Clone)]
pub struct DeliveryConfig {
    /// Name of this machine or pod among the workers.
    pub node: String,
    /// Our name in EHLO, in reports and in MX records.
    pub hostname: Domain,
    /// Port of hosts that were found by MX. Another than 25 is for trying things out.
    pub mx_port: u16,
    /// Sessions of this process, all destinations together (SEED-155).
    pub max_connections: usize,
    /// Connections of this process that wait for a greeting, beside those sessions.
    pub max_openings: usize,
    /// Sessions of one destination (SEED-155).
    pub max_connections_per_destination: usize,
    /// Messages over one session before it is closed.
    pub messages_per_connection: u32,
    /// A session without work is closed after this time.
    pub idle_timeout: Duration,
    /// SEED-154; the times of the dialogue are in the protocol's own table.
    pub connect_timeout: Duration,
    pub tls: TlsClientConfig,
    /// Domains are held to their MTA-STS policies (RFC 8461).
    pub mta_sts: bool,
    /// Where those are served. Another than 443 is for trying things out.
    pub mta_sts_port: u16,
    /// Who we are at hosts that the traffic rules name a login for (SEED-026).
    pub logins: HashMap<LoginName, LoginConfig>,
    /// Entries of one destination in memory; more are set aside in the queue.
    pub hold: usize,
    pub retry: RetryConfig,
    /// The sender is told that mail is late when an attempt fails so long after acceptance.
    pub delay_notice_after: Option<Duration>,
    /// Who hears of what failed, beside the senders.
    pub digest: Option<DigestConfig>,
    /// Time that running transactions have when the process drains.
    pub drain_timeout: Duration,
}

#[derive(Debug, Clone)]
pub struct LoginConfig {
    pub user: String,
    /// Its first line is the secret; read with each session.
    pub password_file: PathBuf,
    /// `None`: the strongest that the host offers for a password.
    pub mechanism: Option<Mechanism>,
}

#[derive(Debug, Clone)]
pub struct DigestConfig {
    pub to: Mailbox,
    /// Each worker sends one, if it has anything to tell.
    pub every: Duration,
}

/// Retry clocks by kind of destination.
#[derive(Debug, Clone)]
pub struct RetryConfig {
    /// Destinations found by MX.
    pub internet: RetrySchedule,
    /// Fixed next hops.
    pub routed: RetrySchedule,
}

impl DeliveryConfig {
    pub fn new(hostname: Domain) -> Self {
        Self {
            node: hostname.to_string(),
            hostname,
            mx_port: SMTP_PORT,
            max_connections: 500,
            max_openings: 5_000,
            max_connections_per_destination: 20,
            messages_per_connection: 100,
            idle_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(30),
            tls: TlsClientConfig {
                ca: None,
                min_version: TlsVersion::Tls12,
                handshake_timeout: Duration::from_secs(30),
            },
            mta_sts: true,
            mta_sts_port: HTTPS_PORT,
            logins: HashMap::new(),
            hold: usize::from(LANE_CAPACITY) / 2,
            retry: RetryConfig { internet: RetrySchedule::INTERNET, routed: RetrySchedule::ROUTED },
            delay_notice_after: Some(Duration::from_secs(4 * 3600)),
            digest: None,
            drain_timeout: Duration::from_secs(20),
        }
    }
}

impl RetryConfig {
    pub fn schedule(&self, destination: &Destination) -> &RetrySchedule {
        match destination {
            Destination::Mx(_) => &self.internet,
            Destination::Host { .. } => &self.routed,
        }
    }
}
