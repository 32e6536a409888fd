//! Keeps the worker's sum of what its destinations hold back right, on every way out.

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
