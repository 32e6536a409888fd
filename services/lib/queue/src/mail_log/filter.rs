//! A Bloom filter with a frozen layout: what was written is read by later versions.

use bytes::Bytes;
use hikyaku_types::shard::fnv1a;

/// With eleven places a key, one of 2,000 keys that are not there seems to be.
const BITS_PER_KEY: usize = 16;
const PLACES: u64 = 11;

/// A key, as filters know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Hash(u64);

impl Hash {
    pub(super) fn of(key: &str) -> Self {
        Self(mixed(fnv1a(key)))
    }

    /// Where its bits are, among so many.
    fn places(self, bits: u64) -> impl Iterator<Item = u64> {
        let step = mixed(self.0) | 1;
        (0..PLACES).map(move |number| self.0.wrapping_add(step.wrapping_mul(number)) % bits)
    }
}

/// The finalizer of SplitMix64, written out like the hash: FNV leaves its high bits poor.
fn mixed(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

pub(super) fn of<'a>(keys: impl ExactSizeIterator<Item = &'a Hash>) -> Bytes {
    let mut octets = vec![0_u8; (keys.len() * BITS_PER_KEY).div_ceil(8).max(1)];
    let bits = octets.len() as u64 * 8;
    for place in keys.flat_map(|key| key.places(bits)) {
        if let Some(octet) = octets.get_mut(usize::try_from(place / 8).unwrap_or(usize::MAX)) {
            *octet |= 1 << (place % 8);
        }
    }
    octets.into()
}

/// False: it is not. True: it is, or it seems so.
pub(super) fn may_hold(filter: &[u8], key: Hash) -> bool {
    let is_set = |place: u64| {
        let octet = usize::try_from(place / 8).ok().and_then(|index| filter.get(index));
        octet.is_some_and(|octet| octet & (1 << (place % 8)) != 0)
    };
    !filter.is_empty() && key.places(filter.len() as u64 * 8).all(is_set)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashes(range: std::ops::Range<u32>) -> Vec<Hash> {
        range.map(|number| Hash::of(&format!("q{number}@example.org"))).collect()
    }

    #[test]
    fn what_is_there_is_found_and_little_else() {
        let (there, others) = (hashes(0..5_000), hashes(5_000..105_000));
        let filter = of(there.iter());
        assert!(there.iter().all(|key| may_hold(&filter, *key)));
        let seeming = others.iter().filter(|key| may_hold(&filter, **key)).count();
        assert!(seeming < 100, "{seeming} of 100,000");
        assert!(!may_hold(&[], Hash::of("a")) && !may_hold(&of([].iter()), Hash::of("a")));
    }

    /// A failure here means that lines of earlier versions are not found any more.
    #[test]
    fn frozen() {
        assert_eq!(Hash::of("q01arz3ndektsv4rrffq69g5fav").0, 9_360_615_378_978_090_237);
        assert_eq!(
            of([Hash::of("a"), Hash::of("b"), Hash::of("c")].iter())[..],
            [0x7f, 0x30, 0x61, 0xb0, 0x95, 0xff]
        );
    }
}
