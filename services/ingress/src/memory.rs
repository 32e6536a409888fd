//! What the content that comes in may take of the memory of this process, all connections together. Who begins
//! when most of it is taken is put off, so that those that have begun can end.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

#[derive(Debug, Clone)]
pub(crate) struct Memory(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limit: usize,
    taken: AtomicUsize,
}

/// What one connection has taken; it is given back with it.
#[derive(Debug)]
pub(crate) struct Share {
    memory: Memory,
    taken: usize,
}

impl Memory {
    /// Octets; 0 is no limit.
    pub(crate) fn new(limit: u64) -> Self {
        let limit = if limit == 0 { usize::MAX } else { usize::try_from(limit).unwrap_or(usize::MAX) };
        Self(Arc::new(Inner { limit, taken: AtomicUsize::new(0) }))
    }

    pub(crate) fn share(&self) -> Share {
        Share { memory: self.clone(), taken: 0 }
    }

    /// Three quarters are taken.
    pub(crate) fn is_scarce(&self) -> bool {
        self.0.taken.load(Ordering::Relaxed) / 3 >= self.0.limit / 4
    }
}

impl Share {
    /// The connection has so much now. False: that is more than there is.
    pub(crate) fn is_granted(&mut self, now: usize) -> bool {
        let total = &self.memory.0.taken;
        let before = self.taken;
        self.taken = now;
        if now <= before {
            total.fetch_sub(before - now, Ordering::Relaxed);
            return true;
        }
        let more = now - before;
        total.fetch_add(more, Ordering::Relaxed).saturating_add(more) <= self.memory.0.limit
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.memory.0.taken.fetch_sub(self.taken, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_so_much_for_all() {
        let memory = Memory::new(100);
        let (mut one, mut other) = (memory.share(), memory.share());
        assert!(one.is_granted(70) && !memory.is_scarce());
        assert!(other.is_granted(30) && memory.is_scarce());
        assert!(!other.is_granted(31));
        assert!(other.is_granted(0) && !memory.is_scarce());
        assert!(one.is_granted(100));
        drop(one);
        assert!(!memory.is_scarce() && other.is_granted(100));
    }

    #[test]
    fn without_a_limit_it_is_never_scarce() {
        let memory = Memory::new(0);
        let mut share = memory.share();
        assert!(share.is_granted(usize::MAX / 2) && !memory.is_scarce());
    }
}
