//! What time it is for the queue. Retries are given out by the broker's clock, so a machine whose
//! own clock is wrong, or is set while it runs, must not write its own time into them.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, Instant, SystemTime},
};

/// Runs by the clock that nobody can set, and is set by what the broker's clock says.
#[derive(Debug)]
pub(crate) struct QueueClock {
    start: Instant,
    /// What our own clock said then.
    started: SystemTime,
    /// Milliseconds that the broker is ahead.
    ahead: AtomicI64,
}

impl QueueClock {
    pub(crate) fn new(now: Instant) -> Self {
        Self { start: now, started: SystemTime::now(), ahead: AtomicI64::new(0) }
    }

    pub(crate) fn now(&self) -> SystemTime {
        let millis = self.ahead.load(Ordering::Relaxed);
        let offset = Duration::from_millis(millis.unsigned_abs());
        let now = self.uncorrected(Instant::now());
        let corrected = if millis < 0 { now.checked_sub(offset) } else { now.checked_add(offset) };
        corrected.unwrap_or(now)
    }

    fn uncorrected(&self, at: Instant) -> SystemTime {
        self.started + at.saturating_duration_since(self.start)
    }

    /// The broker wrote at `written`, by its clock, what we sent at `sent` and see at `seen`.
    /// Clocks that agree within that time are taken to agree.
    pub(crate) fn compare(&self, sent: Instant, written: SystemTime, seen: Instant) {
        let least = millis(written, self.uncorrected(seen));
        let most = millis(written, self.uncorrected(sent));
        let before = self.ahead.load(Ordering::Relaxed);
        if (least..=most).contains(&before) {
            return;
        }
        let ahead = if least <= 0 && most >= 0 { 0 } else { least.midpoint(most) };
        self.ahead.store(ahead, Ordering::Relaxed);
        if before.abs_diff(ahead) >= TELL_MILLIS {
            tracing::warn!(
                ahead_milliseconds = ahead,
                "the broker's clock differs from ours; times in the queue are the broker's"
            );
        }
    }
}

/// Smaller differences are nobody's concern.
const TELL_MILLIS: u64 = 2_000;

/// From `earlier` to `later`, in milliseconds.
fn millis(later: SystemTime, earlier: SystemTime) -> i64 {
    let whole = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    match later.duration_since(earlier) {
        Ok(ahead) => whole(ahead),
        Err(behind) => -whole(behind.duration()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ahead(sent: u64, written: i64, seen: u64) -> i64 {
        let start = Instant::now();
        let clock = QueueClock::new(start);
        let offset = Duration::from_millis(written.unsigned_abs());
        let written = if written < 0 { clock.started - offset } else { clock.started + offset };
        let at = |millis| start + Duration::from_millis(millis);
        clock.compare(at(sent), written, at(seen));
        clock.ahead.load(Ordering::Relaxed)
    }

    #[test]
    fn only_a_real_difference_counts() {
        assert_eq!(ahead(1_000, 1_005, 1_010), 0);
        assert_eq!(ahead(1_000, 1_005, 4_000), 0, "a slow look is no difference");
        assert_eq!(ahead(1_000, 61_000, 1_010), 59_995);
        assert_eq!(ahead(1_000, -59_000, 1_010), -60_005);
    }
}
