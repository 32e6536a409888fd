//! How much each of many sources has sent. Each node counts what comes to it.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use hikyaku_types::traffic::Rate;

/// Sources that are counted; when there are more, those that were silent longest are forgotten.
const MAX_SOURCES: usize = 100_000;

#[derive(Debug, Default)]
pub(crate) struct Rates(Mutex<HashMap<u64, Bucket>>);

/// What a source may still send.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    /// When it was filled last.
    at: Instant,
}

impl Rates {
    /// Counts one message, and says whether it is within the rate, which comes back evenly.
    pub(crate) fn count(&self, key: u64, rate: Rate, now: Instant) -> bool {
        self.spend(key, rate, now, |bucket, most| {
            let passed = now.saturating_duration_since(bucket.at);
            let gained = passed.as_secs_f64() / rate.per.as_secs_f64() * most;
            Bucket { tokens: (bucket.tokens + gained).min(most), at: now }
        })
    }

    /// The same with a rate that comes back as a whole, a minute (second, hour) after its first message.
    pub(crate) fn count_in_window(&self, key: u64, rate: Rate, now: Instant) -> bool {
        self.spend(key, rate, now, |bucket, most| {
            let is_over = now.saturating_duration_since(bucket.at) >= rate.per;
            if is_over { Bucket { tokens: most, at: now } } else { bucket }
        })
    }

    fn spend(&self, key: u64, rate: Rate, now: Instant, filled: impl Fn(Bucket, f64) -> Bucket) -> bool {
        let mut sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sources.len() >= MAX_SOURCES && !sources.contains_key(&key) {
            forget(&mut sources, now);
        }
        let most = f64::from(rate.count.get());
        let bucket = sources.entry(key).or_insert(Bucket { tokens: most, at: now });
        *bucket = filled(*bucket, most);
        if bucket.tokens < 1.0 {
            return false;
        }
        bucket.tokens -= 1.0;
        true
    }
}

/// Forgets half of the sources, those that were silent longest.
fn forget(sources: &mut HashMap<u64, Bucket>, now: Instant) {
    let mut ages: Vec<Duration> =
        sources.values().map(|bucket| now.saturating_duration_since(bucket.at)).collect();
    let middle = ages.len() / 2;
    let (_, median, _) = ages.select_nth_unstable(middle);
    let median = *median;
    sources.retain(|_, bucket| now.saturating_duration_since(bucket.at) < median);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(text: &str) -> Rate {
        text.parse().unwrap()
    }

    #[test]
    fn a_rate_comes_back_evenly() {
        let (rates, start) = (Rates::default(), Instant::now());
        let within = |at: u64| rates.count(1, rate("60/m"), start + Duration::from_secs(at));
        assert_eq!((0..100).filter(|_| within(0)).count(), 60);
        assert_eq!((0..100).filter(|_| within(10)).count(), 10);
        assert_eq!((0..100).filter(|_| within(1_000)).count(), 60);
        assert!(rates.count(2, rate("60/m"), start), "another source has its own rate");
    }

    /// SEED-081: the 61st message of a minute is too many, however they are spread over it.
    #[test]
    fn seed_081_a_window_holds_so_many() {
        let (rates, start) = (Rates::default(), Instant::now());
        let within = |at: u64| rates.count_in_window(1, rate("60/m"), start + Duration::from_secs(at));
        assert_eq!((0..60).filter(|at| within(*at)).count(), 60);
        assert!(!within(59));
        assert!(within(60));
        assert_eq!((0..100).filter(|_| within(119)).count(), 59);
    }

    #[test]
    fn memory_is_bounded() {
        let (rates, start) = (Rates::default(), Instant::now());
        for key in 0..2 * MAX_SOURCES as u64 {
            rates.count(key, rate("60/m"), start + Duration::from_millis(key));
        }
        assert!(rates.0.lock().unwrap().len() <= MAX_SOURCES);
    }
}
