//! What a node must know of the directory to examine its surroundings: which domains are ours, where their mail
//! goes, which hosts are connected to, and what is doubtful.

use std::{collections::HashSet, net::IpAddr, time::SystemTime};

use hikyaku_types::{address::ReversePath, destination::Destination, domain::Domain};

use super::{Rules, decision::DecidedBy, table::aliases::Target};
use crate::{document::DocumentName, problem::Problem};

/// Who has more looks at one domain after the other.
const MOST: usize = 1_000;

/// Lists hold the first thousand.
#[derive(Debug)]
pub(crate) struct Overview {
    pub(crate) remarks: Vec<Problem>,
    pub(crate) open_domains: Vec<OpenDomain>,
    pub(crate) own_domains: Vec<(Domain, Destination)>,
    /// The line that names each first.
    pub(crate) next_hops: Vec<(DecidedBy, Destination)>,
    pub(crate) own_addresses: Vec<IpAddr>,
}

/// It accepts every address (SEED-041).
#[derive(Debug)]
pub(crate) struct OpenDomain {
    pub(crate) line: DecidedBy,
    pub(crate) domain: Domain,
    /// Somebody is asked about each recipient, so the hazard of mode A is none.
    pub(crate) is_probed: bool,
}

impl Rules {
    /// With `only` of the own domains just this one.
    pub(crate) fn overview(&self, only: Option<&Domain>, now: SystemTime) -> Overview {
        let mut domains: Vec<(&Domain, u32)> = match only {
            Some(only) => self.own_domains.table.iter().filter(|(domain, _)| *domain == only).collect(),
            None => self.own_domains.table.iter().collect(),
        };
        domains.sort_unstable_by_key(|(_, line)| *line);
        let hop = |domain: &Domain| self.resolve_route(domain, &ReversePath::Null, now).destination;
        let own_domains = domains.iter().take(MOST).map(|(domain, _)| ((*domain).clone(), hop(domain)));
        let mut remarks = self.problems();
        remarks.truncate(MOST);
        Overview {
            remarks,
            open_domains: self.open_domains(),
            own_domains: own_domains.collect(),
            next_hops: self.next_hops(now),
            own_addresses: self.own_addresses(),
        }
    }

    fn open_domains(&self) -> Vec<OpenDomain> {
        let wildcard = |domain: &Domain| match self.aliases.table.wildcard(domain)? {
            (line, Target::Itself) => Some(line),
            (_, Target::Domain(_) | Target::Address(_)) => None,
        };
        let mut open: Vec<(u32, &Domain)> = self
            .own_domains
            .table
            .iter()
            .filter_map(|(domain, _)| Some((wildcard(domain)?, domain)))
            .collect();
        open.sort_unstable_by_key(|(line, _)| *line);
        let of = |(line, domain): (u32, &Domain)| OpenDomain {
            line: DecidedBy::Line(DocumentName::Aliases, line),
            domain: domain.clone(),
            is_probed: self.sources.table.has_recipients(domain),
        };
        open.into_iter().take(MOST).map(of).collect()
    }

    fn next_hops(&self, now: SystemTime) -> Vec<(DecidedBy, Destination)> {
        let mut routes: Vec<_> = self.routes.table.all().filter(|route| route.is_in_force(now)).collect();
        routes.sort_unstable_by_key(|route| route.line);
        let routes = routes
            .into_iter()
            .map(|route| (DecidedBy::Line(DocumentName::Routes, route.line), &route.next_hop));
        let smart_host = self.smart_host.table.iter();
        let smart_host =
            smart_host.map(|it| (DecidedBy::Line(DocumentName::SmartHost, it.line), &it.next_hop));
        let mut seen = HashSet::new();
        let hops = smart_host.chain(routes).map(|(line, hop)| (line, hop.destination()));
        hops.filter(|(_, destination)| seen.insert(destination.clone())).take(MOST).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::tests::rules;

    #[test]
    fn seed_222_what_is_examined() {
        let rules = rules(&[
            (DocumentName::OwnDomains, "b.jp\na.jp\nc.jp"),
            (DocumentName::Aliases, "*@a.jp\t*@a.jp\nx@a.jp\tx@a.jp\n*@b.jp\t*@a.jp\n*@z.jp\t*@z.jp"),
            (
                DocumentName::Routes,
                "a.jp,192.168.0.20,25\n*.a.jp,192.168.0.20,25\nold.jp,192.168.0.7,25,expires=1999-01-01T00:00:00Z",
            ),
            (DocumentName::SmartHost, "up.example:587"),
            (DocumentName::Settings, "own_addresses = 198.51.100.10"),
            (DocumentName::Sources, "a.jp recipients=next-hop"),
        ]);
        let overview = rules.overview(None, SystemTime::now());
        let shown = |(name, destination): &(Domain, Destination)| format!("{name} {destination}");
        let own: Vec<String> = overview.own_domains.iter().map(shown).collect();
        assert_eq!(own, ["b.jp [up.example]:587", "a.jp [192.168.0.20]:25", "c.jp [up.example]:587"]);
        let hops: Vec<String> =
            overview.next_hops.iter().map(|(line, destination)| format!("{line} {destination}")).collect();
        assert_eq!(hops, ["smart-host:1 [up.example]:587", "routes:1 [192.168.0.20]:25"]);
        let open: Vec<String> = overview
            .open_domains
            .iter()
            .map(|open| format!("{} {} {}", open.line, open.domain, open.is_probed))
            .collect();
        assert_eq!(open, ["aliases:1 a.jp true"], "a domain that is not ours accepts nothing");
        assert!(overview.remarks.iter().any(|remark| remark.code == "W-LOOPRISK"));
        assert_eq!(overview.own_addresses, ["198.51.100.10".parse::<IpAddr>().unwrap()]);
        let only = rules.overview(Some(&"a.jp".parse().unwrap()), SystemTime::now());
        assert_eq!(only.own_domains.len(), 1);
        assert!(rules.overview(Some(&"z.jp".parse().unwrap()), SystemTime::now()).own_domains.is_empty());
    }
}
