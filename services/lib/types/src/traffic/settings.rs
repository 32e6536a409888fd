//! What a line sets. Each key may be absent; then a later line says it, or the configuration.

use super::{
    timeouts::TimeoutOverrides,
    value::{LoginName, PoolName, Rate, TlsLevel, write_time},
};
use crate::schedule::{Backoff, RetryOverrides};

/// The keys as they are written.
pub mod key {
    pub const CONNECTIONS: &str = "connections";
    pub const MESSAGES_PER_CONNECTION: &str = "messages_per_connection";
    pub const RATE: &str = "rate";
    pub const RECIPIENTS: &str = "recipients";
    pub const EGRESS: &str = "egress";
    pub const A_AFTER_MX_FAILURE: &str = "a_after_mx_failure";
    pub const SEVEN_BIT: &str = "seven_bit";
    pub const TLS: &str = "tls";
    pub const LOGIN: &str = "login";
    pub const TIMEOUT_CONNECT: &str = "timeout_connect";
    pub const TIMEOUT_GREETING: &str = "timeout_greeting";
    pub const TIMEOUT_COMMAND: &str = "timeout_command";
    pub const TIMEOUT_DATA: &str = "timeout_data";
    pub const TIMEOUT_BLOCK: &str = "timeout_block";
    pub const TIMEOUT_FINAL_DOT: &str = "timeout_final_dot";
    pub const TIMEOUT_MESSAGE: &str = "timeout_message";
    pub const RETRY_BASE: &str = "retry_base";
    pub const RETRY_CAP: &str = "retry_cap";
    pub const BACKOFF: &str = "backoff";
    pub const JITTER: &str = "jitter";
    pub const GIVE_UP_TEMP: &str = "give_up_temp";
    pub const GIVE_UP_NOREPLY: &str = "give_up_noreply";
    pub const RETRY_5XX: &str = "retry_5xx";
    pub const BULK: &str = "bulk";
    pub const SHARE: &str = "share";
}

pub trait Settings: Default {
    /// What is absent here is taken from `other`.
    #[must_use]
    fn or(self, other: &Self) -> Self;

    /// The keys that are set, with their values as they are written.
    fn written(&self) -> Vec<(&'static str, String)>;
}

/// For one destination.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DestinationTraffic {
    /// Sessions at once.
    pub connections: Option<u32>,
    pub messages_per_connection: Option<u32>,
    /// Messages.
    pub rate: Option<Rate>,
    /// Recipients in one transaction (SEED-156).
    pub recipients: Option<u32>,
    /// Addresses that its sessions come from.
    pub egress: Option<PoolName>,
    /// The address of the domain itself is tried behind its MX hosts (SEED-151).
    pub a_after_mx_failure: Option<bool>,
    /// For hosts without 8BITMIME or BINARYMIME what needs them is encoded (SEED-146).
    pub seven_bit: Option<bool>,
    /// With a login it is verified, whatever this says (SEED-026).
    pub tls: Option<TlsLevel>,
    /// Who we are at its hosts.
    pub login: Option<LoginName>,
    pub timeouts: TimeoutOverrides,
    pub retry: RetryOverrides,
}

/// What a `site` line sets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SiteTraffic {
    pub connections: Option<u32>,
    pub messages_per_connection: Option<u32>,
    pub rate: Option<Rate>,
    pub recipients: Option<u32>,
}

/// Destinations that share MX hosts, as one. `connections` and `rate` hold for all of them together
/// and beside those of each destination; the other two where the destination's lines say nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    pub name: String,
    pub connections: Option<u32>,
    pub messages_per_connection: Option<u32>,
    pub rate: Option<Rate>,
    pub recipients: Option<u32>,
}

/// What a `source` line sets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceSettings {
    pub rate: Option<Rate>,
    pub bulk: Option<bool>,
    pub share: Option<u32>,
}

/// For the mail of one source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceTraffic {
    /// Pattern of the line that sets the rate: all that fit it share the rate. Without a rate that of
    /// the line that decides first; empty when no line fits.
    pub name: String,
    /// Messages; what is above it goes to the bulk lane.
    pub rate: Option<Rate>,
    /// All of it goes to the bulk lane.
    pub bulk: bool,
    /// Per cent of the sessions that its mail may hold, in total and of one destination (SEED-180).
    pub share: Option<u32>,
}

impl Site {
    pub(super) fn new(name: String, traffic: SiteTraffic) -> Self {
        let SiteTraffic { connections, messages_per_connection, rate, recipients } = traffic;
        Self { name, connections, messages_per_connection, rate, recipients }
    }
}

impl SourceTraffic {
    pub(super) fn new(name: String, settings: &SourceSettings) -> Self {
        let SourceSettings { rate, bulk, share } = settings;
        Self { name, rate: *rate, bulk: bulk.unwrap_or(false), share: *share }
    }
}

fn written<const N: usize>(values: [(&'static str, Option<String>); N]) -> Vec<(&'static str, String)> {
    values.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

fn yes_or_no(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}

fn text(value: Option<impl ToString>) -> Option<String> {
    value.map(|value| value.to_string())
}

impl Settings for DestinationTraffic {
    fn or(self, other: &Self) -> Self {
        Self {
            connections: self.connections.or(other.connections),
            messages_per_connection: self.messages_per_connection.or(other.messages_per_connection),
            rate: self.rate.or(other.rate),
            recipients: self.recipients.or(other.recipients),
            egress: self.egress.or_else(|| other.egress.clone()),
            a_after_mx_failure: self.a_after_mx_failure.or(other.a_after_mx_failure),
            seven_bit: self.seven_bit.or(other.seven_bit),
            tls: self.tls.or(other.tls),
            login: self.login.or_else(|| other.login.clone()),
            timeouts: self.timeouts.or(&other.timeouts),
            retry: self.retry.or(&other.retry),
        }
    }

    fn written(&self) -> Vec<(&'static str, String)> {
        let mut all = written([
            (key::CONNECTIONS, text(self.connections)),
            (key::MESSAGES_PER_CONNECTION, text(self.messages_per_connection)),
            (key::RATE, text(self.rate)),
            (key::RECIPIENTS, text(self.recipients)),
            (key::EGRESS, text(self.egress.as_ref())),
            (key::A_AFTER_MX_FAILURE, self.a_after_mx_failure.map(yes_or_no)),
            (key::SEVEN_BIT, self.seven_bit.map(yes_or_no)),
            (key::TLS, text(self.tls)),
            (key::LOGIN, text(self.login.as_ref())),
        ]);
        all.extend(self.timeouts.written());
        all.extend(self.retry.written());
        all
    }
}

impl Settings for RetryOverrides {
    fn or(self, other: &Self) -> Self {
        Self {
            base: self.base.or(other.base),
            cap: self.cap.or(other.cap),
            backoff: self.backoff.or(other.backoff),
            jitter: self.jitter.or(other.jitter),
            give_up_temp: self.give_up_temp.or(other.give_up_temp),
            give_up_noreply: self.give_up_noreply.or(other.give_up_noreply),
            retry_5xx: self.retry_5xx.or(other.retry_5xx),
        }
    }

    fn written(&self) -> Vec<(&'static str, String)> {
        written([
            (key::RETRY_BASE, self.base.map(write_time)),
            (key::RETRY_CAP, self.cap.map(write_time)),
            (key::BACKOFF, text(self.backoff.map(Backoff::name))),
            (key::JITTER, text(self.jitter)),
            (key::GIVE_UP_TEMP, self.give_up_temp.map(write_time)),
            (key::GIVE_UP_NOREPLY, self.give_up_noreply.map(write_time)),
            (key::RETRY_5XX, text(self.retry_5xx)),
        ])
    }
}

impl Settings for SiteTraffic {
    fn or(self, other: &Self) -> Self {
        Self {
            connections: self.connections.or(other.connections),
            messages_per_connection: self.messages_per_connection.or(other.messages_per_connection),
            rate: self.rate.or(other.rate),
            recipients: self.recipients.or(other.recipients),
        }
    }

    fn written(&self) -> Vec<(&'static str, String)> {
        written([
            (key::CONNECTIONS, text(self.connections)),
            (key::MESSAGES_PER_CONNECTION, text(self.messages_per_connection)),
            (key::RATE, text(self.rate)),
            (key::RECIPIENTS, text(self.recipients)),
        ])
    }
}

impl Settings for SourceSettings {
    fn or(self, other: &Self) -> Self {
        Self {
            rate: self.rate.or(other.rate),
            bulk: self.bulk.or(other.bulk),
            share: self.share.or(other.share),
        }
    }

    fn written(&self) -> Vec<(&'static str, String)> {
        written([
            (key::RATE, text(self.rate)),
            (key::BULK, self.bulk.map(yes_or_no)),
            (key::SHARE, self.share.map(|share| format!("{share}%"))),
        ])
    }
}
