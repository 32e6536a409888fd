//! How fast a destination is, and how fast it may be.

use std::time::{Duration, Instant};

/// Over how long the rate of finished messages is measured.
const WINDOW: Duration = Duration::from_secs(30);

/// Messages finished lately, and the time in which others waited for that. Time without anybody
/// waiting says nothing about what a destination bears.
#[derive(Debug, Default)]
pub(crate) struct Throughput {
    busy: Duration,
    /// Entries wait since then; `busy` does not hold that time yet.
    since: Option<Instant>,
    finished: u32,
}

impl Throughput {
    /// Tells whether entries wait. The past counts half once the window is full.
    pub(crate) fn waits(&mut self, anybody: bool, now: Instant) {
        self.busy = self.busy(now);
        self.since = anybody.then_some(now);
        if self.busy >= WINDOW {
            self.busy /= 2;
            self.finished /= 2;
        }
    }

    pub(crate) fn finished(&mut self, count: usize) {
        if self.since.is_some() {
            self.finished = self.finished.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        }
    }

    /// Time for one message at the measured rate: nothing at first, and ever more while nothing
    /// is finished.
    pub(crate) fn interval(&self, now: Instant) -> Duration {
        self.busy(now) / self.finished.saturating_add(1)
    }

    fn busy(&self, now: Instant) -> Duration {
        let since = self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        self.busy + since
    }
}

/// A token bucket that holds what one second brings, at least one message.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Messages per second; `None`: as many as can be.
    rate: Option<f64>,
    tokens: f64,
    at: Instant,
}

impl Pace {
    pub(crate) fn new(rate: Option<f64>, now: Instant) -> Self {
        Self { rate, tokens: rate.map_or(0.0, |rate| rate.max(1.0)), at: now }
    }

    pub(crate) fn is_spent(&mut self, now: Instant) -> bool {
        let Some(rate) = self.rate else { return false };
        self.tokens = self.tokens_at(now, rate);
        self.at = now;
        self.tokens < 1.0
    }

    /// A new one would allow no more: this one can be forgotten.
    pub(crate) fn is_full(&self, now: Instant) -> bool {
        self.rate.is_none_or(|rate| self.tokens_at(now, rate) >= rate.max(1.0))
    }

    fn tokens_at(&self, now: Instant, rate: f64) -> f64 {
        let gained = now.saturating_duration_since(self.at).as_secs_f64() * rate;
        (self.tokens + gained).min(rate.max(1.0))
    }

    pub(crate) fn spend(&mut self, now: Instant) {
        if !self.is_spent(now) && self.rate.is_some() {
            self.tokens -= 1.0;
        }
    }

    /// Time for one message at the rate that is allowed.
    pub(crate) fn interval(&self) -> Duration {
        match self.rate {
            Some(rate) if rate > 0.0 => Duration::from_secs_f64(1.0 / rate),
            Some(_) | None => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_time_with_a_backlog_counts() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut throughput = Throughput::default();
        throughput.waits(true, at(0));
        throughput.finished(9);
        throughput.waits(false, at(1));
        throughput.finished(1);
        assert_eq!(throughput.interval(at(1_000)), Duration::from_millis(100));
        throughput.waits(true, at(1_000));
        assert_eq!(throughput.interval(at(1_009)), Duration::from_secs(1), "nothing is finished");
        throughput.waits(true, at(1_039));
        assert_eq!(throughput.interval(at(1_039)), Duration::from_secs(4), "20 s for 4 and this one");
    }

    #[test]
    fn a_rate_is_kept_over_any_time() {
        let start = Instant::now();
        let mut pace = Pace::new(Some(2.0), start);
        let mut sent = 0;
        for tick in 0..100 {
            let now = start + Duration::from_millis(100 * tick);
            while !pace.is_spent(now) {
                pace.spend(now);
                sent += 1;
            }
        }
        assert_eq!(sent, 2 + 19, "two at once, then two a second for 9.9 s");
    }

    #[test]
    fn less_than_one_a_second_is_kept_too() {
        let start = Instant::now();
        let mut pace = Pace::new(Some(0.1), start);
        pace.spend(start);
        assert!(pace.is_spent(start + Duration::from_secs(9)));
        assert!(
            !pace.is_full(start + Duration::from_secs(9)) && pace.is_full(start + Duration::from_secs(11))
        );
        assert!(!pace.is_spent(start + Duration::from_secs(11)));
    }
}
