//! What is taken in, and from how many.

use std::collections::BTreeMap;

use hikyaku_ingress::config::IngressConfig;
use hikyaku_types::domain::Domain;
use ipnet::IpNet;
use serde::Deserialize;

use super::{Problems, listeners::RawAuth, network};

const PROXY: &str = "ingress.proxy_from";
const XCLIENT: &str = "ingress.xclient_from";

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawIngress {
    proxy_from: Vec<String>,
    xclient_from: Vec<String>,
    requiretls: Option<bool>,
    max_message_bytes: Option<u64>,
    max_content_memory_bytes: Option<u64>,
    max_recipients: Option<usize>,
    max_connections: Option<usize>,
    max_connections_per_client: Option<usize>,
    idle_timeout_seconds: Option<u64>,
    session_timeout_seconds: Option<u64>,
    greet_pause_seconds: Option<u64>,
    tarpit_seconds: Option<u64>,
    pub(super) banners: BTreeMap<String, String>,
    max_received: Option<usize>,
    hide_submission_client: Option<bool>,
    bulk_rate: Option<String>,
    bulk_recipients: Option<usize>,
}

pub(super) fn check(
    raw: RawIngress,
    auth: &RawAuth,
    hostname: Domain,
    problems: &mut Problems,
) -> IngressConfig {
    let mut config = IngressConfig::new(hostname);
    config.auth_on_relay = auth.on_relay.unwrap_or(config.auth_on_relay);
    config.scram = auth.scram.unwrap_or(config.scram);
    config.cram_md5 = auth.cram_md5.unwrap_or(config.cram_md5);
    config.hide_submission_client = raw.hide_submission_client.unwrap_or(config.hide_submission_client);
    config.proxy_from = raw.proxy_from.iter().filter_map(|text| named_peer(PROXY, text, problems)).collect();
    config.xclient_from =
        raw.xclient_from.iter().filter_map(|text| named_peer(XCLIENT, text, problems)).collect();
    config.requiretls = raw.requiretls.unwrap_or(config.requiretls);
    let p = problems;
    config.max_message_bytes =
        p.within("ingress.max_message_bytes", raw.max_message_bytes, config.max_message_bytes, 0..=u64::MAX);
    config.max_content_memory_bytes = p.within(
        "ingress.max_content_memory_bytes",
        raw.max_content_memory_bytes,
        config.max_content_memory_bytes,
        0..=u64::MAX,
    );
    if (1..config.max_message_bytes.saturating_mul(2)).contains(&config.max_content_memory_bytes) {
        let reason = "less than two of the largest messages (max_message_bytes) would not come in";
        p.note("ingress.max_content_memory_bytes", config.max_content_memory_bytes, reason);
    }
    // RFC 5321 4.5.3.1.8: at least 100 recipients.
    config.max_recipients =
        p.within("ingress.max_recipients", raw.max_recipients, config.max_recipients, 100..=100_000);
    config.max_connections =
        p.within("ingress.max_connections", raw.max_connections, config.max_connections, 1..=100_000);
    config.max_connections_per_client = p.within(
        "ingress.max_connections_per_client",
        raw.max_connections_per_client,
        config.max_connections_per_client,
        1..=100_000,
    );
    config.idle_timeout =
        p.seconds("ingress.idle_timeout_seconds", raw.idle_timeout_seconds, config.idle_timeout, (1, 3_600));
    config.session_timeout = p.seconds(
        "ingress.session_timeout_seconds",
        raw.session_timeout_seconds,
        config.session_timeout,
        (60, 86_400),
    );
    config.greet_pause =
        p.seconds("ingress.greet_pause_seconds", raw.greet_pause_seconds, config.greet_pause, (0, 60));
    config.tarpit = p.seconds("ingress.tarpit_seconds", raw.tarpit_seconds, config.tarpit, (0, 30));
    config.max_received = p.within("ingress.max_received", raw.max_received, config.max_received, 10..=1_000);
    if let Some(rate) = raw.bulk_rate.and_then(|text| p.parse("ingress.bulk_rate", &text)) {
        config.bulk_rate = rate;
    }
    config.bulk_recipients =
        p.within("ingress.bulk_recipients", raw.bulk_recipients, config.bulk_recipients, 1..=100_000);
    config
}

/// They say who their clients are, and are believed.
fn named_peer(key: &str, text: &str, problems: &mut Problems) -> Option<IpNet> {
    let network = network(key, text, problems)?;
    if network.prefix_len() == 0 {
        problems.note(key, text, "then everybody could say to be anybody");
        return None;
    }
    Some(network)
}
