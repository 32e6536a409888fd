//! One list of resolvers for everything (SEED-150), with the DNS's own lifetimes, clamped
//! (SEED-153).

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use hickory_resolver::{
    TokioResolver,
    config::{NameServerConfig, ResolverConfig, ResolverOpts, ServerOrderingStrategy},
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::{
        dnssec::TrustAnchors,
        rr::{Name, RData, Record, RecordType},
    },
};
use hikyaku_types::{
    destination::{Destination, HostName},
    domain::Domain,
};

use crate::{
    answer::{Absence, proven},
    plan::{MxRecord, RouteError, order},
};

/// A dead resolver delays a look-up by less than this (SEED-150).
const QUERY_TIMEOUT: Duration = Duration::from_millis(1_900);
const POSITIVE_MIN: Duration = Duration::from_secs(60);
const POSITIVE_MAX: Duration = Duration::from_secs(24 * 3600);
const NEGATIVE_MAX: Duration = Duration::from_secs(15 * 60);
const CACHE_ENTRIES: u64 = 65_536;

#[derive(Debug, thiserror::Error)]
pub enum ResolverError {
    #[error("failed to read the system's resolver configuration; name resolvers with dns")]
    System(#[source] NetError),
    #[error("failed to read the trust anchors in {}", .0.display())]
    Anchors(PathBuf, #[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("{} has no DNSKEY record of the root or of another zone", .0.display())]
    NoAnchors(PathBuf),
    #[error("failed to set up the resolver")]
    Build(#[source] NetError),
}

#[derive(Debug, Clone)]
pub struct ResolverSettings {
    /// Empty: those of the system.
    pub servers: Vec<SocketAddr>,
    /// This relay's name in MX records.
    pub own_name: Domain,
    pub dnssec: Dnssec,
}

/// Whether answers are validated here. The servers must hand out signatures then.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Dnssec {
    #[default]
    Off,
    /// From the keys of the root that the program ships.
    Root,
    /// From the DNSKEY records in this file, in the form of a zone file.
    Anchors(PathBuf),
}

#[derive(Clone, Debug)]
pub struct Resolver {
    pub(crate) dns: TokioResolver,
    pub(crate) settings: Arc<ResolverSettings>,
}

impl Resolver {
    pub fn new(settings: impl Into<Arc<ResolverSettings>>) -> Result<Self, ResolverError> {
        let settings: Arc<ResolverSettings> = settings.into();
        let ResolverSettings { servers, dnssec, .. } = &*settings;
        let builder = if servers.is_empty() {
            TokioResolver::builder_tokio().map_err(ResolverError::System)?
        } else {
            let name_servers = servers.iter().map(name_server).collect();
            TokioResolver::builder_with_config(
                ResolverConfig::from_parts(None, Vec::new(), name_servers),
                TokioRuntimeProvider::default(),
            )
        };
        let builder = builder.with_options(options());
        let builder = match dnssec {
            Dnssec::Off => builder,
            Dnssec::Root => builder.with_trust_anchor(Arc::default()),
            Dnssec::Anchors(path) => builder.with_trust_anchor(Arc::new(anchors(path)?)),
        };
        let dns = builder.build().map_err(ResolverError::Build)?;
        Ok(Self { dns, settings })
    }

    /// One that has not asked anything yet: who has just mended a record wants to see it.
    pub fn afresh(&self) -> Result<Self, ResolverError> {
        Self::new(Arc::clone(&self.settings))
    }

    /// Forgets what is remembered of a domain and of its hosts at this port, so that the next message asks again
    /// (SEED-153).
    pub fn forget(&self, domain: &Domain, hosts: &[HostName], port: u16) {
        let names = hosts.iter().filter_map(|host| match host {
            HostName::Name(name) => Some(name),
            HostName::Address(_) => None,
        });
        self.dns.clear_lookup_cache(format!("{domain}."), RecordType::MX);
        self.dns.clear_lookup_cache(format!("_mta-sts.{domain}."), RecordType::TXT);
        for name in names.chain([domain]) {
            self.dns.clear_lookup_cache(format!("_{port}._tcp.{name}."), RecordType::TLSA);
            for kind in [RecordType::A, RecordType::AAAA, RecordType::CNAME] {
                self.dns.clear_lookup_cache(format!("{name}."), kind);
            }
        }
    }

    pub(crate) fn is_validating(&self) -> bool {
        self.settings.dnssec != Dnssec::Off
    }

    /// The hosts of a destination in the order to try them.
    pub async fn hosts(&self, destination: &Destination) -> Result<Vec<HostName>, RouteError> {
        let domain = match destination {
            Destination::Host { host, .. } => return Ok(vec![host.clone()]),
            Destination::Mx(domain) => domain,
        };
        match self.mx_records_of(domain).await? {
            Ok(records) => order(&mx_records(&records), &self.settings.own_name, rand::random),
            Err(error) => match self.absence(&error).await {
                Some(Absence::Name) => Err(RouteError::NoSuchDomain),
                // RFC 5321 5.1: without MX records the domain itself is the host.
                Some(Absence::Records) => Ok(vec![HostName::Name(domain.clone())]),
                None => Err(RouteError::TryAgain(error.to_string())),
            },
        }
    }

    /// The MX records of a domain. An answer that is about something else is none.
    pub(crate) async fn mx_records_of(
        &self,
        domain: &Domain,
    ) -> Result<Result<Vec<Record>, NetError>, RouteError> {
        let lookup = match self.dns.mx_lookup(format!("{domain}.")).await {
            Ok(lookup) => lookup,
            Err(error) => return Ok(Err(error)),
        };
        if !self.is_validating() {
            return Ok(Ok(lookup.answers().to_vec()));
        }
        let (_, records) =
            proven(lookup.answers(), &read_name(domain.as_str())?, RecordType::MX).ok_or_else(forged)?;
        Ok(Ok(records))
    }

    /// All addresses of a host. The cluster's host map is the caller's to ask first.
    pub async fn addresses(&self, host: &HostName) -> Result<Vec<IpAddr>, RouteError> {
        let name = match host {
            HostName::Address(address) => return Ok(vec![*address]),
            HostName::Name(name) => name,
        };
        let records = self.address_records(name).await?;
        Ok(records.iter().filter_map(|record| record.data.ip_addr()).collect())
    }

    /// Of both families; never empty. That one has none says nothing while the other is not known.
    pub(crate) async fn address_records(&self, host: &Domain) -> Result<Vec<Record>, RouteError> {
        let of = |kind| self.dns.lookup(format!("{host}."), kind);
        let (v6, v4) = futures::future::join(of(RecordType::AAAA), of(RecordType::A)).await;
        let mut found = Vec::new();
        let mut absences = Vec::new();
        let mut unknown = None;
        for answer in [v6, v4] {
            match answer {
                Ok(lookup) => {
                    let addresses = lookup.answers().iter().filter(|record| record.data.ip_addr().is_some());
                    let before = found.len();
                    found.extend(addresses.cloned());
                    unknown = unknown.or((found.len() == before).then(forged));
                }
                Err(error) => match self.absence(&error).await {
                    Some(absence) => absences.push(absence),
                    None => unknown = Some(RouteError::TryAgain(error.to_string())),
                },
            }
        }
        match (found.is_empty(), unknown) {
            (false, _) => Ok(found),
            (true, Some(unknown)) => Err(unknown),
            (true, None) if absences.contains(&Absence::Name) => Err(RouteError::NoSuchDomain),
            (true, None) => Err(RouteError::NoAddress),
        }
    }
}

/// Of a name in full, without the last dot.
pub(crate) fn read_name(text: &str) -> Result<Name, RouteError> {
    Name::from_ascii(format!("{text}.")).map_err(|error| RouteError::TryAgain(error.to_string()))
}

pub(crate) fn forged() -> RouteError {
    RouteError::TryAgain("the answer is forged, or about something else".to_owned())
}

fn anchors(path: &Path) -> Result<TrustAnchors, ResolverError> {
    let anchors = TrustAnchors::from_file(path)
        .map_err(|source| ResolverError::Anchors(path.to_owned(), source.into()))?;
    if anchors.is_empty() { Err(ResolverError::NoAnchors(path.to_owned())) } else { Ok(anchors) }
}

/// Beside MX there may be the CNAME that led here.
pub(crate) fn mx_records(records: &[Record]) -> Vec<MxRecord> {
    let record = |record: &Record| {
        let RData::MX(mx) = &record.data else { return None };
        let exchange: Option<Domain> = mx.exchange.to_ascii().parse().ok();
        // What is no name of a host, such as an address, is no null MX either.
        (exchange.is_some() || mx.exchange.is_root())
            .then_some(MxRecord { preference: mx.preference, exchange })
    };
    records.iter().filter_map(record).collect()
}

fn name_server(server: &SocketAddr) -> NameServerConfig {
    let mut config = NameServerConfig::udp_and_tcp(server.ip());
    for connection in &mut config.connections {
        connection.port = server.port();
    }
    config
}

fn options() -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.timeout = QUERY_TIMEOUT;
    options.attempts = 2;
    options.try_tcp_on_error = true;
    options.server_ordering_strategy = ServerOrderingStrategy::QueryStatistics;
    options.cache_size = CACHE_ENTRIES;
    options.positive_min_ttl = Some(POSITIVE_MIN);
    options.positive_max_ttl = Some(POSITIVE_MAX);
    options.negative_max_ttl = Some(NEGATIVE_MAX);
    // SEED-152: the cluster's host map, not the file of one machine.
    options.use_hosts_file = hickory_resolver::config::ResolveHosts::Never;
    options
}
