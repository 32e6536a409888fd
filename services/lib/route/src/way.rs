//! What the DNS says on the way to a destination, for people who look for faults: the same hosts in the same
//! order as a delivery has, with the time for which that is true, and the servers one by one.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use hickory_resolver::{
    config::NameServerConfig,
    net::NetError,
    proto::rr::{Record, RecordType},
    system_conf::read_system_conf,
};
use hikyaku_types::{
    destination::{Destination, HostName},
    domain::Domain,
};

use crate::{
    answer::Absence,
    plan::{RouteError, order},
    resolver::{Dnssec, Resolver, ResolverSettings, mx_records},
};

const DNS_PORT: u16 = 53;

/// A host of a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waypoint {
    pub host: HostName,
    /// Preference and lifetime in seconds; `None`: no MX record names it.
    pub mx: Option<(u16, u32)>,
}

/// One server of the list, with how long it took to answer, or why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerHealth {
    pub server: SocketAddr,
    pub answer: Result<Duration, String>,
}

impl Resolver {
    /// As [`Resolver::hosts`].
    pub async fn way(&self, destination: &Destination) -> Result<Vec<Waypoint>, RouteError> {
        let domain = match destination {
            Destination::Host { host, .. } => return Ok(vec![Waypoint { host: host.clone(), mx: None }]),
            Destination::Mx(domain) => domain,
        };
        let answers = match self.mx_records_of(domain).await? {
            Ok(answers) => answers,
            Err(error) => {
                return match self.absence(&error).await {
                    Some(Absence::Name) => Err(RouteError::NoSuchDomain),
                    Some(Absence::Records) => {
                        Ok(vec![Waypoint { host: HostName::Name(domain.clone()), mx: None }])
                    }
                    None => Err(RouteError::TryAgain(error.to_string())),
                };
            }
        };
        let records = mx_records(&answers);
        let ttl = least_ttl(&answers, &[RecordType::MX]).unwrap_or_default();
        let preference = |host: &HostName| {
            let names = |name: &Domain| matches!(host, HostName::Name(host) if host == name);
            let record = records.iter().find(|record| record.exchange.as_ref().is_some_and(names))?;
            Some((record.preference, ttl))
        };
        let hosts = order(&records, &self.settings.own_name, rand::random)?;
        Ok(hosts.into_iter().map(|host| Waypoint { mx: preference(&host), host }).collect())
    }

    /// All addresses of a host, and for how many seconds they are true; an address is true for ever.
    pub async fn addresses_with_ttl(
        &self,
        host: &HostName,
    ) -> Result<(Vec<IpAddr>, Option<u32>), RouteError> {
        let name = match host {
            HostName::Address(address) => return Ok((vec![*address], None)),
            HostName::Name(name) => name,
        };
        let records = self.address_records(name).await?;
        let addresses = records.iter().filter_map(|record| record.data.ip_addr()).collect();
        Ok((addresses, least_ttl(&records, &[RecordType::A, RecordType::AAAA])))
    }

    /// Each server of the list by itself. One that answers for the root and not for `domain` is alive: then
    /// the domain's own servers are silent.
    pub async fn servers(&self, domain: Option<&Domain>) -> Vec<ServerHealth> {
        let mut servers = self.settings.servers.clone();
        if servers.is_empty()
            && let Ok((config, _)) = read_system_conf()
        {
            let at = |server: &NameServerConfig| {
                let port = server.connections.first().map_or(DNS_PORT, |connection| connection.port);
                SocketAddr::new(server.ip, port)
            };
            servers = config.name_servers().iter().map(at).collect();
        }
        let answers = servers.into_iter().map(|server| of_server(&self.settings, server, domain));
        futures::future::join_all(answers).await
    }
}

async fn of_server(settings: &ResolverSettings, server: SocketAddr, domain: Option<&Domain>) -> ServerHealth {
    let alone =
        ResolverSettings { servers: vec![server], own_name: settings.own_name.clone(), dnssec: Dnssec::Off };
    let resolver = match Resolver::new(alone) {
        Ok(resolver) => resolver,
        Err(error) => return ServerHealth { server, answer: Err(error.to_string()) },
    };
    let begun = Instant::now();
    let ask = async |name: String, kind| match resolver.dns.lookup(name, kind).await {
        Ok(_) | Err(NetError::Dns(_)) => Ok(begun.elapsed()),
        Err(error) => Err(error.to_string()),
    };
    let name = domain.map_or_else(|| ".".to_owned(), |domain| format!("{domain}."));
    let (of_domain, of_root) =
        futures::future::join(ask(name, RecordType::MX), ask(".".to_owned(), RecordType::NS)).await;
    let answer = match (of_domain, of_root) {
        (Ok(a), Ok(b)) => Ok(a.min(b)),
        (Ok(time), Err(_)) | (Err(_), Ok(time)) => Ok(time),
        (Err(why), Err(_)) => Err(why),
    };
    ServerHealth { server, answer }
}

fn least_ttl(records: &[Record], kinds: &[RecordType]) -> Option<u32> {
    records.iter().filter(|record| kinds.contains(&record.record_type())).map(|record| record.ttl).min()
}
