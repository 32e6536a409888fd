//! When to try again: pure functions, so their tests need no clock.

use std::time::{Duration, SystemTime};

use crate::outcome::FailureClass;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Intervals and limits of one kind of destination (SEED-171, 172, 175, 176).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetrySchedule {
    /// First interval; each further one is twice as long.
    pub base: Duration,
    /// No interval is longer.
    pub cap: Duration,
    /// Give up on 4yz so long after acceptance.
    pub give_up_temp: Duration,
    /// Give up on silence so long after acceptance.
    pub give_up_noreply: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    RetryAt(SystemTime),
    GiveUp,
}

impl RetrySchedule {
    /// Destinations found by MX: 8 h on 4yz, 24 h on silence.
    pub const INTERNET: Self = Self {
        base: Duration::from_secs(120),
        cap: HOUR,
        give_up_temp: Duration::from_secs(8 * 3600),
        give_up_noreply: Duration::from_secs(24 * 3600),
    };
    /// Fixed next hops, that is inner servers and smart hosts: 5 days.
    pub const ROUTED: Self = Self {
        give_up_temp: Duration::from_secs(5 * 24 * 3600),
        give_up_noreply: Duration::from_secs(5 * 24 * 3600),
        ..Self::INTERNET
    };

    /// Lets all clocks run so many times faster, for trying things out.
    pub fn run_faster(&mut self, rate: u32) {
        for time in [&mut self.base, &mut self.cap, &mut self.give_up_temp, &mut self.give_up_noreply] {
            *time /= rate.max(1);
        }
    }

    /// The interval after `finished` attempts, without jitter.
    fn interval(&self, finished: u32) -> Duration {
        let doublings = finished.saturating_sub(1).min(31);
        self.base.saturating_mul(1_u32 << doublings).min(self.cap)
    }

    /// `finished` counts the attempt that has just failed. `jitter` in [-1, 1] is drawn by the
    /// caller and moves the interval by at most a tenth. The last attempt is exactly at the
    /// limit (SEED-175).
    pub fn next(
        &self,
        class: FailureClass,
        finished: u32,
        accepted: SystemTime,
        now: SystemTime,
        jitter: f64,
    ) -> Next {
        let limit = match class {
            FailureClass::Perm => return Next::GiveUp,
            FailureClass::Temp => self.give_up_temp,
            FailureClass::NoReply | FailureClass::Policy => self.give_up_noreply,
        };
        let deadline = accepted + limit;
        if now >= deadline {
            return Next::GiveUp;
        }
        let interval = self.interval(finished).mul_f64(1.0 + jitter.clamp(-1.0, 1.0) / 10.0);
        Next::RetryAt((now + interval).min(deadline))
    }
}

/// Shortest base interval that is accepted (SEED-178: below it, greylisting is never passed sooner).
pub const MIN_BASE: Duration = MINUTE;

#[cfg(test)]
mod tests {
    use super::*;

    fn attempts(schedule: &RetrySchedule, class: FailureClass) -> Vec<u64> {
        let start = SystemTime::UNIX_EPOCH;
        let (mut now, mut minutes) = (start, vec![]);
        for finished in 1.. {
            minutes.push(now.duration_since(start).unwrap().as_secs() / 60);
            match schedule.next(class, finished, start, now, 0.0) {
                Next::RetryAt(at) => now = at,
                Next::GiveUp => break,
            }
        }
        minutes
    }

    /// SEED-172 and SEED-175: the attempts of an always-451 peer, in minutes.
    #[test]
    fn doubles_to_the_cap_and_ends_at_eight_hours() {
        assert_eq!(
            attempts(&RetrySchedule::INTERNET, FailureClass::Temp),
            [0, 2, 6, 14, 30, 62, 122, 182, 242, 302, 362, 422, 480]
        );
    }

    /// SEED-176.
    #[test]
    fn silence_is_tried_for_a_day() {
        assert_eq!(attempts(&RetrySchedule::INTERNET, FailureClass::NoReply).last(), Some(&1440));
        assert_eq!(attempts(&RetrySchedule::ROUTED, FailureClass::NoReply).last(), Some(&7200));
    }

    #[test]
    fn a_permanent_refusal_is_tried_once() {
        assert_eq!(attempts(&RetrySchedule::INTERNET, FailureClass::Perm), [0]);
    }

    #[test]
    fn jitter_is_a_tenth() {
        let now = SystemTime::UNIX_EPOCH;
        let at = |jitter| RetrySchedule::INTERNET.next(FailureClass::Temp, 1, now, now, jitter);
        assert_eq!(at(-1.0), Next::RetryAt(now + Duration::from_secs(108)));
        assert_eq!(at(9.0), Next::RetryAt(now + Duration::from_secs(132)));
    }
}
