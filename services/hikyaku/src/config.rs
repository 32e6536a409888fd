//! File < environment < flags -> [`Raw`] (everything optional, unknown keys refused) ->
//! [`Config`] (nothing left to check). All problems are told at once.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use figment::{
    Figment,
    providers::{Env, Format as _, Serialized, Toml},
};
use hikyaku_delivery::config::DeliveryConfig;
use hikyaku_ingress::{config::IngressConfig, service::TlsStart};
use hikyaku_policy::{LdapConfig, OwnDomain};
use hikyaku_queue::topology::TopologyConfig;
use hikyaku_route::resolver::ResolverSettings;
use hikyaku_runtime::{
    metrics::Shown,
    telemetry::{LogFormat, TelemetryConfig},
    tls::TlsConfig,
};
use hikyaku_types::{domain::Domain, shard::ShardCount};
use ipnet::IpNet;
use serde::Deserialize;

use crate::cli::{Flags, Role};

pub(crate) mod broker; // where the queue is
pub(crate) mod grpc; // who may call
pub(crate) mod listeners; // where mail comes in
mod dns; // whom we ask for names
mod ingress; // what is taken in
mod delivery; // what goes out
mod traces; // spans for a collector
mod ldap; // a company's directories
pub(crate) mod mail_log; // what becomes of each message, for people

use broker::{Broker, RawBroker, RawLogin, RawNatsTls};
use delivery::RawDelivery;
use grpc::{GrpcConfig, RawGrpc};
use ingress::RawIngress;
use ldap::RawLdap;
use listeners::{Place, RawAuth, RawTls};
use mail_log::{MailLogConfig, RawMailLog};
use traces::RawTraces;

const DEFAULT_SHARDS: u16 = 16;

/// What a file, the environment and flags may say. The manual is services/hikyaku/config/hikyaku.toml.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    hostname: Option<String>,
    node: Option<String>,
    data_dir: Option<PathBuf>,
    smtp: Vec<String>,
    submission: Vec<String>,
    submissions: Vec<String>,
    dns: Vec<String>,
    dnssec: Option<bool>,
    dnssec_anchors: Option<PathBuf>,
    relay_from: Vec<String>,
    own_domain: Vec<String>,
    nats: Option<String>,
    nats_server: Option<PathBuf>,
    nats_login: Option<RawLogin>,
    nats_system_login: Option<RawLogin>,
    nats_tls: Option<RawNatsTls>,
    shards: Option<u16>,
    replicas: Option<usize>,
    policy: Option<String>,
    policy_listen: Option<String>,
    admin_listen: Option<String>,
    metrics: Option<String>,
    log: Option<String>,
    log_filter: Option<String>,
    otlp_endpoint: Option<String>,
    otlp_ca: Option<PathBuf>,
    otlp_headers_file: Option<PathBuf>,
    otlp_timeout_seconds: Option<u64>,
    trace_sample_ratio: Option<f64>,
    trace_rate: Option<String>,
    mail_log: RawMailLog,
    trace_queue_spans: Option<usize>,
    trace_batch_spans: Option<usize>,
    grpc: RawGrpc,
    ldap: BTreeMap<String, RawLdap>,
    tls: RawTls,
    auth: RawAuth,
    ingress: RawIngress,
    delivery: RawDelivery,
}

#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) data_dir: PathBuf,
    /// Where mail comes in.
    pub(crate) places: Vec<Place>,
    pub(crate) tls: Option<TlsConfig>,
    pub(crate) dns: ResolverSettings,
    pub(crate) relay_from: Vec<IpNet>,
    pub(crate) own_domains: Vec<OwnDomain>,
    pub(crate) nats: Broker,
    pub(crate) topology: TopologyConfig,
    pub(crate) grpc: GrpcConfig,
    pub(crate) ldap: Vec<LdapConfig>,
    pub(crate) policy_listen: SocketAddr,
    pub(crate) admin_listen: SocketAddr,
    pub(crate) metrics: Option<SocketAddr>,
    pub(crate) telemetry: TelemetryConfig,
    pub(crate) mail_log: MailLogConfig,
    pub(crate) ingress: IngressConfig,
    pub(crate) delivery: DeliveryConfig,
}

impl Config {
    /// What this process shows to brokers and to other roles.
    pub(crate) fn shown_certificates(&self) -> Vec<Shown> {
        let listens = self.grpc.guard.tls.as_ref().map(|tls| &tls.identity);
        let asks = self.grpc.client.tls.as_ref().and_then(|tls| tls.identity.as_ref());
        let grpc = listens.or(asks).map(|identity| ("grpc", identity.certificate.clone()));
        let broker = match &self.nats {
            Broker::Given(nats) => nats.tls.as_ref().and_then(|tls| tls.identity.as_ref()),
            Broker::Embedded(_) => None,
        };
        grpc.into_iter().chain(broker.map(|(certificate, _)| ("broker", certificate.clone()))).collect()
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("invalid configuration: {0}")]
    Read(#[from] Box<figment::Error>),
    #[error("invalid configuration:\n  - {}", .0.join("\n  - "))]
    Problems(Vec<String>),
}

pub(crate) fn load(role: Role, flags: Flags) -> Result<Config, ConfigError> {
    let mut figment = Figment::new();
    if let Some(file) = &flags.config {
        figment = figment.merge(Toml::file_exact(file));
    }
    let figment = figment.merge(Env::prefixed("HIKYAKU__").split("__")).merge(Serialized::defaults(&flags));
    check(role, figment.extract().map_err(Box::new)?)
}

/// Collects problems, so that all are told at once.
#[derive(Default)]
struct Problems(Vec<String>);

impl Problems {
    fn note(&mut self, key: &str, value: impl std::fmt::Debug, reason: impl std::fmt::Display) {
        self.0.push(format!("{key}: {value:?}: {reason}"));
    }

    fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(&mut self, key: &str, text: &str) -> Option<T> {
        text.parse().map_err(|error| self.note(key, text, error)).ok()
    }

    fn parse_all<T: std::str::FromStr<Err: std::fmt::Display>>(
        &mut self,
        key: &str,
        texts: &[String],
    ) -> Vec<T> {
        texts.iter().filter_map(|text| self.parse(key, text)).collect()
    }

    /// A number within limits, or the default.
    fn within<T: PartialOrd + Copy + std::fmt::Debug>(
        &mut self,
        key: &str,
        value: Option<T>,
        default: T,
        range: std::ops::RangeInclusive<T>,
    ) -> T {
        let Some(value) = value else { return default };
        if !range.contains(&value) {
            self.note(key, value, format!("not within {:?} to {:?}", range.start(), range.end()));
        }
        value
    }

    fn seconds(&mut self, key: &str, value: Option<u64>, default: Duration, limits: (u64, u64)) -> Duration {
        Duration::from_secs(self.within(key, value, default.as_secs(), limits.0..=limits.1))
    }
}

fn check(role: Role, raw: Raw) -> Result<Config, ConfigError> {
    let mut problems = Problems::default();
    let hostname = hostname(raw.hostname.as_deref(), &mut problems);
    let tls = listeners::tls(raw.tls, &mut problems);
    let mut places = listeners::relay(&raw.smtp, &mut problems);
    for (key, start, texts) in [
        ("submission", TlsStart::OnRequest, &raw.submission),
        ("submissions", TlsStart::AtOnce, &raw.submissions),
    ] {
        places.extend(listeners::submission(key, start, texts, tls.is_some(), &mut problems));
    }
    listeners::greet(&mut places, &raw.ingress.banners, &mut problems);
    let address = |text: Option<String>, key, default: [u8; 4], port, problems: &mut Problems| match text {
        Some(text) => problems.parse(key, &text),
        None => Some(SocketAddr::from((default, port))),
    };
    let policy_listen = address(raw.policy_listen, "policy_listen", [127, 0, 0, 1], 7002, &mut problems);
    let admin_listen = address(raw.admin_listen, "admin_listen", [127, 0, 0, 1], 7003, &mut problems);
    let metrics = raw.metrics.and_then(|text| problems.parse("metrics", &text));
    let relay_from =
        raw.relay_from.iter().filter_map(|text| network("relay_from", text, &mut problems)).collect();
    let own_domains = raw.own_domain.iter().filter_map(|text| own_domain(text, &mut problems)).collect();
    let shards = ShardCount::new(raw.shards.unwrap_or(DEFAULT_SHARDS));
    if shards.is_none() {
        problems.note("shards", raw.shards, format!("not within 1 to {}", ShardCount::MAX));
    }
    let replicas = raw.replicas.unwrap_or(1);
    if ![1, 3, 5].contains(&replicas) {
        problems.note("replicas", replicas, "not 1, 3 or 5");
    }
    let nats = RawBroker {
        url: raw.nats,
        program: raw.nats_server,
        login: raw.nats_login,
        system_login: raw.nats_system_login,
        tls: raw.nats_tls,
    };
    let nats = broker::check(nats, &mut problems);
    let mail_log = mail_log::check(raw.mail_log, raw.otlp_endpoint.is_some(), &mut problems);
    let node = raw.node.or_else(machine_name);
    let raw_traces = RawTraces {
        otlp_endpoint: raw.otlp_endpoint,
        otlp_ca: raw.otlp_ca,
        otlp_headers_file: raw.otlp_headers_file,
        otlp_timeout_seconds: raw.otlp_timeout_seconds,
        trace_sample_ratio: raw.trace_sample_ratio,
        trace_rate: raw.trace_rate,
        trace_queue_spans: raw.trace_queue_spans,
        trace_batch_spans: raw.trace_batch_spans,
    };
    let telemetry = TelemetryConfig {
        log_format: match raw.log.as_deref() {
            None | Some("text") => LogFormat::Text,
            Some("json") => LogFormat::Json,
            Some(other) => {
                problems.note("log", other, "not text or json");
                LogFormat::Text
            }
        },
        log_filter: raw.log_filter.unwrap_or_else(|| "info,async_nats=warn".to_owned()),
        traces: traces::check(raw_traces, role, node.as_deref().unwrap_or("hikyaku"), &mut problems),
    };
    let (Some(hostname), Some(policy_listen), Some(admin_listen), Some(shards)) =
        (hostname, policy_listen, admin_listen, shards)
    else {
        return Err(ConfigError::Problems(problems.0));
    };
    let around = grpc::Surroundings { role, policy: raw.policy.as_deref(), policy_listen, admin_listen };
    let grpc = grpc::check(raw.grpc, &around, &mut problems);
    let ldap = ldap::check(raw.ldap, &mut problems);
    let dns = dns::check(&raw.dns, raw.dnssec, raw.dnssec_anchors, hostname.clone(), &mut problems);
    let ingress = ingress::check(raw.ingress, &raw.auth, hostname.clone(), &mut problems);
    let mut delivery = delivery::check(raw.delivery, hostname, &mut problems);
    if let Some(node) = node {
        delivery.node = node;
    }
    if !problems.0.is_empty() {
        return Err(ConfigError::Problems(problems.0));
    }
    Ok(Config {
        data_dir: raw.data_dir.unwrap_or_else(|| PathBuf::from("hikyaku-data")),
        places,
        tls,
        dns,
        relay_from,
        own_domains,
        nats,
        topology: TopologyConfig { shards, replicas, mail_log: mail_log.kept },
        grpc,
        ldap,
        policy_listen,
        admin_listen,
        metrics,
        telemetry,
        mail_log,
        ingress,
        delivery,
    })
}

/// The name of the machine, unless another is given. It stands in trace fields all over the
/// world, so it must be a full name; `localhost` is for trying things out.
fn machine_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

fn hostname(given: Option<&str>, problems: &mut Problems) -> Option<Domain> {
    match given {
        Some(name) => problems.parse("hostname", name),
        None => {
            let name = machine_name().unwrap_or_default();
            name.parse().ok().or_else(|| problems.parse("hostname", "localhost"))
        }
    }
}

fn network(key: &str, text: &str, problems: &mut Problems) -> Option<IpNet> {
    match text.parse::<IpAddr>() {
        Ok(address) => Some(address.into()),
        Err(_) => problems.parse(key, text),
    }
}

/// A certificate and its key, both or neither.
fn pair(
    section: &str,
    certificate: Option<&PathBuf>,
    key: Option<&PathBuf>,
    problems: &mut Problems,
) -> Option<(PathBuf, PathBuf)> {
    match (certificate, key) {
        (Some(certificate), Some(key)) => return Some((certificate.clone(), key.clone())),
        (Some(certificate), None) => {
            problems.note(
                &format!("{section}.certificate"),
                certificate,
                format!("{section}.key is missing"),
            );
        }
        (None, Some(key)) => {
            problems.note(&format!("{section}.key"), key, format!("{section}.certificate is missing"));
        }
        (None, None) => {}
    }
    None
}

fn own_domain(text: &str, problems: &mut Problems) -> Option<OwnDomain> {
    let parsed = text.split_once('=').and_then(|(domain, hop)| {
        let (host, port) = hop.rsplit_once(':')?;
        let port = port.parse().ok().filter(|port| *port > 0)?;
        Some(OwnDomain { domain: domain.parse().ok()?, host: host.parse().ok()?, port })
    });
    if parsed.is_none() {
        problems.note("own_domain", text, "not DOMAIN=HOST:PORT");
    }
    parsed
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
