//! What the content that comes in may take of the memory of this process, all connections together. Who begins
//! when most of it is taken is put off, so that those that have begun can end; and no client takes all of it, or one
//! that sends large messages slowly would keep everybody else's out.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use hikyaku_types::origin::limited_as;

#[derive(Debug, Clone)]
pub(crate) struct Memory(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limit: usize,
    /// Of one client.
    limit_of_one: usize,
    taken: AtomicUsize,
    by_client: Mutex<HashMap<IpAddr, usize>>,
}

/// What one connection has taken; it is given back with it.
#[derive(Debug)]
pub(crate) struct Share {
    memory: Memory,
    client: IpAddr,
    taken: usize,
}

impl Memory {
    /// Octets; 0 is no limit. `largest` is the largest message.
    pub(crate) fn new(limit: u64, largest: u64) -> Self {
        let octets = |number| usize::try_from(number).unwrap_or(usize::MAX);
        let limit = if limit == 0 { usize::MAX } else { octets(limit) };
        // The buffer of a message may be twice as large as it.
        let one_message = if largest == 0 { usize::MAX } else { octets(largest).saturating_mul(2) };
        let limit_of_one = (limit / 4).max(one_message);
        let (taken, by_client) = (AtomicUsize::new(0), Mutex::default());
        Self(Arc::new(Inner { limit, limit_of_one, taken, by_client }))
    }

    pub(crate) fn share(&self, client: IpAddr) -> Share {
        Share { memory: self.clone(), client: limited_as(client), taken: 0 }
    }

    /// What is taken, and what may be, if there is a limit.
    pub(crate) fn taken(&self) -> (usize, Option<usize>) {
        let limit = Some(self.0.limit).filter(|limit| *limit != usize::MAX);
        (self.0.taken.load(Ordering::Relaxed), limit)
    }

    /// Three quarters are taken.
    pub(crate) fn is_scarce(&self) -> bool {
        self.0.taken.load(Ordering::Relaxed) / 3 >= self.0.limit / 4
    }
}

impl Share {
    /// The connection has so much now. False: that is more than there is, or more than one client may have.
    pub(crate) fn is_granted(&mut self, now: usize, is_exempt: bool) -> bool {
        let Inner { limit, limit_of_one, taken: total, .. } = &*self.memory.0;
        let before = std::mem::replace(&mut self.taken, now);
        if now == before {
            return true;
        }
        let of_client = self.book(before, now);
        if now < before {
            total.fetch_sub(before - now, Ordering::Relaxed);
            return true;
        }
        let more = now - before;
        let of_all = total.fetch_add(more, Ordering::Relaxed).saturating_add(more);
        of_all <= *limit && (is_exempt || of_client <= *limit_of_one)
    }

    /// What its client has now.
    fn book(&self, before: usize, now: usize) -> usize {
        // Nothing can panic while it is held, so a poisoned lock holds good numbers.
        let mut clients = self.memory.0.by_client.lock().unwrap_or_else(PoisonError::into_inner);
        match clients.entry(self.client) {
            Entry::Occupied(mut entry) => {
                let of_client = entry.get().saturating_add(now).saturating_sub(before);
                if of_client == 0 {
                    entry.remove()
                } else {
                    entry.insert(of_client)
                };
                of_client
            }
            Entry::Vacant(entry) => *entry.insert(now),
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.is_granted(0, true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    #[test]
    fn there_is_so_much_for_all() {
        let memory = Memory::new(100, 50);
        let (mut one, mut other) = (memory.share(ONE), memory.share(OTHER));
        assert!(one.is_granted(70, false) && !memory.is_scarce());
        assert!(other.is_granted(30, false) && memory.is_scarce());
        assert!(!other.is_granted(31, false));
        assert!(other.is_granted(0, false) && !memory.is_scarce());
        assert!(one.is_granted(100, false));
        drop(one);
        assert!(!memory.is_scarce() && other.is_granted(100, false));
        drop(other);
        assert!(memory.0.by_client.lock().unwrap().is_empty());
    }

    #[test]
    fn there_is_so_much_for_one_client() {
        let memory = Memory::new(400, 20);
        let (mut one, mut again, mut other) = (memory.share(ONE), memory.share(ONE), memory.share(OTHER));
        assert!(one.is_granted(60, false) && again.is_granted(40, false));
        assert!(!again.is_granted(41, false), "a quarter");
        assert!(again.is_granted(100, true), "a network of ours has no such limit");
        assert!(other.is_granted(100, false));
        assert!(
            Memory::new(40, 20).share(ONE).is_granted(40, false),
            "a message comes in, whatever its size"
        );
    }

    #[test]
    fn without_a_limit_it_is_never_scarce() {
        let memory = Memory::new(0, 0);
        let mut share = memory.share(ONE);
        assert!(share.is_granted(usize::MAX / 2, false) && !memory.is_scarce());
    }
}
