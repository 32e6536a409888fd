//! Traffic rules: how much goes to a destination and to a site, and from a source, and which
//! of our addresses it leaves from.
//!
//! One rule decides every key for itself: **the first line that fits and sets the key**. First come
//! the administrator's lines, after them the shipped ones, and within each
//!
//! * of a destination by MX: its name, `*.` with the longest suffix down to the shortest, `*`;
//!   of a fixed next hop: `[host]:port`, `[host]`, `[*]`, `*`;
//! * of a site: the lines in the order of the file, then `*`;
//! * of a source: the sender's address, its `@domain` (name, longest wildcard, `@*`), and then the
//!   client's networks, the narrowest first.

pub mod pattern; // what a line is about
mod timeouts; // how long a host may take
pub mod value; // rates, times, names of pools and logins, levels of TLS
pub mod settings; // what a line sets
pub mod egress; // addresses that mail leaves from
mod index; // lines in the order in which they decide

use std::{collections::HashMap, fmt, net::IpAddr};

use crate::{
    address::ReversePath,
    destination::{Destination, HostName},
};

pub use egress::{EgressAddress, EgressRule, Proxy};
use index::Index;
pub use pattern::{DestinationPattern, HostPattern, NamePattern, PatternError, SitePattern, SourcePattern};
pub use settings::{DestinationTraffic, Settings, Site, SiteTraffic, SourceSettings, SourceTraffic};
pub use timeouts::TimeoutOverrides;
pub use value::{LoginName, PoolName, Rate, TlsLevel};

/// Where a rule is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RuleLine {
    /// It came with the program and decides after the administrator's lines.
    pub shipped: bool,
    /// From 1.
    pub line: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Rule<P, S> {
    pub pattern: P,
    pub settings: S,
    pub line: RuleLine,
}

pub type DestinationRule = Rule<DestinationPattern, DestinationTraffic>;
pub type SiteRule = Rule<SitePattern, SiteTraffic>;
pub type SourceRule = Rule<SourcePattern, SourceSettings>;

/// One key with its value and the line that decided it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    pub key: &'static str,
    pub value: String,
    pub line: RuleLine,
}

/// All lines, ready to be asked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TrafficRules {
    destinations: Vec<DestinationRule>,
    sites: Vec<SiteRule>,
    sources: Vec<SourceRule>,
    egress: Vec<EgressRule>,
    index: Index,
    pools: HashMap<PoolName, Vec<EgressAddress>>,
}

impl TrafficRules {
    /// The lines in the order of their files. Of two lines about the same, the first counts.
    pub fn new(
        destinations: Vec<DestinationRule>,
        sites: Vec<SiteRule>,
        sources: Vec<SourceRule>,
        egress: Vec<EgressRule>,
    ) -> Self {
        let mut pools: HashMap<PoolName, Vec<EgressAddress>> = HashMap::new();
        for rule in &egress {
            pools.entry(rule.pool.clone()).or_default().push(rule.address.clone());
        }
        let index = Index::new(&destinations, &sites, &sources);
        Self { destinations, sites, sources, egress, index, pools }
    }

    /// What is said of a destination; what no line sets is left to the configuration.
    pub fn destination(&self, destination: &Destination) -> DestinationTraffic {
        merged(self.lines_of_destination(destination))
    }

    /// The site that these MX hosts are, and what is said of it. Destinations with the same hosts,
    /// or with hosts that one `site` line names, share it.
    pub fn site(&self, hosts: &[HostName]) -> Site {
        let rules: Vec<&SiteRule> = self.lines_of_site(hosts).collect();
        let named = rules.iter().find(|rule| !rule.pattern.is_everything());
        let name = named.map_or_else(|| unnamed(hosts), |rule| rule.pattern.to_string());
        Site::new(name, merged(rules.into_iter()))
    }

    /// What is said of mail from this client and sender.
    pub fn source(&self, client: Option<IpAddr>, reverse_path: &ReversePath) -> SourceTraffic {
        let rules: Vec<&SourceRule> = self.lines_of_source(client, reverse_path).collect();
        let limited = rules.iter().find(|rule| rule.settings.rate.is_some()).or(rules.first());
        let name = limited.map(|rule| rule.pattern.to_string()).unwrap_or_default();
        SourceTraffic::new(name, &merged(rules.into_iter()))
    }

    /// The addresses of a pool in the order of the file; empty for one that does not exist.
    pub fn pool(&self, name: &PoolName) -> &[EgressAddress] {
        self.pools.get(name).map_or(&[], Vec::as_slice)
    }

    /// What [`TrafficRules::destination`] says, with the line that decided each key.
    pub fn explain_destination(&self, destination: &Destination) -> Vec<Decided> {
        decided(self.lines_of_destination(destination))
    }

    /// What [`TrafficRules::site`] says, with the line that decided each key.
    pub fn explain_site(&self, hosts: &[HostName]) -> Vec<Decided> {
        decided(self.lines_of_site(hosts))
    }

    pub fn destinations(&self) -> &[DestinationRule] {
        &self.destinations
    }

    pub fn sites(&self) -> &[SiteRule] {
        &self.sites
    }

    pub fn sources(&self) -> &[SourceRule] {
        &self.sources
    }

    pub fn egress(&self) -> &[EgressRule] {
        &self.egress
    }

    fn lines_of_destination(&self, destination: &Destination) -> impl Iterator<Item = &DestinationRule> {
        self.index.destination(destination).into_iter().filter_map(|place| self.destinations.get(place))
    }

    fn lines_of_site(&self, hosts: &[HostName]) -> impl Iterator<Item = &SiteRule> {
        self.index
            .sites()
            .filter_map(|place| self.sites.get(place))
            .filter(move |rule| rule.pattern.matches(hosts))
    }

    fn lines_of_source(
        &self,
        client: Option<IpAddr>,
        reverse_path: &ReversePath,
    ) -> impl Iterator<Item = &SourceRule> {
        let places = self.index.source(&self.sources, client, reverse_path);
        places.into_iter().filter_map(|place| self.sources.get(place))
    }
}

/// The name of a site that no line names.
fn unnamed(hosts: &[HostName]) -> String {
    let mut names: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    names.sort_unstable();
    names.dedup();
    names.join(",")
}

fn merged<'a, P: 'a, S: Settings + 'a>(rules: impl Iterator<Item = &'a Rule<P, S>>) -> S {
    rules.fold(S::default(), |settings, rule| settings.or(&rule.settings))
}

fn decided<'a, P: 'a, S: Settings + 'a>(rules: impl Iterator<Item = &'a Rule<P, S>>) -> Vec<Decided> {
    let mut decided: Vec<Decided> = Vec::new();
    for rule in rules {
        for (key, value) in rule.settings.written() {
            if !decided.iter().any(|earlier| earlier.key == key) {
                decided.push(Decided { key, value, line: rule.line });
            }
        }
    }
    decided
}

impl fmt::Display for RuleLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = if self.shipped { "traffic-defaults" } else { "traffic" };
        write!(f, "{file}:{}", self.line)
    }
}

#[cfg(test)]
mod tests;
