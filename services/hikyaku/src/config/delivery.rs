//! What goes out, and over how many connections.

use std::{collections::BTreeMap, time::Duration};

use hikyaku_delivery::config::{DeliveryConfig, DigestConfig};
use hikyaku_types::{domain::Domain, schedule::MAX_GIVE_UP};
use serde::Deserialize;

use super::Problems;

mod retry; // the clocks
mod next_hops; // TLS with them, and who we are there

use next_hops::{RawNextHopLogin, RawNextHopTls};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawDelivery {
    mx_port: Option<u16>,
    mta_sts: Option<bool>,
    mta_sts_port: Option<u16>,
    max_connections: Option<usize>,
    max_openings: Option<usize>,
    max_connections_per_destination: Option<usize>,
    messages_per_connection: Option<u32>,
    idle_timeout_seconds: Option<u64>,
    connect_timeout_seconds: Option<u64>,
    retry_base_seconds: Option<u64>,
    retry_cap_seconds: Option<u64>,
    retry_backoff: Option<String>,
    retry_jitter: Option<f64>,
    retry_5xx: Option<u32>,
    give_up_temp_seconds: Option<u64>,
    give_up_noreply_seconds: Option<u64>,
    routed_give_up_seconds: Option<u64>,
    delay_notice_after_seconds: Option<u64>,
    failure_digest_to: Option<String>,
    failure_digest_minutes: Option<u64>,
    retry_clock_rate: Option<u32>,
    tls: RawNextHopTls,
    logins: BTreeMap<String, RawNextHopLogin>,
}

pub(super) fn check(raw: RawDelivery, hostname: Domain, problems: &mut Problems) -> DeliveryConfig {
    let mut config = DeliveryConfig::new(hostname);
    let p = problems;
    config.mx_port = p.within("delivery.mx_port", raw.mx_port, config.mx_port, 1..=u16::MAX);
    config.mta_sts = raw.mta_sts.unwrap_or(config.mta_sts);
    config.mta_sts_port =
        p.within("delivery.mta_sts_port", raw.mta_sts_port, config.mta_sts_port, 1..=u16::MAX);
    config.max_connections =
        p.within("delivery.max_connections", raw.max_connections, config.max_connections, 1..=100_000);
    config.max_openings =
        p.within("delivery.max_openings", raw.max_openings, config.max_openings, 1..=100_000);
    config.max_connections_per_destination = p.within(
        "delivery.max_connections_per_destination",
        raw.max_connections_per_destination,
        config.max_connections_per_destination,
        1..=10_000,
    );
    config.messages_per_connection = p.within(
        "delivery.messages_per_connection",
        raw.messages_per_connection,
        config.messages_per_connection,
        1..=100_000,
    );
    config.idle_timeout =
        p.seconds("delivery.idle_timeout_seconds", raw.idle_timeout_seconds, config.idle_timeout, (0, 300));
    config.connect_timeout = p.seconds(
        "delivery.connect_timeout_seconds",
        raw.connect_timeout_seconds,
        config.connect_timeout,
        (1, 1_200),
    );
    let notice = p.seconds(
        "delivery.delay_notice_after_seconds",
        raw.delay_notice_after_seconds,
        config.delay_notice_after.unwrap_or_default(),
        (0, MAX_GIVE_UP.as_secs()),
    );
    config.delay_notice_after = Some(notice).filter(|notice| !notice.is_zero());
    let minutes = p.within("delivery.failure_digest_minutes", raw.failure_digest_minutes, 60, 5..=1_440);
    let to = raw.failure_digest_to.as_deref().and_then(|to| p.parse("delivery.failure_digest_to", to));
    config.digest = to.map(|to| DigestConfig { to, every: Duration::from_secs(minutes * 60) });
    config.retry = retry::check(&raw, &config.retry, p);
    config.tls = next_hops::tls(raw.tls, &config.tls, p);
    config.logins = next_hops::logins(raw.logins, p);
    config
}
