//! Answers that are still good: bounded, in memory, of this process only.
//!
//! Not a place of record: a full part is emptied, because an answer lives for
//! seconds and asking again is cheap.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

const SHARDS: u16 = 16;

/// No answer is fresh for longer, whatever the service says.
const MAX_VALID_FOR: Duration = Duration::from_secs(3600);

#[derive(Debug)]
pub(crate) struct Cache<K, V> {
    shards: Vec<Mutex<HashMap<K, Entry<V>>>>,
    hasher: RandomState,
    shard_capacity: usize,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    fresh_until: Instant,
}

impl<K: Eq + Hash, V: Clone> Cache<K, V> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            shard_capacity: (capacity / usize::from(SHARDS)).max(1),
        }
    }

    pub(crate) fn fresh(&self, key: &K, now: Instant) -> Option<V> {
        let shard = self.shard(key)?;
        shard.get(key).filter(|entry| entry.fresh_until > now).map(|entry| entry.value.clone())
    }

    pub(crate) fn insert(&self, key: K, value: V, valid_for: Duration, now: Instant) {
        let valid_for = valid_for.min(MAX_VALID_FOR);
        if valid_for.is_zero() {
            return;
        }
        let Some(mut shard) = self.shard(&key) else { return };
        if shard.len() >= self.shard_capacity && !shard.contains_key(&key) {
            shard.retain(|_, entry| entry.fresh_until > now);
            if shard.len() >= self.shard_capacity {
                shard.clear();
            }
        }
        shard.insert(key, Entry { value, fresh_until: now + valid_for });
    }

    fn shard(&self, key: &K) -> Option<MutexGuard<'_, HashMap<K, Entry<V>>>> {
        // The high bits: the map inside the shard uses the low ones of a hash of its own.
        let index = usize::try_from(self.hasher.hash_one(key) >> 32).ok()? % self.shards.len();
        // A panic cannot leave a map half changed here, so a poisoned lock is still good.
        self.shards.get(index).map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_answer_is_good_for_as_long_as_it_says() {
        let cache = Cache::new(100);
        let now = Instant::now();
        cache.insert("a", 1, 2 * SECOND, now);
        cache.insert("never", 1, Duration::ZERO, now);
        assert_eq!(cache.fresh(&"a", now + SECOND), Some(1));
        assert_eq!(cache.fresh(&"a", now + 2 * SECOND), None);
        assert_eq!(cache.fresh(&"never", now), None);
    }

    #[test]
    fn it_never_grows_over_its_limit() {
        let cache = Cache::new(160);
        let now = Instant::now();
        for key in 0..10_000 {
            cache.insert(key, key, SECOND, now);
        }
        let held: usize = cache.shards.iter().map(|shard| shard.lock().unwrap().len()).sum();
        assert!(held <= 160, "{held}");
        assert_eq!(cache.fresh(&9_999, now), Some(9_999));
    }

    #[test]
    fn an_absurd_time_does_not_overflow() {
        let cache = Cache::new(16);
        let now = Instant::now();
        cache.insert("a", 1, Duration::MAX, now);
        assert_eq!(cache.fresh(&"a", now + MAX_VALID_FOR), None);
    }
}
