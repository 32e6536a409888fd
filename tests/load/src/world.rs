//! Domains, and the loopback addresses where their servers are. How a server behaves follows from
//! its address.

use std::net::Ipv4Addr;

pub const HEALTHY: usize = 250;
pub const GREY: usize = 2_000;
pub const TARPITS: usize = 100;
pub const SILENT: usize = 50;
pub const DEAD: usize = 20_000;

/// Nobody listens there.
const CLOSED_PORT: u16 = 9;

const PER_NET: usize = 250;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    Accepts,
    Greylists,
    /// Takes its time for each reply.
    Tarpit,
    /// Takes the connection and says nothing.
    Silent,
}

pub fn healthy(n: usize) -> String {
    format!("d{n}.load.test")
}

/// The one destination that gets much.
pub fn grey_one() -> String {
    "grey.load.test".to_owned()
}

pub fn grey(n: usize) -> String {
    format!("g{n}.load.test")
}

pub fn tarpit(n: usize) -> String {
    format!("t{n}.load.test")
}

pub fn silent(n: usize) -> String {
    format!("s{n}.load.test")
}

/// Nobody is at its address.
pub fn dead(n: usize) -> String {
    format!("x{n}.load.test")
}

/// Every domain with the address and port of its server.
pub fn all(sink_port: u16) -> impl Iterator<Item = (String, Ipv4Addr, u16)> {
    let dead = (0..DEAD).map(|n| (dead(n), address(40, n), CLOSED_PORT));
    served().map(move |(domain, address)| (domain, address, sink_port)).chain(dead)
}

fn served() -> impl Iterator<Item = (String, Ipv4Addr)> {
    let healthy = (0..HEALTHY).map(|n| (healthy(n), address(1, n)));
    let one = std::iter::once((grey_one(), address(2, 0)));
    let grey = (0..GREY).map(|n| (grey(n), address(3, n)));
    let tarpits = (0..TARPITS).map(|n| (tarpit(n), address(20, n)));
    let silent = (0..SILENT).map(|n| (silent(n), address(30, n)));
    healthy.chain(one).chain(grey).chain(tarpits).chain(silent)
}

fn address(net: usize, n: usize) -> Ipv4Addr {
    let octet = |value: usize| u8::try_from(value).unwrap_or(u8::MAX);
    Ipv4Addr::new(127, 0, octet(net + n / PER_NET), octet(n % PER_NET + 1))
}

pub fn manner(address: Ipv4Addr) -> Manner {
    match address.octets() {
        [127, 0, 2..=19, _] => Manner::Greylists,
        [127, 0, 20..=29, _] => Manner::Tarpit,
        [127, 0, 30..=39, _] => Manner::Silent,
        _ => Manner::Accepts,
    }
}
