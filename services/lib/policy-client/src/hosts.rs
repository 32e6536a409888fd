//! The host map: names whose addresses are written down instead of being asked from DNS.

use std::{collections::HashMap, net::IpAddr};

use hikyaku_types::domain::Domain;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostMap {
    /// Version of the directory; 0 before the first answer.
    pub(crate) version: u64,
    addresses: HashMap<Domain, Vec<IpAddr>>,
}

impl HostMap {
    pub(crate) fn with_version(mut self, version: u64) -> Self {
        self.version = version;
        self
    }

    /// The addresses of `name`; when there are any, DNS is not asked (SEED-017).
    pub fn addresses(&self, name: &Domain) -> Option<&[IpAddr]> {
        self.addresses.get(name).map(Vec::as_slice)
    }

    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty()
    }
}

impl FromIterator<(Domain, Vec<IpAddr>)> for HostMap {
    fn from_iter<I: IntoIterator<Item = (Domain, Vec<IpAddr>)>>(hosts: I) -> Self {
        Self { version: 0, addresses: hosts.into_iter().collect() }
    }
}
