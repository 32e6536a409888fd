//! Names whose addresses are written down instead of being asked from DNS.

use std::{collections::BTreeMap, net::IpAddr};

use hikyaku_types::domain::Domain;

#[derive(Debug, Default)]
pub(crate) struct Hosts {
    hosts: BTreeMap<Domain, (u32, Vec<IpAddr>)>,
}

impl Hosts {
    /// The line that has this name already, if there is one.
    pub(crate) fn insert(&mut self, name: Domain, line: u32, addresses: Vec<IpAddr>) -> Option<u32> {
        if let Some((earlier, _)) = self.hosts.get(&name) {
            return Some(*earlier);
        }
        self.hosts.insert(name, (line, addresses));
        None
    }

    pub(crate) fn addresses(&self, name: &Domain) -> &[IpAddr] {
        self.hosts.get(name).map_or(&[], |(_, addresses)| addresses)
    }

    pub(crate) fn line_of(&self, name: &Domain) -> Option<u32> {
        self.hosts.get(name).map(|(line, _)| *line)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Domain, &[IpAddr])> {
        self.hosts.iter().map(|(name, (_, addresses))| (name, addresses.as_slice()))
    }
}
