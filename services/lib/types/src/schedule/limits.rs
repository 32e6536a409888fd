//! What a schedule may be. One check for what a file says and for what a rule says.

use std::{fmt, time::Duration};

use super::RetrySchedule;

/// Shortest first interval (SEED-178: below it, greylisting is never passed sooner).
const MIN_BASE: Duration = Duration::from_secs(60);
const MAX_BASE: Duration = Duration::from_secs(3600);
const MAX_CAP: Duration = Duration::from_secs(24 * 3600);
/// The queue keeps content for 60 days, and a report must still find it.
pub const MAX_GIVE_UP: Duration = Duration::from_secs(30 * 24 * 3600);
pub(super) const MAX_JITTER: f64 = 0.5;
/// SEED-174.
const MAX_RETRY_5XX: u32 = 9;

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ScheduleProblem {
    #[error("first interval of {} s is not within {} to {} s", .0.as_secs(), MIN_BASE.as_secs(), MAX_BASE.as_secs())]
    Base(Duration),
    #[error("longest interval of {} s is not within the first one ({} s) and {} s", .cap.as_secs(), .base.as_secs(), MAX_CAP.as_secs())]
    Cap { cap: Duration, base: Duration },
    #[error("giving up on 4yz after {} s: not longer than the first interval ({} s) and at most {} s", .limit.as_secs(), .base.as_secs(), MAX_GIVE_UP.as_secs())]
    GiveUpTemp { limit: Duration, base: Duration },
    #[error("giving up on silence after {} s: not longer than the first interval ({} s) and at most {} s", .limit.as_secs(), .base.as_secs(), MAX_GIVE_UP.as_secs())]
    GiveUpNoReply { limit: Duration, base: Duration },
    #[error("jitter of {0} is not within 0 to {MAX_JITTER}")]
    Jitter(f64),
    #[error("5yz repeated {0} times: at most {MAX_RETRY_5XX}")]
    Retry5xx(u32),
}

/// Everything that is wrong with a schedule; never empty.
#[derive(Debug, Clone, PartialEq)]
pub struct InvalidSchedule(pub Vec<ScheduleProblem>);

impl std::error::Error for InvalidSchedule {}

impl fmt::Display for InvalidSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl RetrySchedule {
    /// The schedule, when it is one that may be used.
    pub fn validated(self) -> Result<Self, InvalidSchedule> {
        let mut problems = Vec::new();
        let base = self.base;
        if !(MIN_BASE..=MAX_BASE).contains(&base) {
            problems.push(ScheduleProblem::Base(base));
        }
        if self.cap < base || self.cap > MAX_CAP {
            problems.push(ScheduleProblem::Cap { cap: self.cap, base });
        }
        let is_limit = |limit: Duration| limit > base && limit <= MAX_GIVE_UP;
        if !is_limit(self.give_up_temp) {
            problems.push(ScheduleProblem::GiveUpTemp { limit: self.give_up_temp, base });
        }
        if !is_limit(self.give_up_noreply) {
            problems.push(ScheduleProblem::GiveUpNoReply { limit: self.give_up_noreply, base });
        }
        if !(0.0..=MAX_JITTER).contains(&self.jitter) {
            problems.push(ScheduleProblem::Jitter(self.jitter));
        }
        if self.retry_5xx > MAX_RETRY_5XX {
            problems.push(ScheduleProblem::Retry5xx(self.retry_5xx));
        }
        if problems.is_empty() { Ok(self) } else { Err(InvalidSchedule(problems)) }
    }
}
