//! The ordered route list: the first line that fits a domain decides (SEED-016).

use std::{collections::HashMap, time::SystemTime};

use hikyaku_types::{
    address::{Mailbox, ReversePath},
    destination::{Destination, HostName},
    domain::Domain,
};

use super::aliases::is_same;

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
    exact: HashMap<Box<str>, Vec<Route>>,
    below: HashMap<Box<str>, Vec<Route>>,
    everything: Vec<Route>,
    depend_on_sender: bool,
}

impl RouteSender {
    fn fits(&self, sender: &ReversePath) -> bool {
        match (self, sender) {
            (Self::Everybody, _) => true,
            (Self::Domain(domain), ReversePath::Mailbox(mailbox)) => mailbox.domain() == Some(domain),
            (Self::Address(own), ReversePath::Mailbox(mailbox)) => is_same(own, mailbox),
            (Self::Domain(_) | Self::Address(_), ReversePath::Null) => false,
        }
    }

    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Everybody, _) => true,
            (Self::Domain(own), Self::Domain(domain)) => own == domain,
            (Self::Domain(own), Self::Address(mailbox)) => mailbox.domain() == Some(own),
            (Self::Address(own), Self::Address(mailbox)) => is_same(own, mailbox),
            (Self::Domain(_) | Self::Address(_), Self::Everybody) | (Self::Address(_), Self::Domain(_)) => {
                false
            }
        }
    }
}

impl Route {
    /// It holds for every sender and always.
    fn is_plain(&self) -> bool {
        self.sender == RouteSender::Everybody && self.expires.is_none()
    }

    fn is_in_force(&self, now: SystemTime) -> bool {
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

    /// The routes with exactly this target, in their order.
    pub(crate) fn of_target(&self, target: &RouteTarget) -> &[Route] {
        match target {
            RouteTarget::Domain(domain) => self.exact.get(domain.as_str()).map_or(&[], Vec::as_slice),
            RouteTarget::Below(domain) => self.below.get(domain.as_str()).map_or(&[], Vec::as_slice),
            RouteTarget::Everything => &self.everything,
        }
    }

    /// The route with exactly this target that holds for every sender and always.
    pub(crate) fn plain_of_target(&self, target: &RouteTarget) -> Option<&Route> {
        self.of_target(target).iter().find(|route| route.is_plain())
    }

    pub(crate) fn insert(&mut self, target: &RouteTarget, route: Route) {
        self.depend_on_sender |= route.sender != RouteSender::Everybody;
        let routes = match target {
            RouteTarget::Domain(domain) => self.exact.entry(domain.as_str().into()).or_default(),
            RouteTarget::Below(domain) => self.below.entry(domain.as_str().into()).or_default(),
            RouteTarget::Everything => &mut self.everything,
        };
        routes.push(route);
    }

    /// The first line that fits.
    pub(crate) fn find(&self, domain: &Domain, sender: &ReversePath, now: SystemTime) -> Option<&Route> {
        let exact = self.of_target(&RouteTarget::Domain(domain.clone()));
        let fitting = exact.iter().chain(self.wider(domain));
        fitting
            .filter(|route| route.is_in_force(now) && route.sender.fits(sender))
            .min_by_key(|route| route.line)
    }

    /// Whether a route takes this domain for every sender and always.
    pub(crate) fn always_takes(&self, domain: &Domain) -> bool {
        let exact = self.of_target(&RouteTarget::Domain(domain.clone()));
        exact.iter().chain(self.wider(domain)).any(Route::is_plain)
    }

    /// The first line that takes everything that `target` and `sender` stand for, always.
    pub(crate) fn covering(&self, target: &RouteTarget, sender: &RouteSender) -> Option<&Route> {
        let covers = |route: &&Route| route.expires.is_none() && route.sender.covers(sender);
        let same = match target {
            RouteTarget::Domain(_) | RouteTarget::Everything => &[][..],
            RouteTarget::Below(_) => self.of_target(target),
        };
        let wider = match target {
            RouteTarget::Domain(domain) | RouteTarget::Below(domain) => Some(self.wider(domain)),
            RouteTarget::Everything => None,
        };
        let everything = matches!(target, RouteTarget::Everything).then_some(&self.everything);
        let all = same.iter().chain(wider.into_iter().flatten()).chain(everything.into_iter().flatten());
        all.filter(covers).min_by_key(|route| route.line)
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
                routes.iter().map(move |route| (route.line, domain.clone(), route.next_hop.clone()))
            })
            .collect();
        found.sort_by_key(|(line, ..)| *line);
        found
    }

    /// Lines that have run out.
    pub(crate) fn expired(&self, now: SystemTime) -> Vec<u32> {
        self.all().filter(|route| !route.is_in_force(now)).map(|route| route.line).collect()
    }

    fn all(&self) -> impl Iterator<Item = &Route> {
        self.exact.values().chain(self.below.values()).flatten().chain(&self.everything)
    }

    /// The wildcards that `domain` is under.
    fn wider<'r, 'd>(&'r self, domain: &'d Domain) -> impl Iterator<Item = &'r Route> + use<'r, 'd> {
        let parent = |name: &&'d str| name.split_once('.').map(|(_, parent)| parent);
        let parents = std::iter::successors(domain.parent(), parent);
        parents.filter_map(|parent| self.below.get(parent)).flatten().chain(&self.everything)
    }
}
