//! Resolvers, MX records and addresses.

use super::{
    step::{Mark, Step, StepReport},
    view::{Host, Names, Origin, View},
};
use crate::facts::Lookup;

/// Without any resolver nothing goes on; with one of several every look-up may be late.
pub(super) fn resolvers(view: &View) -> StepReport {
    let dead = view.resolvers.iter().filter(|resolver| resolver.answer.is_err()).count();
    let seen = view.resolvers.iter().map(|resolver| match &resolver.answer {
        Ok(milliseconds) => format!("{} answers after {milliseconds} ms", resolver.server),
        Err(why) => format!("{} is dead: {why}", resolver.server),
    });
    let (mark, help) = if dead == view.resolvers.len() {
        (
            Mark::Fail,
            "no resolver answers: look at the key dns of this node, and at port 53 (UDP and TCP) on the way",
        )
    } else if dead > 0 {
        (Mark::Warn, "start that resolver, or take it out of the key dns: look-ups wait for it")
    } else {
        (Mark::Ok, "")
    };
    StepReport::new(Step::Resolver, mark, seen.collect(), help)
}

pub(super) fn name(view: &View) -> StepReport {
    let mut seen = Vec::new();
    if !view.decided_by.is_empty() {
        seen.push(format!("{} leads to {}, whatever MX records say", view.decided_by, view.destination));
    }
    let (mark, help) = match &view.names {
        Names::Never(why) => {
            seen.push(why.clone());
            (
                Mark::Fail,
                "compare the spelling of the domain; its owner has to mend the DNS, or a line in routes has to \
                          name its server",
            )
        }
        Names::Unanswered(why) => {
            seen.push(why.clone());
            (
                Mark::Fail,
                "the resolvers answer, and not for this domain: its name servers are broken or out of reach; \
                          mail waits and is tried again",
            )
        }
        Names::Hosts(hosts) => {
            seen.extend(hosts.iter().map(words));
            let without = hosts.iter().filter(|host| !has_address(host)).count();
            if without == hosts.len() {
                (Mark::Fail, "enter an address for the name in the DNS, or in the document hosts")
            } else if without > 0 {
                (Mark::Warn, "a host has no address: each attempt loses time there")
            } else {
                (Mark::Ok, "")
            }
        }
    };
    StepReport::new(Step::Name, mark, seen, help)
}

fn has_address(host: &Host) -> bool {
    matches!(&host.addresses, Lookup::Found(contacts) if !contacts.is_empty())
}

fn words(host: &Host) -> String {
    let name = &host.name;
    let who = match host.origin {
        Origin::Mx { preference, ttl } => format!("MX {preference} {name} (TTL {ttl})"),
        Origin::Domain => format!("{name} itself, which has no MX"),
        Origin::BehindMx => format!("{name} itself, behind its MX hosts by rule"),
        Origin::Route => name.clone(),
    };
    let ttl = host.ttl.map(|ttl| format!(" (TTL {ttl})")).unwrap_or_default();
    match &host.addresses {
        Lookup::Found(contacts) => {
            let addresses: Vec<String> =
                contacts.iter().map(|contact| contact.address.ip().to_string()).collect();
            let is_mapped = contacts.iter().any(|contact| contact.is_mapped);
            let whence = if is_mapped { ", from the document hosts".to_owned() } else { ttl };
            format!("{who}: {}{whence}", addresses.join(", "))
        }
        Lookup::None => format!("{who}: no address"),
        Lookup::Failed(why) => format!("{who}: {why}"),
    }
}
