//! What this worker sees of the cluster and its surroundings: the doctor's facts. It connects to what the
//! directory names, from where mail is sent, and judges nothing.

mod network; // next hops
mod records; // DNS
mod others; // what other workers see

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use hikyaku_doctor::facts::{Broker, Facts, Lookup, Node};
use hikyaku_policy_client::overview::Overview;
use hikyaku_queue::presence::Presence;
use hikyaku_route::resolver::Resolver;
use hikyaku_runtime::error_chain::chain;
use hikyaku_types::{domain::Domain, shard::ShardCount};

pub(crate) use others::answer;

use crate::context::Context;

/// A version that was just committed comes into force everywhere within this time.
const SETTLING: Duration = Duration::from_secs(6);
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What was seen.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) facts: Facts,
    /// Next hops of the domains that were looked at.
    pub(crate) inner_servers: BTreeSet<SocketAddr>,
}

/// `only`: of the DNS just this domain.
pub(crate) async fn look(context: &Context, shards: ShardCount, only: Option<&Domain>) -> Seen {
    let (broker, overview) = tokio::join!(context.nats.survey(shards), context.policy.overview(only));
    let overview = overview
        .inspect_err(|error| tracing::warn!(error = chain(error), "the policy gave no overview"))
        .ok();
    // An address of ours that cannot be looked up now is one that is not known.
    let resolver = context.resolver.afresh().unwrap_or_else(|_| context.resolver.clone());
    let presences = presences(context, overview.as_ref()).await;
    let mut own_names: BTreeSet<Domain> =
        presences.iter().filter_map(|presence| presence.hostname.parse().ok()).collect();
    own_names.insert(context.config.hostname.clone());
    let hops = overview.as_ref().map(|overview| &overview.next_hops[..]).unwrap_or_default();
    let (peers, (others, unheard)) =
        tokio::join!(network::peers(context, &resolver, hops), others::ask(context, &presences, hops));
    let own_addresses = own_addresses(&resolver, &own_names, &presences, overview.as_ref()).await;
    let mut seen = Seen {
        facts: Facts {
            examined_from: context.config.node.clone(),
            unheard,
            broker,
            nodes: presences.into_iter().map(node).collect(),
            own_names: own_names.iter().map(ToString::to_string).collect(),
            ..Facts::default()
        },
        inner_servers: BTreeSet::new(),
    };
    if let Some(overview) = overview {
        let inner = network::inner(&peers, &overview);
        seen.inner_servers = inner.values().flatten().copied().collect();
        seen.facts.domains = records::of_domains(&resolver, &overview.own_domains, &inner).await;
        seen.facts.senders = records::of_senders(&resolver, &senders(context, &own_addresses)).await;
        seen.facts.directory = Some(overview.directory);
    }
    seen.facts.peers = peers.into_iter().chain(others).collect();
    seen.facts.own_addresses = own_addresses;
    seen
}

/// What was looked at, in words.
pub(crate) fn summary(facts: &Facts) -> Vec<String> {
    let Broker { servers, .. } = &facts.broker;
    let version = facts.directory.as_ref().map(|directory| directory.stored_version);
    let version =
        version.map_or_else(|| "no directory".to_owned(), |version| format!("directory version {version}"));
    let own: Vec<String> = facts.own_addresses.iter().map(ToString::to_string).collect();
    vec![
        format!("{} NATS servers and their streams", servers.len()),
        format!("{} nodes, {version}", facts.nodes.len()),
        next_hops(facts),
        format!("{} own domains in the DNS", facts.domains.len()),
        format!(
            "the cluster's addresses: {}",
            if own.is_empty() { "none known".to_owned() } else { own.join(", ") }
        ),
    ]
}

fn next_hops(facts: &Facts) -> String {
    let nodes: BTreeSet<&str> = facts.peers.iter().map(|peer| peer.seen_from.as_str()).collect();
    let hops: BTreeSet<&str> = facts.peers.iter().map(|peer| peer.name.as_str()).collect();
    let nodes: Vec<&str> = nodes.into_iter().collect();
    let from = if nodes.is_empty() { String::new() } else { format!(" from {}", nodes.join(", ")) };
    format!("{} next hops{from}", hops.len())
}

/// Everybody who lives, after they had the time to answer from the newest version.
async fn presences(context: &Context, overview: Option<&Overview>) -> Vec<Presence> {
    let stored = overview.map_or(0, |overview| overview.directory.stored_version);
    let deadline = tokio::time::Instant::now() + SETTLING;
    loop {
        let presences = context.register.members().await.unwrap_or_else(|error| {
            tracing::warn!(error = chain(&error), "the register of processes was not read");
            Vec::new()
        });
        let is_behind =
            |presence: &Presence| presence.directory_version.is_some_and(|version| version < stored);
        if !presences.iter().any(is_behind) || tokio::time::Instant::now() >= deadline {
            return presences;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn node(presence: Presence) -> Node {
    let Presence { node, role, listeners, directory_version, hostname: _ } = presence;
    Node { name: format!("{node} ({role})"), directory_version, listeners }
}

/// Those that the directory knows, those that listeners name, and those of our names in the DNS.
async fn own_addresses(
    resolver: &Resolver,
    names: &BTreeSet<Domain>,
    presences: &[Presence],
    overview: Option<&Overview>,
) -> Vec<IpAddr> {
    let mut own: BTreeSet<IpAddr> = BTreeSet::new();
    own.extend(overview.iter().flat_map(|overview| &overview.own_addresses));
    let listeners = presences.iter().flat_map(|presence| &presence.listeners).map(SocketAddr::ip);
    // On loopback many services share an address, so there it names nobody.
    own.extend(listeners.filter(|address| !address.is_unspecified() && !address.is_loopback()));
    for name in names {
        if let Lookup::Found(addresses) = records::addresses(resolver, name).await {
            own.extend(addresses);
        }
    }
    own.into_iter().map(|address| address.to_canonical()).collect()
}

/// Where mail leaves from: the addresses of egress lines, or else those that the cluster is known by.
fn senders(context: &Context, own_addresses: &[IpAddr]) -> Vec<IpAddr> {
    let traffic = context.policy.traffic();
    let egress: BTreeSet<IpAddr> = traffic.egress().iter().map(|rule| rule.address.address).collect();
    if egress.is_empty() { own_addresses.to_vec() } else { egress.into_iter().collect() }
}
