//! Networks as they are written, and which of them may be trusted.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

/// Shorter prefixes are nobody's own network (SEED-079).
pub(super) fn shortest_trusted(network: &IpNet) -> u8 {
    match network {
        IpNet::V4(_) => 8,
        IpNet::V6(_) => 32,
    }
}

/// `::ffff:192.0.2.0/120` is 192.0.2.0/24 (SEED-084).
pub(super) fn unmap(network: IpNet) -> IpNet {
    let IpNet::V6(ipv6) = network else { return network };
    let ipv4 = ipv6.addr().to_ipv4_mapped().zip(ipv6.prefix_len().checked_sub(96));
    ipv4.and_then(|(address, length)| Ipv4Net::new(address, length).ok()).map_or(network, IpNet::V4)
}

/// Reached from everywhere: not of RFC 1918, 3927, 4193, 6598.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            let is_shared = first == 100 && (64..128).contains(&second);
            !(address.is_private() || address.is_loopback() || address.is_link_local() || is_shared)
        }
        IpAddr::V6(address) => {
            !(address.is_unique_local() || address.is_loopback() || address.is_unicast_link_local())
        }
    }
}

/// `IPv4,mask`, `network/length` or an address; the bits behind the prefix as they were written.
pub(super) fn read(text: &str) -> Result<IpNet, Malformed> {
    if let Some((address, mask)) = text.split_once(',') {
        let address: Ipv4Addr = address.parse().map_err(|_| Malformed::Shape)?;
        let mask: Ipv4Addr = mask.parse().map_err(|_| Malformed::Shape)?;
        return Ipv4Net::with_netmask(address, mask).map(IpNet::V4).map_err(|_| Malformed::Mask(mask));
    }
    let network = if text.contains('/') {
        text.parse().map_err(|_| Malformed::Shape)?
    } else {
        text.parse::<IpAddr>().map(IpNet::from).map_err(|_| Malformed::Shape)?
    };
    Ok(unmap(network))
}

/// `192.168.0.20`, `192.168.*.*`: whole octets at the end are any.
pub(super) fn wildcard(text: &str) -> Option<Ipv4Net> {
    let octets: Vec<&str> = text.split('.').collect();
    let fixed = octets.iter().take_while(|octet| **octet != "*").count();
    let (fixed, wild) = octets.split_at_checked(fixed)?;
    if octets.len() != 4 || wild.iter().any(|octet| *octet != "*") {
        return None;
    }
    let address = fixed.iter().copied().chain(wild.iter().map(|_| "0")).collect::<Vec<_>>().join(".");
    Ipv4Net::new(address.parse().ok()?, u8::try_from(fixed.len() * 8).ok()?).ok()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Malformed {
    Shape,
    /// It has holes.
    Mask(Ipv4Addr),
}
