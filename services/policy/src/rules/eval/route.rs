//! Where mail goes: table, smart host, MX (SEED-019, SEED-021).

use std::{net::IpAddr, time::SystemTime};

use hikyaku_types::{
    address::{MailHost, Mailbox, ReversePath},
    destination::{Destination, HostName},
    domain::Domain,
};

use super::Rules;
use crate::{
    document::DocumentName,
    rules::decision::{DecidedBy, RouteDecision},
};

impl Rules {
    pub fn resolve_route(&self, domain: &Domain, sender: &ReversePath, now: SystemTime) -> RouteDecision {
        let sender_bound = self.routes.table.depend_on_sender();
        if let Some(route) = self.routes.table.find(domain, sender, now) {
            let decided_by = Some(DecidedBy::Line(DocumentName::Routes, route.line));
            return RouteDecision { destination: route.next_hop.destination(), decided_by, sender_bound };
        }
        if let Some(smart_host) = &self.smart_host.table {
            let decided_by = Some(DecidedBy::Line(DocumentName::SmartHost, smart_host.line));
            return RouteDecision {
                destination: smart_host.next_hop.destination(),
                decided_by,
                sender_bound,
            };
        }
        RouteDecision { destination: Destination::Mx(domain.clone()), decided_by: None, sender_bound }
    }

    pub(super) fn route_of(&self, mailbox: &Mailbox, sender: &ReversePath, now: SystemTime) -> RouteDecision {
        match mailbox.host() {
            MailHost::Domain(domain) => self.resolve_route(domain, sender, now),
            MailHost::Literal(address) => RouteDecision {
                destination: Destination::literal(*address),
                decided_by: None,
                sender_bound: false,
            },
        }
    }

    /// SEED-004 (b). Loopback says nothing: sender and next hop are two programs of this machine.
    pub(super) fn is_at(&self, destination: &Destination, client: IpAddr) -> bool {
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
