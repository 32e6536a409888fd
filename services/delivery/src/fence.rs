//! Whether this process may send. Ownership of a shard is known from a record that is read with
//! delay; who has not seen a record of his own lately may have lost everything.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// How often whoever waits looks again.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const LOOK_SELDOM: Duration = Duration::from_millis(250);
/// With the time that the fence needs to close this is shorter than the time after which others
/// take over.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Fence {
    start: Instant,
    /// Milliseconds from the start.
    open_until: AtomicU64,
}

impl Fence {
    pub(crate) fn new(now: Instant) -> Self {
        Self { start: now, open_until: AtomicU64::new(0) }
    }

    pub(crate) fn open_until(&self, until: Instant) {
        let millis = until.saturating_duration_since(self.start).as_millis();
        self.open_until.store(u64::try_from(millis).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    pub(crate) fn is_open(&self, now: Instant) -> bool {
        now < self.start + Duration::from_millis(self.open_until.load(Ordering::SeqCst))
    }

    /// It has been closed for so long that another worker may soon own what this one had: what
    /// was not sent by now is not sent any more.
    pub(crate) fn is_shut(&self, now: Instant) -> bool {
        now >= self.start + Duration::from_millis(self.open_until.load(Ordering::SeqCst)) + PATIENCE
    }

    pub(crate) async fn shut(&self) {
        while !self.is_shut(Instant::now()) {
            tokio::time::sleep(LOOK_SELDOM).await;
        }
    }

    pub(crate) async fn opened(&self) {
        while !self.is_open(Instant::now()) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}
