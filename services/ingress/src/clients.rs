//! How many connections each client address has. Not each network: large providers send from one /64.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

#[derive(Debug, Clone, Default)]
pub(crate) struct Clients {
    connections: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// One connection of a client; it is counted for as long as this lives.
#[derive(Debug)]
pub(crate) struct Counted {
    clients: Clients,
    client: IpAddr,
    /// Connections of the client when this one came, itself included.
    pub(crate) ordinal: usize,
}

impl Clients {
    pub(crate) fn count(&self, client: IpAddr) -> Counted {
        let mut connections = self.lock();
        let count = connections.entry(client).or_default();
        *count += 1;
        Counted { ordinal: *count, clients: self.clone(), client }
    }

    /// Nothing can panic while it is held, so a poisoned lock holds good counts.
    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = self.clients.lock().entry(self.client) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_is_counted_apart_and_forgotten() {
        let clients = Clients::default();
        let (one, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let first = clients.count(one);
        let second = clients.count(one);
        assert_eq!((first.ordinal, second.ordinal, clients.count(other).ordinal), (1, 2, 1));
        drop(first);
        assert_eq!(clients.count(one).ordinal, 2);
        drop(second);
        assert!(clients.lock().is_empty());
    }
}
