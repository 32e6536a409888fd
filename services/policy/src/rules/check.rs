//! What only shows when documents are read together. Warnings: each document is
//! right for itself, and an operator may mean what is said here.

use hikyaku_types::destination::HostName;

use super::{
    Rules,
    table::{
        access::Value,
        aliases::DomainRule,
        routes::{NextHop, RouteTarget},
    },
};
use crate::{
    document::DocumentName,
    problem::{Findings, Problem},
};

pub(super) fn across_documents(rules: &Rules) -> Vec<Problem> {
    let mut problems = own_domains(rules);
    problems.extend(aliases(rules));
    problems.extend(accounts(rules));
    problems.extend(sources(rules));
    problems.extend(relay_networks(rules));
    problems.extend(smart_host(rules));
    problems.extend(own_hosts(rules));
    problems.extend(postmaster(rules));
    problems
}

fn own_domains(rules: &Rules) -> Vec<Problem> {
    let mut findings = Findings::new(DocumentName::OwnDomains);
    let has_default = rules.smart_host.table.is_some();
    for (domain, line) in rules.own_domains.table.iter() {
        let is_listed = rules.aliases.table.domain_rule(domain) != DomainRule::Unlisted
            || rules.accounts.table.has_domain(domain)
            || rules.sources.table.has_recipients(domain);
        if !is_listed {
            let reason = format!(
                "{domain} has no aliases, accounts or sources: every recipient but postmaster is refused"
            );
            findings.warning(line, "W-OD-NORCPT", reason);
        }
        if !rules.routes.table.always_takes(domain) && !has_default {
            let reason =
                format!("{domain} has no route: its mail goes by MX, which may lead back to this relay");
            findings.warning(line, "W-OD-NOROUTE", reason);
        }
    }
    findings.into_problems()
}

/// Nobody is protected from forged senders in such a domain, and nothing is accepted for it.
fn aliases(rules: &Rules) -> Vec<Problem> {
    let mut findings = Findings::new(DocumentName::Aliases);
    for (domain, line) in rules.aliases.table.domains() {
        if !rules.own_domains.table.contains(domain) {
            let reason = format!("{domain} is not in own-domains: its aliases rewrite but do not admit mail");
            findings.warning(line, "W-AL-FOREIGN", reason);
        }
    }
    findings.into_problems()
}

/// The same for accounts: such a mailbox gets no mail.
fn accounts(rules: &Rules) -> Vec<Problem> {
    let mut findings = Findings::new(DocumentName::Accounts);
    for (domain, line) in rules.accounts.table.domains() {
        if !rules.own_domains.table.contains(domain) {
            let reason = format!("{domain} is not in own-domains: its accounts get no mail from outside");
            findings.warning(line, "W-AC-FOREIGN", reason);
        }
    }
    findings.into_problems()
}

/// Nobody is asked about a domain that is not ours.
fn sources(rules: &Rules) -> Vec<Problem> {
    let mut findings = Findings::new(DocumentName::Sources);
    for (domain, line) in rules.sources.table.domains() {
        if !rules.own_domains.table.contains(domain) {
            let reason = format!("{domain} is not in own-domains: nobody is asked about it");
            findings.warning(line, "W-SRC-FOREIGN", reason);
        }
    }
    findings.into_problems()
}

/// The access table is asked first.
fn relay_networks(rules: &Rules) -> Vec<Problem> {
    let mut findings = Findings::new(DocumentName::RelayNetworks);
    for (network, line) in rules.relay_networks.table.networks.iter() {
        if let Some((earlier, value)) = rules.access.table.line_for_network(network)
            && !matches!(value, Value::True | Value::Only)
        {
            let reason = format!("access:{earlier} decides for all of {network}: it may not relay");
            findings.warning(line, "W-PM-SHADOW", reason);
        }
    }
    findings.into_problems()
}

/// SEED-004 (a), where the next hop has its address from the host map, or ours stands in the settings.
fn own_hosts(rules: &Rules) -> Vec<Problem> {
    let own = rules.own_addresses();
    let is_own = |hop: &NextHop| match &hop.host {
        HostName::Name(name) => rules.hosts.table.addresses(name).iter().any(|it| own.contains(it)),
        // Those of our listeners were found where the line was read.
        HostName::Address(address) => rules.settings.table.own_addresses.contains(&address.to_canonical()),
    };
    let reason = "next hop is one of this cluster's own addresses";
    let mut routes = Findings::new(DocumentName::Routes);
    for route in rules.routes.table.all().filter(|route| is_own(&route.next_hop)) {
        routes.error(route.line, "E-GW-SELF", reason);
    }
    let mut smart_host = Findings::new(DocumentName::SmartHost);
    if let Some(host) = rules.smart_host.table.as_ref().filter(|host| is_own(&host.next_hop)) {
        smart_host.error(host.line, "E-GW-SELF", reason);
    }
    routes.into_problems().into_iter().chain(smart_host.into_problems()).collect()
}

/// SEED-065: an address of ours that nobody has would be accepted to be returned.
fn postmaster(rules: &Rules) -> Vec<Problem> {
    let mut findings = Findings::new(DocumentName::Settings);
    if let Some((mailbox, line)) = &rules.settings.table.postmaster
        && !rules.is_deliverable(mailbox)
    {
        findings.error(*line, "E-SET-POSTMASTER", format!("{mailbox} is not a recipient of its own domain"));
    }
    findings.into_problems()
}

/// SEED-002, SEED-004: a smart host beside a table is how mail goes round between two machines.
fn smart_host(rules: &Rules) -> Vec<Problem> {
    let mut findings = Findings::new(DocumentName::SmartHost);
    if let Some(smart_host) = &rules.smart_host.table
        && !rules.routes.table.is_empty()
    {
        let destination = smart_host.next_hop.destination();
        let reason = match rules.routes.table.plain_of_target(&RouteTarget::Everything) {
            Some(route) => format!("{destination} is never used, routes:{} matches everything", route.line),
            None => format!("{destination} takes what the routes leave; it must not send that back here"),
        };
        findings.warning(smart_host.line, "W-LOOPRISK", reason);
    }
    findings.into_problems()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{document::Documents, problem::Severity, rules::Surroundings};

    fn warnings(texts: &[(DocumentName, &str)]) -> Vec<String> {
        let documents: Documents = texts.iter().map(|(document, text)| (*document, *text)).collect();
        let accepted = Rules::build(1, &documents, &Surroundings::default(), None).unwrap();
        accepted.problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn documents_that_do_not_fit_together() {
        assert_eq!(
            warnings(&[
                (DocumentName::OwnDomains, "domain.jp\nempty.jp\n"),
                (DocumentName::Aliases, "u@domain.jp\tu@domain.jp\nv@z.example\tv@domain.jp"),
                (DocumentName::Routes, "domain.jp,192.168.0.20,25"),
            ]),
            [
                "own-domains:2: warning W-OD-NORCPT: empty.jp has no aliases, accounts or sources: every \
                recipient but postmaster is refused",
                "own-domains:2: warning W-OD-NOROUTE: empty.jp has no route: its mail goes by MX, which \
                may lead back \
                 to this relay",
                "aliases:2: warning W-AL-FOREIGN: z.example is not in own-domains: its aliases rewrite \
                but do not \
                 admit mail",
            ]
        );
    }

    #[test]
    fn seed_004_a_next_hop_is_not_the_load_balancer_in_front_of_us() {
        let refused = |texts: &[(DocumentName, &str)]| -> Vec<String> {
            let own = (DocumentName::Settings, "own_addresses = 198.51.100.10");
            let documents: Documents = texts.iter().copied().chain([own]).collect();
            let rejected = Rules::build(1, &documents, &Surroundings::default(), None).unwrap_err();
            let errors = rejected.problems.iter().filter(|it| it.severity == Severity::Error);
            errors.map(ToString::to_string).collect()
        };
        let reason = "error E-GW-SELF: next hop is one of this cluster's own addresses";
        let route = (DocumentName::Routes, "a.jp,198.51.100.10,25");
        assert_eq!(refused(&[route]), [format!("routes:1: {reason}")]);
        let smart_host = (DocumentName::SmartHost, "lb.example");
        let hosts = (DocumentName::Hosts, "lb.example 198.51.100.10");
        assert_eq!(refused(&[smart_host, hosts]), [format!("smart-host:1: {reason}")]);
    }

    #[test]
    fn a_smart_host_beside_routes() {
        let smart_host = (DocumentName::SmartHost, "192.168.0.20");
        assert_eq!(warnings(&[smart_host]), Vec::<String>::new());
        assert_eq!(
            warnings(&[smart_host, (DocumentName::Routes, "a.jp,192.0.2.1,25")]),
            ["smart-host:1: warning W-LOOPRISK: [192.168.0.20]:25 takes what the routes leave; it \
                must not send \
                 that back here"]
        );
        assert_eq!(
            warnings(&[smart_host, (DocumentName::Routes, "a.jp,192.0.2.1,25\n*,192.0.2.2,25")]),
            ["smart-host:1: warning W-LOOPRISK: [192.168.0.20]:25 is never used, routes:2 matches \
                everything"]
        );
    }
}
