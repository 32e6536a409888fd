//! When to try again: pure functions, so their tests need no clock.

use std::time::{Duration, SystemTime};

use crate::outcome::FailureClass;

mod limits; // what a schedule may be
mod overrides; // what differs for one destination

pub use limits::{InvalidSchedule, MAX_GIVE_UP, ScheduleProblem};
pub use overrides::RetryOverrides;

use limits::MAX_JITTER;

const HOUR: Duration = Duration::from_secs(3600);

/// Intervals and limits of one kind of destination (SEED-170 to SEED-177).
#[derive(Debug, Clone, PartialEq)]
pub struct RetrySchedule {
    /// First interval.
    pub base: Duration,
    /// No interval is longer.
    pub cap: Duration,
    /// How the intervals behind the first one grow.
    pub backoff: Backoff,
    /// An interval is shortened or lengthened by at most this share of itself, so that mail that
    /// was deferred together does not come back together.
    pub jitter: f64,
    /// So many times a permanent refusal is repeated before it is reported. 0: it is reported at
    /// once, which is what RFC 5321 4.2.1 wants.
    pub retry_5xx: u32,
    /// Give up on 4yz so long after acceptance.
    pub give_up_temp: Duration,
    /// Give up so long after acceptance on silence, and on our own refusal to send: neither says
    /// anything about the recipient, and both are mended by somebody else.
    pub give_up_noreply: Duration,
    /// All clocks run so many times faster. 1, except for trying things out.
    pub clock_rate: u32,
}

/// Growth of the interval (SEED-172, SEED-173).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backoff {
    /// Each interval is twice the one before, up to the cap.
    Doubling,
    /// Every interval is the base.
    Fixed,
}

impl Backoff {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Doubling => "doubling",
            Self::Fixed => "fixed",
        }
    }
}

/// What an entry has behind it when an attempt for one of its recipients has failed.
#[derive(Debug, Clone, Copy)]
pub struct History {
    pub accepted_at: SystemTime,
    /// Finished attempts, the one that has just failed included.
    pub finished: u32,
    /// How often the remote side refused the recipient for good, this time included. `None` when
    /// the failure is none that is repeated: a domain that does not exist comes into being by no
    /// repetition.
    pub refusals: Option<u32>,
    /// Until when mail for the recipient was to be tried by what earlier failures said.
    pub granted_until: Option<SystemTime>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// `until`: the time of the last attempt, as far as is known now. A permanent refusal that is
    /// repeated is counted, it has none.
    Retry {
        at: SystemTime,
        until: Option<SystemTime>,
    },
    GiveUp,
}

impl RetrySchedule {
    /// Destinations found by MX: 8 h on 4yz, 24 h on silence.
    pub const INTERNET: Self = Self {
        base: Duration::from_secs(120),
        cap: HOUR,
        backoff: Backoff::Doubling,
        jitter: 0.1,
        retry_5xx: 0,
        give_up_temp: Duration::from_secs(8 * 3600),
        give_up_noreply: Duration::from_secs(24 * 3600),
        clock_rate: 1,
    };
    /// Fixed next hops, that is inner servers and smart hosts: 5 days.
    pub const ROUTED: Self = Self {
        give_up_temp: Duration::from_secs(5 * 24 * 3600),
        give_up_noreply: Duration::from_secs(5 * 24 * 3600),
        ..Self::INTERNET
    };

    /// A time of the plan as a time of the clock.
    pub fn paced(&self, time: Duration) -> Duration {
        time / self.clock_rate.max(1)
    }

    /// The share of itself by which a time is moved, of a draw in [-1, 1].
    pub fn shift(&self, draw: f64) -> f64 {
        let shift = draw.clamp(-1.0, 1.0) * self.jitter;
        if shift.is_finite() { shift.clamp(-MAX_JITTER, MAX_JITTER) } else { 0.0 }
    }

    /// The interval after `finished` attempts, without jitter.
    pub fn interval(&self, finished: u32) -> Duration {
        let doublings = match self.backoff {
            Backoff::Doubling => finished.saturating_sub(1).min(31),
            Backoff::Fixed => 0,
        };
        self.paced(self.base.saturating_mul(1_u32 << doublings).min(self.cap))
    }

    /// The class of the last failure decides the limit, but takes back nothing: mail that was to
    /// be tried for a day because its host was silent is not given up in the moment in which the
    /// host is back and greylists it. `None`: refusals are counted, not timed.
    fn deadline(&self, class: FailureClass, history: &History) -> Option<SystemTime> {
        let limit = match class {
            FailureClass::Perm => return None,
            FailureClass::Temp => self.give_up_temp,
            FailureClass::NoReply | FailureClass::Policy => self.give_up_noreply,
        };
        let limit = history.accepted_at + self.paced(limit);
        Some(history.granted_until.map_or(limit, |granted| granted.max(limit)))
    }

    /// What follows a failure. `jitter` in [-1, 1] is drawn by the caller. The last attempt is
    /// exactly at the limit (SEED-175).
    pub fn next(&self, class: FailureClass, history: &History, now: SystemTime, jitter: f64) -> Next {
        let interval = self.interval(history.finished);
        let at = now + interval.mul_f64(1.0 + self.shift(jitter));
        match self.deadline(class, history) {
            Some(deadline) if now >= deadline => Next::GiveUp,
            Some(deadline) => Next::Retry { at: at.min(deadline), until: Some(deadline) },
            None if history.refusals.is_some_and(|refusals| refusals <= self.retry_5xx) => {
                Next::Retry { at, until: None }
            }
            None => Next::GiveUp,
        }
    }
}

#[cfg(test)]
mod tests;
