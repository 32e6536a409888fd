//! How fast a destination is, and how fast it may be.

use std::time::{Duration, Instant};

/// Over how long the rate of finished messages is measured.
const WINDOW: Duration = Duration::from_secs(30);

/// Messages finished lately.
#[derive(Debug)]
pub(crate) struct Throughput {
    since: Instant,
    finished: u32,
}

impl Throughput {
    pub(crate) fn new(now: Instant) -> Self {
        Self { since: now, finished: 0 }
    }

    pub(crate) fn finished(&mut self, count: usize) {
        self.finished = self.finished.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
    }

    /// Time for one message at the measured rate: nothing at first, and ever more while nothing
    /// is finished.
    pub(crate) fn interval(&self, now: Instant) -> Duration {
        now.duration_since(self.since) / self.finished.saturating_add(1)
    }

    /// The past counts half once the window is full.
    pub(crate) fn forget(&mut self, now: Instant) {
        if now.duration_since(self.since) >= WINDOW {
            self.since += now.duration_since(self.since) / 2;
            self.finished /= 2;
        }
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
        let gained = now.saturating_duration_since(self.at).as_secs_f64() * rate;
        self.tokens = (self.tokens + gained).min(rate.max(1.0));
        self.at = now;
        self.tokens < 1.0
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
        assert!(!pace.is_spent(start + Duration::from_secs(11)));
    }
}
