//! The ordered route list: the first line that fits a domain decides (SEED-016).

use std::{collections::HashMap, time::SystemTime};

use hikyaku_types::{
    address::{Mailbox, ReversePath},
    destination::{Destination, HostName},
    domain::Domain,
};

use super::address::{AddressKey, address_key};

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum RouteTarget {
    /// `domain`: itself only (SEED-013).
    Domain(Domain),
    /// `*.domain`: one or more labels below it, not itself (SEED-014).
    Below(Domain),
    /// `*` (SEED-015).
    Everything,
}

/// A host that is connected to without asking for MX records (SEED-017).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NextHop {
    pub(crate) host: HostName,
    pub(crate) port: u16,
}

impl NextHop {
    pub(crate) fn destination(&self) -> Destination {
        Destination::Host { host: self.host.clone(), port: self.port }
    }
}

/// Where everything goes that has no route (SEED-020).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SmartHost {
    pub(crate) line: u32,
    pub(crate) next_hop: NextHop,
}

/// Whose mail a route is for (SEED-025).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RouteSender {
    Everybody,
    Domain(Domain),
    Address(Box<Mailbox>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) line: u32,
    pub(crate) sender: RouteSender,
    pub(crate) next_hop: NextHop,
    /// From then on the line is none (SEED-024).
    pub(crate) expires: Option<SystemTime>,
}

/// Order is kept as line numbers, so that each kind of target can be found by hash.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    exact: HashMap<Box<str>, BySender>,
    below: HashMap<Box<str>, BySender>,
    everything: BySender,
    depend_on_sender: bool,
}

/// The routes of one target, found by sender; each list in the order of the lines.
#[derive(Debug, Default)]
struct BySender {
    everybody: Vec<Route>,
    domains: HashMap<Domain, Vec<Route>>,
    addresses: HashMap<AddressKey, Vec<Route>>,
}

impl BySender {
    fn insert(&mut self, route: Route) {
        match &route.sender {
            RouteSender::Everybody => self.everybody.push(route),
            RouteSender::Domain(domain) => self.domains.entry(domain.clone()).or_default().push(route),
            RouteSender::Address(mailbox) => {
                if let Some(key) = address_key(mailbox) {
                    self.addresses.entry(key).or_default().push(route);
                }
            }
        }
    }

    /// The routes that take all of these senders.
    fn taking(&self, sender: &RouteSender) -> impl Iterator<Item = &Route> {
        let (domain, address) = match sender {
            RouteSender::Everybody => (None, None),
            RouteSender::Domain(domain) => (Some(domain), None),
            RouteSender::Address(mailbox) => (mailbox.domain(), address_key(mailbox)),
        };
        let domain = domain.and_then(|domain| self.domains.get(domain));
        let address = address.and_then(|key| self.addresses.get(&key));
        self.everybody.iter().chain(domain.into_iter().flatten()).chain(address.into_iter().flatten())
    }

    /// The routes with exactly this sender.
    fn of(&self, sender: &RouteSender) -> &[Route] {
        match sender {
            RouteSender::Everybody => &self.everybody,
            RouteSender::Domain(domain) => self.domains.get(domain).map_or(&[], Vec::as_slice),
            RouteSender::Address(mailbox) => {
                let key = address_key(mailbox);
                key.and_then(|key| self.addresses.get(&key)).map_or(&[], Vec::as_slice)
            }
        }
    }

    fn all(&self) -> impl Iterator<Item = &Route> {
        self.everybody.iter().chain(self.domains.values().flatten()).chain(self.addresses.values().flatten())
    }

    fn is_empty(&self) -> bool {
        self.all().next().is_none()
    }
}

impl RouteSender {
    fn of(reverse_path: &ReversePath) -> Self {
        match reverse_path {
            ReversePath::Null => Self::Everybody,
            ReversePath::Mailbox(mailbox) => Self::Address(Box::new(mailbox.clone())),
        }
    }
}

impl Route {
    /// It holds for every sender and always.
    fn is_plain(&self) -> bool {
        self.sender == RouteSender::Everybody && self.expires.is_none()
    }

    pub(crate) fn is_in_force(&self, now: SystemTime) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }
}

impl Routes {
    pub(crate) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.below.is_empty() && self.everything.is_empty()
    }

    /// Whether a sender can make a difference.
    pub(crate) fn depend_on_sender(&self) -> bool {
        self.depend_on_sender
    }

    fn of_target(&self, target: &RouteTarget) -> Option<&BySender> {
        match target {
            RouteTarget::Domain(domain) => self.exact.get(domain.as_str()),
            RouteTarget::Below(domain) => self.below.get(domain.as_str()),
            RouteTarget::Everything => Some(&self.everything),
        }
    }

    /// The route with exactly this target and sender, for as long.
    pub(crate) fn same(&self, target: &RouteTarget, route: &Route) -> Option<&Route> {
        let routes = self.of_target(target).map_or(&[][..], |routes| routes.of(&route.sender));
        routes.iter().find(|earlier| earlier.expires == route.expires)
    }

    /// The route with exactly this target that holds for every sender and always.
    pub(crate) fn plain_of_target(&self, target: &RouteTarget) -> Option<&Route> {
        self.of_target(target)?.everybody.iter().find(|route| route.is_plain())
    }

    pub(crate) fn insert(&mut self, target: &RouteTarget, route: Route) {
        self.depend_on_sender |= route.sender != RouteSender::Everybody;
        let routes = match target {
            RouteTarget::Domain(domain) => self.exact.entry(domain.as_str().into()).or_default(),
            RouteTarget::Below(domain) => self.below.entry(domain.as_str().into()).or_default(),
            RouteTarget::Everything => &mut self.everything,
        };
        routes.insert(route);
    }

    /// The first line that fits.
    pub(crate) fn find(&self, domain: &Domain, sender: &ReversePath, now: SystemTime) -> Option<&Route> {
        let sender = RouteSender::of(sender);
        let targets = self.exact.get(domain.as_str()).into_iter().chain(self.wider(domain));
        let fitting = targets.flat_map(|routes| routes.taking(&sender));
        fitting.filter(|route| route.is_in_force(now)).min_by_key(|route| route.line)
    }

    /// Whether a route takes this domain for every sender and always.
    pub(crate) fn always_takes(&self, domain: &Domain) -> bool {
        let mut targets = self.exact.get(domain.as_str()).into_iter().chain(self.wider(domain));
        targets.any(|routes| routes.everybody.iter().any(Route::is_plain))
    }

    /// The first line that takes everything that `target` and `sender` stand for, always.
    pub(crate) fn covering(&self, target: &RouteTarget, sender: &RouteSender) -> Option<&Route> {
        let (same, wider) = match target {
            RouteTarget::Domain(domain) => (None, Some(self.wider(domain))),
            RouteTarget::Below(domain) => (self.below.get(domain.as_str()), Some(self.wider(domain))),
            RouteTarget::Everything => (Some(&self.everything), None),
        };
        let targets = same.into_iter().chain(wider.into_iter().flatten());
        let taking = targets.flat_map(|routes| routes.taking(sender));
        taking.filter(|route| route.expires.is_none()).min_by_key(|route| route.line)
    }

    /// The domains that are named, at or below.
    pub(crate) fn domains(&self) -> impl Iterator<Item = Domain> {
        let names = self.exact.keys().chain(self.below.keys());
        names.filter_map(|name| name.parse().ok())
    }

    /// `*.domain` where nothing takes the domain itself, as (line, domain, next hop).
    pub(crate) fn wildcards_without_apex(&self) -> Vec<(u32, Domain, NextHop)> {
        let mut found: Vec<(u32, Domain, NextHop)> = self
            .below
            .iter()
            .filter_map(|(name, routes)| Some((name.parse::<Domain>().ok()?, routes)))
            .filter(|(domain, _)| !self.always_takes(domain))
            .flat_map(|(domain, routes)| {
                let line = move |route: &Route| (route.line, domain.clone(), route.next_hop.clone());
                routes.all().map(line).collect::<Vec<_>>()
            })
            .collect();
        found.sort_by_key(|(line, ..)| *line);
        found
    }

    /// Lines that have run out.
    pub(crate) fn expired(&self, now: SystemTime) -> Vec<u32> {
        self.all().filter(|route| !route.is_in_force(now)).map(|route| route.line).collect()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Route> {
        let targets = self.exact.values().chain(self.below.values()).chain([&self.everything]);
        targets.flat_map(BySender::all)
    }

    /// The wildcards that `domain` is under.
    fn wider<'r, 'd>(&'r self, domain: &'d Domain) -> impl Iterator<Item = &'r BySender> + use<'r, 'd> {
        let parent = |name: &&'d str| name.split_once('.').map(|(_, parent)| parent);
        let parents = std::iter::successors(domain.parent(), parent);
        parents.filter_map(|parent| self.below.get(parent)).chain([&self.everything])
    }
}
