//! What differs for one destination from the schedule of its kind.

use std::time::Duration;

use super::{Backoff, RetrySchedule};

/// What a rule says about the retries for one destination; what it leaves out stays as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RetryOverrides {
    pub base: Option<Duration>,
    pub cap: Option<Duration>,
    pub backoff: Option<Backoff>,
    pub jitter: Option<f64>,
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
