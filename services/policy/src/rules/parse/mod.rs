//! Document text to tables, one file for each document. Every problem is found in
//! one pass; a line with an error adds nothing to the table.

mod lines; // text -> data lines
pub(crate) mod own_domains;
mod networks; // networks as they are written
pub(crate) mod connections;
pub(crate) mod access;
pub(crate) mod relay_networks;
pub(crate) mod aliases;
pub(crate) mod accounts;
pub(crate) mod sources;
pub(crate) mod credentials;
pub(crate) mod sender_rules;
pub(crate) mod routes;
pub(crate) mod smart_host;
pub(crate) mod hosts;
pub(crate) mod traffic;
pub(crate) mod settings;

use std::net::IpAddr;

use crate::{document::DocumentName, problem::Findings};

pub(crate) use lines::{Line, all_lines, clean_lines, data_lines};

/// What `parse` makes of a text whose problems are told, or were told, elsewhere.
pub(crate) fn ignoring<T>(document: DocumentName, parse: impl FnOnce(&mut Findings) -> T) -> T {
    parse(&mut Findings::new(document))
}

/// What the relay knows of itself; a next hop must not be one of these.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Addresses of this cluster's own listeners (E-GW-SELF, SEED-004).
    pub own_addresses: Vec<IpAddr>,
    /// Name of the cluster, for reports.
    pub hostname: String,
    /// Addresses of the resolvers (E-GW-DNSIP, SEED-021).
    pub dns_servers: Vec<IpAddr>,
    /// Names of the LDAP servers that can be asked. Absent: they are not compared, because a process that
    /// does not know one of them still answers for all other domains.
    pub ldap_servers: Option<Vec<String>>,
}
