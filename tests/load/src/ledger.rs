//! When each message was accepted, and when and how often it arrived.

use std::{
    ops::Range,
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
    put_off: AtomicUsize,
}

#[derive(Default)]
struct Entry {
    /// Microseconds since the start; 0: not yet.
    accepted: AtomicU64,
    arrived: AtomicU64,
    copies: AtomicU32,
    /// Microseconds that the relay took to say 250.
    accepting: AtomicU64,
}

impl Ledger {
    pub fn new(messages: usize) -> Self {
        Self(Arc::new(Inner {
            start: Instant::now(),
            messages: (0..messages).map(|_| Entry::default()).collect(),
            accepted: AtomicUsize::new(0),
            arrived: AtomicUsize::new(0),
            put_off: AtomicUsize::new(0),
        }))
    }

    /// Messages that there may be.
    pub fn len(&self) -> usize {
        self.0.messages.len()
    }

    fn micros(&self) -> u64 {
        u64::try_from(self.0.start.elapsed().as_micros()).unwrap_or(u64::MAX).max(1)
    }

    pub fn accepted(&self, id: usize) {
        self.0.messages[id].accepted.store(self.micros(), Ordering::Relaxed);
        self.0.accepted.fetch_add(1, Ordering::Relaxed);
    }

    pub fn accepted_after(&self, id: usize, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1);
        self.0.messages[id].accepting.store(micros, Ordering::Relaxed);
        self.accepted(id);
    }

    /// Time that the relay took to say 250, sorted.
    pub fn accept_times(&self, ids: Range<usize>) -> Vec<Duration> {
        let entries = self.0.messages.get(ids).unwrap_or_default().iter();
        let micros =
            entries.map(|entry| entry.accepting.load(Ordering::Relaxed)).filter(|micros| *micros > 0);
        let mut times: Vec<Duration> = micros.map(Duration::from_micros).collect();
        times.sort_unstable();
        times
    }

    pub fn missing(&self, ids: Range<usize>) -> usize {
        let is_missing = |entry: &&Entry| {
            entry.accepted.load(Ordering::Relaxed) > 0 && entry.copies.load(Ordering::Relaxed) == 0
        };
        self.0.messages.get(ids).unwrap_or_default().iter().filter(is_missing).count()
    }

    /// Time since the start at which the last of these arrived.
    pub fn last_arrival(&self, ids: Range<usize>) -> Duration {
        let entries = self.0.messages.get(ids).unwrap_or_default().iter();
        Duration::from_micros(entries.map(|entry| entry.arrived.load(Ordering::Relaxed)).max().unwrap_or(0))
    }

    /// A client was told to come again.
    pub fn put_off(&self) {
        self.0.put_off.fetch_add(1, Ordering::Relaxed);
    }

    pub fn times_put_off(&self) -> usize {
        self.0.put_off.load(Ordering::Relaxed)
    }

    pub fn elapsed(&self) -> Duration {
        self.0.start.elapsed()
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

    /// Until all of these have arrived, or for `patience`.
    pub async fn wait_for(&self, ids: Range<usize>, patience: Duration) {
        let start = Instant::now();
        while self.missing(ids.clone()) > 0 && start.elapsed() < patience {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub fn accepted_count(&self) -> usize {
        self.0.accepted.load(Ordering::Relaxed)
    }

    /// Each once, however many copies came.
    pub fn arrived_count(&self) -> usize {
        self.0.arrived.load(Ordering::Relaxed)
    }

    pub fn lost(&self) -> usize {
        self.missing(0..self.0.messages.len())
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
        self.latencies_of(0..self.0.messages.len())
    }

    pub fn latencies_of(&self, ids: Range<usize>) -> Vec<Duration> {
        let latency = |entry: &Entry| {
            let (accepted, arrived) =
                (entry.accepted.load(Ordering::Relaxed), entry.arrived.load(Ordering::Relaxed));
            (accepted > 0 && arrived > 0).then(|| Duration::from_micros(arrived.saturating_sub(accepted)))
        };
        let entries = self.0.messages.get(ids).unwrap_or_default().iter();
        let mut latencies: Vec<Duration> = entries.filter_map(latency).collect();
        latencies.sort_unstable();
        latencies
    }
}
