//! The networks whose clients may send anywhere.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

use ipnet::IpNet;

/// Networks by family and prefix length: a look-up asks once for each length in use.
#[derive(Debug, Default)]
pub(crate) struct RelayNetworks {
    ipv4: BTreeMap<u8, HashMap<IpNet, u32>>,
    ipv6: BTreeMap<u8, HashMap<IpNet, u32>>,
}

impl RelayNetworks {
    /// The line that has this network already, if there is one.
    pub(crate) fn insert(&mut self, network: IpNet, line: u32) -> Option<u32> {
        let network = network.trunc();
        let family = match network {
            IpNet::V4(_) => &mut self.ipv4,
            IpNet::V6(_) => &mut self.ipv6,
        };
        let lines = family.entry(network.prefix_len()).or_default();
        if let Some(earlier) = lines.get(&network) {
            return Some(*earlier);
        }
        lines.insert(network, line);
        None
    }

    pub(crate) fn contains(&self, network: IpNet) -> bool {
        let network = network.trunc();
        let family = match network {
            IpNet::V4(_) => &self.ipv4,
            IpNet::V6(_) => &self.ipv6,
        };
        family.get(&network.prefix_len()).is_some_and(|lines| lines.contains_key(&network))
    }

    /// The line of the narrowest network that `client` is in. An IPv4-mapped client must have been
    /// made an IPv4 client before (SEED-084).
    pub(crate) fn line_of(&self, client: IpAddr) -> Option<u32> {
        let family = match client {
            IpAddr::V4(_) => &self.ipv4,
            IpAddr::V6(_) => &self.ipv6,
        };
        family.iter().rev().find_map(|(prefix_len, lines)| {
            let network = IpNet::new(client, *prefix_len).ok()?.trunc();
            lines.get(&network).copied()
        })
    }
}
