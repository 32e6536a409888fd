//! The ordered route list: the first line that fits a domain decides (SEED-016).

use std::collections::HashMap;

use hikyaku_types::{
    destination::{Destination, HostName},
    domain::Domain,
};

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

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) line: u32,
    pub(crate) next_hop: NextHop,
}

/// Order is kept as line numbers, so that each kind of target can be found by hash.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    exact: HashMap<Box<str>, Route>,
    below: HashMap<Box<str>, Route>,
    everything: Option<Route>,
}

impl Routes {
    pub(crate) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.below.is_empty() && self.everything.is_none()
    }

    /// The route with exactly this target.
    pub(crate) fn of_target(&self, target: &RouteTarget) -> Option<&Route> {
        match target {
            RouteTarget::Domain(domain) => self.exact.get(domain.as_str()),
            RouteTarget::Below(domain) => self.below.get(domain.as_str()),
            RouteTarget::Everything => self.everything.as_ref(),
        }
    }

    /// The caller has made sure that the target is new.
    pub(crate) fn insert(&mut self, target: &RouteTarget, route: Route) {
        match target {
            RouteTarget::Domain(domain) => {
                self.exact.insert(domain.as_str().into(), route);
            }
            RouteTarget::Below(domain) => {
                self.below.insert(domain.as_str().into(), route);
            }
            RouteTarget::Everything => self.everything = Some(route),
        }
    }

    pub(crate) fn find(&self, domain: &Domain) -> Option<&Route> {
        let exact = self.exact.get(domain.as_str());
        exact.into_iter().chain(self.wider(domain)).min_by_key(|route| route.line)
    }

    /// The first line that takes every domain that `target` stands for.
    pub(crate) fn covering(&self, target: &RouteTarget) -> Option<&Route> {
        match target {
            RouteTarget::Domain(domain) => self.wider(domain).min_by_key(|route| route.line),
            RouteTarget::Below(domain) => {
                let same = self.below.get(domain.as_str());
                same.into_iter().chain(self.wider(domain)).min_by_key(|route| route.line)
            }
            RouteTarget::Everything => self.everything.as_ref(),
        }
    }

    /// The wildcards that `domain` is under.
    fn wider<'r, 'd>(&'r self, domain: &'d Domain) -> impl Iterator<Item = &'r Route> + use<'r, 'd> {
        let parent = |name: &&'d str| name.split_once('.').map(|(_, parent)| parent);
        let parents = std::iter::successors(domain.parent(), parent);
        parents.filter_map(|parent| self.below.get(parent)).chain(&self.everything)
    }
}
