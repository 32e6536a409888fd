//! When each message was accepted, and when and how often it arrived.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

#[derive(Clone)]
pub struct Ledger(Arc<Inner>);

struct Inner {
    start: Instant,
    messages: Vec<Entry>,
    accepted: AtomicUsize,
    arrived: AtomicUsize,
}

#[derive(Default)]
struct Entry {
    /// Microseconds since the start; 0: not yet.
    accepted: AtomicU64,
    arrived: AtomicU64,
    copies: AtomicU32,
}

impl Ledger {
    pub fn new(messages: usize) -> Self {
        Self(Arc::new(Inner {
            start: Instant::now(),
            messages: (0..messages).map(|_| Entry::default()).collect(),
            accepted: AtomicUsize::new(0),
            arrived: AtomicUsize::new(0),
        }))
    }

    fn micros(&self) -> u64 {
        u64::try_from(self.0.start.elapsed().as_micros()).unwrap_or(u64::MAX).max(1)
    }

    pub fn accepted(&self, id: usize) {
        self.0.messages[id].accepted.store(self.micros(), Ordering::Relaxed);
        self.0.accepted.fetch_add(1, Ordering::Relaxed);
    }

    pub fn arrived(&self, id: usize) {
        let Some(entry) = self.0.messages.get(id) else { return };
        if entry.copies.fetch_add(1, Ordering::Relaxed) == 0 {
            entry.arrived.store(self.micros(), Ordering::Relaxed);
            self.0.arrived.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Until everything accepted has arrived, or nothing has for `patience`.
    pub async fn wait_for_all(&self, patience: Duration) {
        let (mut last, mut since) = (0, Instant::now());
        loop {
            let arrived = self.0.arrived.load(Ordering::Relaxed);
            if arrived >= self.0.accepted.load(Ordering::Relaxed) || since.elapsed() > patience {
                return;
            }
            if arrived != last {
                (last, since) = (arrived, Instant::now());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub fn accepted_count(&self) -> usize {
        self.0.accepted.load(Ordering::Relaxed)
    }

    pub fn lost(&self) -> usize {
        let lost = |entry: &&Entry| {
            entry.accepted.load(Ordering::Relaxed) > 0 && entry.copies.load(Ordering::Relaxed) == 0
        };
        self.0.messages.iter().filter(lost).count()
    }

    pub fn duplicates(&self) -> u32 {
        self.0.messages.iter().map(|entry| entry.copies.load(Ordering::Relaxed).saturating_sub(1)).sum()
    }

    /// Time from the start to the last acceptance and to the last arrival.
    pub fn spans(&self) -> (Duration, Duration) {
        let last = |field: fn(&Entry) -> &AtomicU64| {
            let micros = self.0.messages.iter().map(|entry| field(entry).load(Ordering::Relaxed)).max();
            Duration::from_micros(micros.unwrap_or(0))
        };
        (last(|entry| &entry.accepted), last(|entry| &entry.arrived))
    }

    /// From the relay's 250 to the sink's, sorted.
    pub fn latencies(&self) -> Vec<Duration> {
        let latency = |entry: &Entry| {
            let (accepted, arrived) =
                (entry.accepted.load(Ordering::Relaxed), entry.arrived.load(Ordering::Relaxed));
            (accepted > 0 && arrived > 0).then(|| Duration::from_micros(arrived.saturating_sub(accepted)))
        };
        let mut latencies: Vec<Duration> = self.0.messages.iter().filter_map(latency).collect();
        latencies.sort_unstable();
        latencies
    }
}
