//! Adds what a new installation needs to texts that people may have edited: lines
//! that are there stay as they are, comments included. Doing it twice changes nothing.

use std::collections::HashSet;

use hikyaku_types::{destination::HostName, domain::Domain};
use ipnet::IpNet;

use super::{
    Rules, Surroundings, parse,
    table::{
        aliases::DomainRule,
        routes::{NextHop, RouteSender, RouteTarget, Routes},
    },
};
use crate::{
    document::{DocumentName, Documents},
    problem::Findings,
};

/// What must be in the directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Additions {
    pub own_domains: Vec<OwnDomain>,
    pub relay_networks: Vec<IpNet>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnDomain {
    pub domain: Domain,
    /// Host that its mail is handed to, without MX look-up.
    pub host: HostName,
    pub port: u16,
}

/// The documents that change, with their new text.
pub(crate) fn grow(rules: &Rules, additions: &Additions) -> Documents {
    let mut seen = HashSet::new();
    let wanted: Vec<&OwnDomain> =
        additions.own_domains.iter().filter(|wanted| seen.insert(&wanted.domain)).collect();

    let missing = wanted.iter().filter(|wanted| !rules.own_domains.table.contains(&wanted.domain));
    let own_domains = appended(&rules.own_domains.text, missing.map(|wanted| wanted.domain.to_string()));

    // A domain with entries has been given its recipients; mode A would open it again (SEED-041).
    let missing = wanted.iter().filter(|wanted| {
        rules.aliases.table.domain_rule(&wanted.domain) == DomainRule::Unlisted
            && !rules.accounts.table.has_domain(&wanted.domain)
    });
    let aliases = appended(&rules.aliases.text, missing.map(|wanted| format!("*@{0}\t*@{0}", wanted.domain)));

    let mut networks = HashSet::new();
    let missing = additions.relay_networks.iter().map(IpNet::trunc).filter(|network| {
        !rules.relay_networks.table.networks.contains(*network) && networks.insert(*network)
    });
    let relay_networks = appended(&rules.relay_networks.text, missing.map(|network| network.to_string()));

    let mut routes = rules.routes.text.to_string();
    for wanted in wanted {
        routes = with_route(&routes, wanted);
    }

    let texts = [
        (DocumentName::OwnDomains, own_domains, &rules.own_domains.text),
        (DocumentName::RelayNetworks, relay_networks, &rules.relay_networks.text),
        (DocumentName::Aliases, aliases, &rules.aliases.text),
        (DocumentName::Routes, routes, &rules.routes.text),
    ];
    texts
        .into_iter()
        .filter(|(_, new, old)| *new != ***old)
        .map(|(document, new, _)| (document, new))
        .collect()
}

fn appended(text: &str, lines: impl Iterator<Item = String>) -> String {
    lines.fold(text.to_owned(), |text, line| edited(&text, Edit::Append, &line))
}

fn with_route(text: &str, wanted: &OwnDomain) -> String {
    let OwnDomain { domain, host, port } = wanted;
    let line = format!("{domain}, {host}, {port}");
    let target = RouteTarget::Domain(domain.clone());
    let next_hop = NextHop { host: host.clone(), port: *port };
    let table = routes(text);
    match table.plain_of_target(&target) {
        Some(route) if route.next_hop == next_hop => text.to_owned(),
        Some(route) => edited(text, Edit::Replace(route.line), &line),
        // After a line that takes the domain already it would never be reached.
        None => edited(
            text,
            table
                .covering(&target, &RouteSender::Everybody)
                .map_or(Edit::Append, |it| Edit::InsertBefore(it.line)),
            &line,
        ),
    }
}

fn routes(text: &str) -> Routes {
    // Only the order of the lines counts here; the commit checks the result.
    parse::routes::parse(text, &Surroundings::default(), &mut Findings::new(DocumentName::Routes))
}

/// What happens at a line, counted from 1.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Edit {
    InsertBefore(u32),
    Replace(u32),
    Append,
}

fn edited(text: &str, edit: Edit, new: &str) -> String {
    let mut result = String::with_capacity(text.len() + new.len() + 2);
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        if edit == Edit::InsertBefore(number) || edit == Edit::Replace(number) {
            result.push_str(new);
            result.push('\n');
        }
        if edit != Edit::Replace(number) {
            result.push_str(line);
        }
    }
    if edit == Edit::Append {
        if !result.is_empty() && !result.ends_with('\n') {
            result.push('\n');
        }
        result.push_str(new);
        result.push('\n');
    }
    result
}

#[cfg(test)]
mod tests {
    use hikyaku_types::destination::Destination;

    use super::*;
    use crate::rules::tests::rules;

    fn own(domain: &str, next_hop: &str) -> OwnDomain {
        let Destination::Host { host, port } = next_hop.parse().unwrap() else { panic!("not a host") };
        OwnDomain { domain: domain.parse().unwrap(), host, port }
    }

    fn grown(texts: &[(DocumentName, &str)], additions: &Additions) -> Vec<(DocumentName, String)> {
        grow(&rules(texts), additions).iter().map(|(document, text)| (document, text.to_string())).collect()
    }

    #[test]
    fn an_empty_directory_gets_everything_once() {
        let additions = Additions {
            own_domains: vec![own("domain.jp", "[192.168.0.20]:25"), own("domain.jp", "[192.168.0.20]:25")],
            relay_networks: vec!["192.168.0.1/24".parse().unwrap(), "192.168.0.0/24".parse().unwrap()],
        };
        let documents = grow(&rules(&[]), &additions);
        let expected = [
            (DocumentName::OwnDomains, "domain.jp\n"),
            (DocumentName::RelayNetworks, "192.168.0.0/24\n"),
            (DocumentName::Aliases, "*@domain.jp\t*@domain.jp\n"),
            (DocumentName::Routes, "domain.jp, 192.168.0.20, 25\n"),
        ];
        assert_eq!(documents, expected.into_iter().collect());
        assert_eq!(grown(&expected, &additions), []);
    }

    #[test]
    fn lines_of_people_stay() {
        let texts = [
            (DocumentName::OwnDomains, "; ours\nold.jp"),
            (DocumentName::Aliases, "user1@new.jp\tuser1@new.jp\n"),
            (
                DocumentName::Routes,
                "; routes\nold.jp , 192.0.2.1 , 25\r\n' rest\n*.new.jp,192.0.2.3,25\n*,192.0.2.2,25\n",
            ),
        ];
        let additions = Additions {
            own_domains: vec![own("new.jp", "[inner.jp]:2525"), own("x.new.jp", "[2001:db8::1]:25")],
            ..Additions::default()
        };
        assert_eq!(
            grown(&texts, &additions),
            [
                (DocumentName::OwnDomains, "; ours\nold.jp\nnew.jp\nx.new.jp\n".to_owned()),
                // new.jp lists its recipients, so it does not get mode A.
                (DocumentName::Aliases, "user1@new.jp\tuser1@new.jp\n*@x.new.jp\t*@x.new.jp\n".to_owned()),
                (
                    DocumentName::Routes,
                    "; routes\nold.jp , 192.0.2.1 , 25\r\n' rest\nx.new.jp, 2001:db8::1, \
                    25\n*.new.jp,192.0.2.3,25\n\
                     new.jp, inner.jp, 2525\n*,192.0.2.2,25\n"
                        .to_owned()
                ),
            ]
        );
    }

    #[test]
    fn a_route_to_another_host_is_replaced_in_its_place() {
        let texts = [
            (DocumentName::OwnDomains, "a.jp"),
            (DocumentName::Aliases, "*@a.jp\t*@a.jp"),
            (DocumentName::Routes, "b.jp,192.0.2.1,25\na.jp,192.0.2.1,25\nc.jp,192.0.2.1,25"),
        ];
        let additions =
            Additions { own_domains: vec![own("a.jp", "[192.0.2.9]:26")], ..Additions::default() };
        assert_eq!(
            grown(&texts, &additions),
            [(DocumentName::Routes, "b.jp,192.0.2.1,25\na.jp, 192.0.2.9, 26\nc.jp,192.0.2.1,25".to_owned())]
        );
    }
}
