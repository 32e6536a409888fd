//! Who is greeted, and who without limits.

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::IpNet;

use super::networks::Networks;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Welcome {
    /// No limits of connections.
    Accept,
    /// 554 instead of a greeting.
    Refuse,
}

#[derive(Debug, Default)]
pub(crate) struct Connections {
    networks: Networks,
    lines: BTreeMap<u32, Welcome>,
}

impl Connections {
    pub(crate) fn insert(&mut self, networks: &[IpNet], welcome: Welcome, line: u32) {
        for network in networks {
            self.networks.insert(*network, line);
        }
        self.lines.insert(line, welcome);
    }

    pub(crate) fn covering(&self, network: IpNet) -> Option<u32> {
        self.networks.first_around(network)
    }

    pub(crate) fn find(&self, client: IpAddr) -> Option<(Welcome, u32)> {
        let line = self.networks.first_around(IpNet::from(client))?;
        Some((*self.lines.get(&line)?, line))
    }
}
