//! Which of our addresses a message leaves from. A retry from another address is a first contact
//! again, so a sender keeps its address at a destination (SEED-179): the choice is a function of
//! the two and of the pool, which every worker computes alike. When an address comes or goes,
//! only those that it wins or had move.

use std::{
    collections::HashMap,
    io::ErrorKind,
    net::{IpAddr, SocketAddr},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use hikyaku_types::{address::ReversePath, destination::Destination, shard::fnv1a, traffic::EgressAddress};

const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// The address of a pool for this sender and destination. One that nobody can use is chosen only
/// when there is no other: the attempt then says what is wrong.
pub(crate) fn choose<'a>(
    pool: &'a [EgressAddress],
    sender: &ReversePath,
    destination: &Destination,
    is_usable: impl Fn(&EgressAddress) -> bool,
) -> Option<&'a EgressAddress> {
    let key = format!("{sender}/{destination}");
    pool.iter().max_by_key(|egress| (is_usable(egress), mixed(fnv1a(&format!("{}/{key}", egress.address)))))
}

/// Addresses differ in few bits; so that each wins as often, the bits are spread.
fn mixed(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// Which addresses this machine has, asked of the kernel now and then.
#[derive(Debug, Default)]
pub(crate) struct LocalAddresses(Mutex<HashMap<IpAddr, (Instant, bool)>>);

impl LocalAddresses {
    /// One behind a proxy is usable from everywhere.
    pub(crate) fn can_use(&self, egress: &EgressAddress) -> bool {
        if egress.via.is_some() {
            return true;
        }
        let now = Instant::now();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match known.get(&egress.address) {
            Some((at, local)) if now.duration_since(*at) < LOOK_AGAIN => *local,
            Some(_) | None => {
                let bound = std::net::TcpListener::bind(SocketAddr::new(egress.address, 0));
                // No port or no file left is another trouble: the sender keeps its address.
                let local = bound.err().is_none_or(|error| error.kind() != ErrorKind::AddrNotAvailable);
                known.insert(egress.address, (now, local));
                local
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(addresses: &[&str]) -> Vec<EgressAddress> {
        let egress = |text: &&str| EgressAddress { address: text.parse().unwrap(), via: None, name: None };
        addresses.iter().map(egress).collect()
    }

    fn chosen(pool: &[EgressAddress], sender: usize) -> IpAddr {
        let sender = format!("u{sender}@a.example").parse().unwrap();
        choose(pool, &sender, &"example.org".parse().unwrap(), |_| true).unwrap().address
    }

    #[test]
    fn addresses_share_evenly_and_a_new_one_takes_only_its_part() {
        let three = pool(&["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
        let four = pool(&["192.0.2.3", "192.0.2.4", "192.0.2.2", "192.0.2.1"]);
        let new = four[1].address;
        let mut counts = HashMap::new();
        for sender in 0..4_000 {
            let (before, after) = (chosen(&three, sender), chosen(&four, sender));
            assert!(after == before || after == new);
            *counts.entry(after).or_insert(0) += 1;
        }
        assert!(counts.values().all(|count| (850..1_150).contains(count)), "{counts:?}");
    }

    #[test]
    fn what_this_machine_has_comes_first() {
        let pool = pool(&["192.0.2.1", "127.0.0.1"]);
        let local = LocalAddresses::default();
        for sender in 0..10 {
            let sender = format!("u{sender}@a.example").parse().unwrap();
            let egress = choose(&pool, &sender, &"example.org".parse().unwrap(), |it| local.can_use(it));
            assert_eq!(egress.unwrap().address, pool[1].address);
        }
        assert!(choose(&[], &ReversePath::Null, &"example.org".parse().unwrap(), |_| true).is_none());
    }
}
