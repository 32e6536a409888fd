//! What differs for one destination from the schedule of its kind.

use std::time::Duration;

use super::{Backoff, RetrySchedule};

/// What a rule says about the retries for one destination; what it leaves out stays as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct RetryOverrides {
    /// 60 to 3,600 s (SEED-171).
    pub base: Option<Duration>,
    /// At least the base, where one line sets both.
    pub cap: Option<Duration>,
    pub backoff: Option<Backoff>,
    /// Part of the interval, 0 to 0.5.
    pub jitter: Option<f64>,
    /// 0 to 9 (SEED-174).
    pub retry_5xx: Option<u32>,
    pub give_up_temp: Option<Duration>,
    pub give_up_noreply: Option<Duration>,
}

impl RetryOverrides {
    /// The schedule of the destination. A cap that nobody asked for gives way to the first interval
    /// that somebody did ask for. Whether the result may be used is
    /// [`validated`](RetrySchedule::validated)'s to say, when the rule is read.
    pub fn apply(&self, schedule: &RetrySchedule) -> RetrySchedule {
        let base = self.base.unwrap_or(schedule.base);
        RetrySchedule {
            base,
            cap: self.cap.unwrap_or(schedule.cap.max(base)),
            backoff: self.backoff.unwrap_or(schedule.backoff),
            jitter: self.jitter.unwrap_or(schedule.jitter),
            retry_5xx: self.retry_5xx.unwrap_or(schedule.retry_5xx),
            give_up_temp: self.give_up_temp.unwrap_or(schedule.give_up_temp),
            give_up_noreply: self.give_up_noreply.unwrap_or(schedule.give_up_noreply),
            clock_rate: schedule.clock_rate,
        }
    }
}
