//! What the DNS says, as the resolvers of this worker know it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use futures::StreamExt as _;
use hikyaku_doctor::facts::{DomainRecords, Lookup, MxHost, Sender};
use hikyaku_route::{records::Records, resolver::Resolver};
use hikyaku_types::{destination::Destination, domain::Domain};

/// Domains at the same time.
const PARALLEL: usize = 20;

pub(super) async fn addresses(resolver: &Resolver, host: &Domain) -> Lookup<Vec<IpAddr>> {
    lookup(resolver.host_addresses(host).await)
}

fn lookup<T>(records: Records<T>) -> Lookup<Vec<T>> {
    match records {
        Ok(records) if records.is_empty() => Lookup::None,
        Ok(records) => Lookup::Found(records),
        Err(error) => Lookup::Failed(error.to_string()),
    }
}

pub(super) async fn of_domains(
    resolver: &Resolver,
    domains: &[(Domain, Destination)],
    inner: &BTreeMap<Domain, BTreeSet<SocketAddr>>,
) -> Vec<DomainRecords> {
    let mut records = Vec::new();
    for (domain, _) in domains {
        records.push(of_domain(resolver, domain, inner.get(domain)));
    }
    futures::stream::iter(records).buffered(PARALLEL).collect().await
}

async fn of_domain(
    resolver: &Resolver,
    domain: &Domain,
    inner: Option<&BTreeSet<SocketAddr>>,
) -> DomainRecords {
    let (mx, texts, own) =
        tokio::join!(resolver.mx(domain), resolver.texts(domain), resolver.host_addresses(domain));
    let own = own.unwrap_or_default();
    let mx = match lookup(mx) {
        Lookup::Found(exchanges) => {
            let hosts = exchanges.into_iter().map(|exchange| mx_host(resolver, exchange));
            Lookup::Found(futures::future::join_all(hosts).await)
        }
        // RFC 5321 5.1: without MX records the domain itself is the host.
        Lookup::None if !own.is_empty() => {
            let addresses = Lookup::Found(own.clone());
            Lookup::Found(vec![MxHost { name: domain.to_string(), addresses }])
        }
        Lookup::None => Lookup::None,
        Lookup::Failed(why) => Lookup::Failed(why),
    };
    let is_spf = |text: &String| {
        let version = text.split_ascii_whitespace().next();
        version.is_some_and(|version| version.eq_ignore_ascii_case("v=spf1"))
    };
    DomainRecords {
        domain: domain.to_string(),
        mx,
        spf: lookup(texts.map(|texts| texts.into_iter().filter(is_spf).collect())),
        addresses: own,
        inner: inner.into_iter().flatten().map(SocketAddr::ip).collect(),
    }
}

async fn mx_host(resolver: &Resolver, exchange: Option<Domain>) -> MxHost {
    match exchange {
        Some(exchange) => {
            let addresses = addresses(resolver, &exchange).await;
            MxHost { name: exchange.to_string(), addresses }
        }
        None => MxHost { name: String::new(), addresses: Lookup::None },
    }
}

/// Addresses of a private network have no name in the DNS of the world.
pub(super) async fn of_senders(resolver: &Resolver, addresses: &[IpAddr]) -> Vec<Sender> {
    let mut senders = Vec::new();
    for address in addresses.iter().copied().filter(|address| is_public(*address)) {
        senders.push(async move { Sender { address, name: reverse(resolver, address).await } });
    }
    futures::stream::iter(senders).buffered(PARALLEL).collect().await
}

/// One of the names must lead back.
async fn reverse(resolver: &Resolver, address: IpAddr) -> Lookup<(String, bool)> {
    let names = match lookup(resolver.names(address).await) {
        Lookup::Found(names) => names,
        Lookup::None => return Lookup::None,
        Lookup::Failed(why) => return Lookup::Failed(why),
    };
    for name in &names {
        if resolver.host_addresses(name).await.is_ok_and(|addresses| addresses.contains(&address)) {
            return Lookup::Found((name.to_string(), true));
        }
    }
    names.first().map_or(Lookup::None, |name| Lookup::Found((name.to_string(), false)))
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(it) => {
            !it.is_private() && !it.is_loopback() && !it.is_link_local() && !it.is_unspecified()
        }
        IpAddr::V6(it) => {
            !it.is_unique_local() && !it.is_loopback() && !it.is_unicast_link_local() && !it.is_unspecified()
        }
    }
}
