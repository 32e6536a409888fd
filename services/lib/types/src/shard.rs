//! Destination -> shard. The function is part of the wire contract: changing it
//! would give queued mail another owner.

use std::{fmt, num::NonZeroU16};

use crate::destination::Destination;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardId(u16);

/// A constant of a cluster, fixed when its streams are first made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardCount(NonZeroU16);

impl ShardCount {
    /// The largest number of shards: each is two streams and three consumers.
    pub const MAX: u16 = 256;

    pub fn new(count: u16) -> Option<Self> {
        NonZeroU16::new(count).filter(|count| count.get() <= Self::MAX).map(Self)
    }

    pub fn get(self) -> u16 {
        self.0.get()
    }

    pub fn shard_of(self, destination: &Destination) -> ShardId {
        let index = fnv1a(&destination.to_string()) % u64::from(self.0.get());
        ShardId(u16::try_from(index).unwrap_or(0)) // always fits: it is below a u16
    }

    pub fn shards(self) -> impl Iterator<Item = ShardId> {
        (0..self.0.get()).map(ShardId)
    }
}

/// FNV-1a (64 bit), written out so that no dependency's upgrade can move mail between shards.
pub fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

impl ShardId {
    pub const fn new(index: u16) -> Self {
        Self(index)
    }

    pub const fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frozen: a failure here means queued mail would change owner.
    #[test]
    fn frozen() {
        let count = ShardCount::new(16).unwrap();
        let shard = |text: &str| count.shard_of(&text.parse().unwrap()).get();
        let names = ["example.org", "example.com", "xn--mnchen-3ya.de", "[192.0.2.1]:25"];
        assert_eq!(names.map(shard), [1, 6, 9, 15]);
    }
}
