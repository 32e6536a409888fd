//! Question to answer, in the order of SEED-032: alias, own domain, right to relay,
//! next hop. The sender address never grants anything (SEED-082), nor does a route
//! (SEED-028), nor an alias outside the own domains (SEED-041).

use std::net::IpAddr;

use hikyaku_types::{
    address::{ForwardPath, MailHost, Mailbox, ReversePath},
    destination::{Destination, HostName},
    domain::Domain,
    reply::Reply,
    traffic::TrafficRules,
};

use super::{
    Rules,
    decision::{
        ConnectionDecision, DecidedBy, Decision, RecipientDecision, RecipientVerdict, RouteDecision, Scope,
        Verdict, replies,
    },
    parse::aliases::MAX_CHAIN,
    table::aliases::DomainRule,
};
use crate::document::DocumentName;

const POSTMASTER: &str = "postmaster";

/// A recipient that may be delivered to, next hop not yet known.
struct Admitted {
    deliver_to: Mailbox,
    decided_by: DecidedBy,
}

struct Refused {
    reply: Reply,
    decided_by: DecidedBy,
}

/// The end of an alias chain.
struct Resolved {
    address: Mailbox,
    /// The first entry of an own domain that took part; with one the mail is ours to accept.
    own_entry: Option<u32>,
}

impl Rules {
    pub fn check_connection(&self, client: IpAddr) -> ConnectionDecision {
        let line = self.relay_line(client);
        ConnectionDecision {
            decision: Decision {
                verdict: Verdict::Accept,
                decided_by: line.unwrap_or(DecidedBy::Default),
                scope: Scope::Address,
            },
            relay_network: line.is_some(),
        }
    }

    /// Own-domain senders are protected, postmaster included (SEED-110).
    pub fn check_sender(&self, client: IpAddr, reverse_path: &ReversePath) -> Decision {
        let domain = match reverse_path {
            ReversePath::Null => None,
            ReversePath::Mailbox(mailbox) => mailbox.domain(),
        };
        let scope = if domain.is_some() { Scope::Domain } else { Scope::Address };
        let (verdict, decided_by) = match self.relay_line(client) {
            Some(line) => (Verdict::Accept, line),
            None if domain.is_some_and(|domain| self.own_domains.table.contains(domain)) => {
                (Verdict::Refuse(replies::authentication_required()), DecidedBy::OwnSender)
            }
            None => (Verdict::Accept, DecidedBy::Default),
        };
        Decision { verdict, decided_by, scope }
    }

    pub fn check_recipient(&self, client: IpAddr, recipient: &ForwardPath) -> RecipientDecision {
        let (mailbox, scope) = match recipient {
            ForwardPath::Mailbox(mailbox) => (Some(mailbox.clone()), self.scope_of(mailbox)),
            ForwardPath::Postmaster => (self.postmaster(), Scope::Address),
        };
        let admission = match mailbox {
            Some(mailbox) => self.admit(client, mailbox),
            None => Err(unknown_recipient()),
        };
        let (verdict, decided_by) = match admission.and_then(|admitted| self.send_on(client, admitted)) {
            Ok((Admitted { deliver_to, decided_by }, destination)) => {
                (RecipientVerdict::Accept { deliver_to, destination }, decided_by)
            }
            Err(Refused { reply, decided_by }) => (RecipientVerdict::Refuse(reply), decided_by),
        };
        RecipientDecision { verdict, decided_by, scope }
    }

    /// Table, smart host, MX (SEED-019, 021).
    pub fn resolve_route(&self, domain: &Domain) -> RouteDecision {
        if let Some(route) = self.routes.table.find(domain) {
            let decided_by = Some(DecidedBy::Line(DocumentName::Routes, route.line));
            return RouteDecision { destination: route.next_hop.destination(), decided_by };
        }
        if let Some(smart_host) = &self.smart_host.table {
            let decided_by = Some(DecidedBy::Line(DocumentName::SmartHost, smart_host.line));
            return RouteDecision { destination: smart_host.next_hop.destination(), decided_by };
        }
        RouteDecision { destination: Destination::Mx(domain.clone()), decided_by: None }
    }

    /// Names with their addresses, before DNS (SEED-152).
    pub fn hosts(&self) -> impl Iterator<Item = (&Domain, &[IpAddr])> {
        self.hosts.table.iter()
    }

    /// How much goes where, and by which version a worker knows it.
    pub(crate) fn traffic(&self) -> (&TrafficRules, u64) {
        (&self.traffic.table.rules, self.traffic.table.version)
    }

    fn relay_line(&self, client: IpAddr) -> Option<DecidedBy> {
        // SEED-084: ::ffff:192.168.0.20 is 192.168.0.20.
        let line = self.relay_networks.table.line_of(client.to_canonical())?;
        Some(DecidedBy::Line(DocumentName::RelayNetworks, line))
    }

    /// Where `<Postmaster>` goes (RFC 5321 4.5.1).
    fn postmaster(&self) -> Option<Mailbox> {
        let domain = self.own_domains.table.first()?;
        Mailbox::new(POSTMASTER, MailHost::Domain(domain.clone())).ok()
    }

    fn is_own(&self, mailbox: &Mailbox) -> bool {
        // An address literal is never an own domain.
        mailbox.domain().is_some_and(|domain| self.own_domains.table.contains(domain))
    }

    /// Whether the answer is the same for every address of the domain.
    fn scope_of(&self, mailbox: &Mailbox) -> Scope {
        let Some(domain) = mailbox.domain() else { return Scope::Address };
        match (self.aliases.table.domain_rule(domain), self.is_own(mailbox)) {
            (DomainRule::Unlisted, false) | (DomainRule::EveryAddress { .. }, true) => Scope::Domain,
            (DomainRule::Unlisted, true)
            | (DomainRule::EveryAddress { .. }, false)
            | (DomainRule::ByAddress, _) => Scope::Address,
        }
    }

    fn admit(&self, client: IpAddr, mailbox: Mailbox) -> Result<Admitted, Refused> {
        let Resolved { address, own_entry } = self.resolve_aliases(mailbox)?;
        let decided_by = if let Some(line) = own_entry {
            DecidedBy::Line(DocumentName::Aliases, line)
        } else if self.is_own(&address) {
            // SEED-111: postmaster needs no entry.
            if !address.local_part().eq_ignore_ascii_case(POSTMASTER) {
                return Err(unknown_recipient());
            }
            DecidedBy::Postmaster
        } else if let Some(line) = self.relay_line(client) {
            line
        } else {
            return Err(Refused { reply: replies::relaying_denied(), decided_by: DecidedBy::Default });
        };
        Ok(Admitted { deliver_to: address, decided_by })
    }

    fn resolve_aliases(&self, mailbox: Mailbox) -> Result<Resolved, Refused> {
        let mut resolved = Resolved { address: mailbox, own_entry: None };
        // One more than a chain may have, for the entry that maps its end to itself.
        for _ in 0..=MAX_CHAIN {
            let Some(step) = self.aliases.table.step(&resolved.address) else { return Ok(resolved) };
            if self.is_own(&resolved.address) {
                resolved.own_entry.get_or_insert(step.line);
            }
            match step.next {
                Some(next) => resolved.address = next,
                None => return Ok(resolved),
            }
        }
        // Only a chain that changes from wildcards to exact entries half-way can get here: the
        // parts were checked, the sum was not.
        let line = self.aliases.table.step(&resolved.address).map_or(0, |step| step.line);
        let decided_by = DecidedBy::Line(DocumentName::Aliases, line);
        Err(Refused { reply: replies::alias_chain_too_long(), decided_by })
    }

    fn send_on(&self, client: IpAddr, admitted: Admitted) -> Result<(Admitted, Destination), Refused> {
        let destination = match admitted.deliver_to.host() {
            MailHost::Domain(domain) => self.resolve_route(domain).destination,
            MailHost::Literal(address) => Destination::literal(*address),
        };
        if self.is_at(&destination, client.to_canonical()) {
            let reply = replies::next_hop_is_client();
            return Err(Refused { reply, decided_by: DecidedBy::NextHopIsClient });
        }
        Ok((admitted, destination))
    }

    /// SEED-004 (b). Loopback says nothing: sender and next hop are two programs of this machine.
    fn is_at(&self, destination: &Destination, client: IpAddr) -> bool {
        if client.is_loopback() {
            return false;
        }
        match destination {
            Destination::Mx(_) => false,
            Destination::Host { host: HostName::Address(address), .. } => *address == client,
            Destination::Host { host: HostName::Name(name), .. } => {
                self.hosts.table.addresses(name).contains(&client)
            }
        }
    }
}

fn unknown_recipient() -> Refused {
    Refused { reply: replies::unknown_recipient(), decided_by: DecidedBy::UnknownRecipient }
}

#[cfg(test)]
mod tests;
