//! Keeps the worker's sums of what its destinations hold back, and of what they have set aside because it is slow, right
//! on every way out.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Entries of all destinations.
#[derive(Debug, Clone, Default)]
pub(crate) struct HeldBack(Arc<AtomicUsize>);

impl HeldBack {
    pub(crate) fn sum(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn share(&self) -> Share {
        Share { all: self.clone(), own: 0 }
    }
}

/// Those of one destination.
pub(crate) struct Share {
    all: HeldBack,
    own: usize,
}

impl Share {
    pub(crate) fn set(&mut self, count: usize) {
        if count != self.own {
            // Ours are in the sum, so it does not fall below none.
            self.all.0.fetch_add(count, Ordering::Relaxed);
            self.all.0.fetch_sub(self.own, Ordering::Relaxed);
            self.own = count;
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// Sessions of a destination that have their greeting, and wait for a turn of this process: more workers would help.
#[derive(Debug, Clone, Default)]
pub(crate) struct Waiting(Arc<AtomicUsize>);

/// One of them, until it is dropped.
pub(crate) struct Waits(Waiting);

impl Waiting {
    pub(crate) fn one_more(&self) -> Waits {
        self.0.fetch_add(1, Ordering::Relaxed);
        Waits(self.clone())
    }

    pub(crate) fn any(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_and_go_with_their_destination() {
        let all = HeldBack::default();
        let (mut one, mut other) = (all.share(), all.share());
        one.set(5);
        other.set(2);
        one.set(3);
        assert_eq!(all.sum(), 5);
        drop(one);
        assert_eq!(all.sum(), 2);
    }
}
