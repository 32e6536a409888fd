//! Networks with the lines that name them.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

use ipnet::IpNet;

/// Networks by family and prefix length: a look-up asks once for each length in use.
#[derive(Debug, Default)]
pub(crate) struct Networks {
    ipv4: BTreeMap<u8, HashMap<IpNet, u32>>,
    ipv6: BTreeMap<u8, HashMap<IpNet, u32>>,
}

impl Networks {
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
        let family = self.family(network.addr());
        family.get(&network.prefix_len()).is_some_and(|lines| lines.contains_key(&network))
    }

    /// The line of the narrowest network that `client` is in. An IPv4-mapped client must have been
    /// made an IPv4 client before (SEED-084).
    pub(crate) fn narrowest(&self, client: IpAddr) -> Option<u32> {
        self.lines_of(IpNet::from(client)).next()
    }

    /// The first line in whose network the whole of `network` is.
    pub(crate) fn first_around(&self, network: IpNet) -> Option<u32> {
        self.lines_of(network).min()
    }

    /// The lines in whose networks the whole of `network` is, the narrowest first.
    fn lines_of(&self, network: IpNet) -> impl Iterator<Item = u32> {
        let narrower = self.family(network.addr()).range(..=network.prefix_len()).rev();
        narrower.filter_map(move |(prefix_len, lines)| {
            let around = IpNet::new(network.addr(), *prefix_len).ok()?.trunc();
            lines.get(&around).copied()
        })
    }

    fn family(&self, address: IpAddr) -> &BTreeMap<u8, HashMap<IpNet, u32>> {
        match address {
            IpAddr::V4(_) => &self.ipv4,
            IpAddr::V6(_) => &self.ipv6,
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (IpNet, u32)> {
        let families = self.ipv4.values().chain(self.ipv6.values());
        families.flatten().map(|(network, line)| (*network, *line))
    }
}
