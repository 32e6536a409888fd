//! Several processes that can answer alike. Which there are, the DNS says: each address of a host is one.
//! Calls take turns among them; what does not answer is asked last, and by one call a second.
//!
//! Asking a second one is the caller's: only it knows which questions may be repeated.

use std::{
    fmt,
    future::Future,
    io,
    net::SocketAddr,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures::future::join_all;
use tokio::sync::{Notify, watch};
use tonic::service::interceptor::InterceptedService;
use tracing::{info, warn};

use super::{
    Channel, ClientConfig, ClientError, Line, Patience,
    connector::{Connector, place},
};

const LOOK_EVERY: Duration = Duration::from_secs(5);
/// After a failure, and not more often.
const LOOK_SOON: Duration = Duration::from_secs(1);
const AVOID_MILLISECONDS: u64 = 1_000;

/// A handle; clones share the connections.
#[derive(Clone)]
pub struct Pods(Arc<Inner>);

struct Inner {
    lines: Vec<Line>,
    found: watch::Sender<Vec<Arc<Pod>>>,
    turn: AtomicUsize,
    missed: Arc<Notify>,
    began: Instant,
}

pub struct Pod {
    /// Which of the URLs has led here.
    line: usize,
    address: SocketAddr,
    channel: Channel,
    /// Milliseconds since the beginning; 0 when it answers.
    avoid_until: AtomicU64,
}

/// In the order of asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Tried,
    Answers,
    Avoided,
}

impl Pods {
    /// `urls` are separated by commas. Connects to nothing yet; must run inside a tokio runtime.
    pub fn find(urls: &str, config: &ClientConfig, patience: Patience) -> Result<Self, ClientError> {
        Self::find_by(urls, config, patience, look_up)
    }

    fn find_by<F>(
        urls: &str,
        config: &ClientConfig,
        patience: Patience,
        look_up: impl Fn(String, u16) -> F + Send + Sync + 'static,
    ) -> Result<Self, ClientError>
    where
        F: Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
    {
        let lines = urls.split(',').map(|url| Line::new(url.trim(), config, patience));
        let inner = Arc::new(Inner {
            lines: lines.collect::<Result<_, _>>()?,
            found: watch::Sender::default(),
            turn: AtomicUsize::new(0),
            missed: Arc::default(),
            began: Instant::now(),
        });
        tokio::spawn(follow(Arc::downgrade(&inner), look_up));
        Ok(Self(inner))
    }

    /// All there are, in the order in which this call should ask them. Waits until there is one.
    pub async fn in_turn(&self) -> Vec<Arc<Pod>> {
        let mut found = self.0.found.subscribe();
        // The sender is ours, so the wait ends with a pod.
        let mut order = match found.wait_for(|found| !found.is_empty()).await {
            Ok(found) => found.clone(),
            Err(_) => return Vec::new(),
        };
        let turn = self.0.turn.fetch_add(1, Ordering::Relaxed) % order.len();
        order.rotate_left(turn);
        let now = self.0.now();
        order.sort_by_cached_key(|pod| pod.standing(now));
        order
    }

    /// It did not answer: others are asked first for a while, and there may be new ones.
    pub fn failed(&self, pod: &Pod) {
        pod.avoid_until.store(self.0.now() + AVOID_MILLISECONDS, Ordering::Relaxed);
        self.0.missed.notify_one();
    }
}

impl Inner {
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX / 2)
    }

    /// Those that are still there keep their connections.
    fn put(&self, known: &[Vec<SocketAddr>]) {
        let before = self.found.borrow().clone();
        let mut now = Vec::new();
        for (n, (line, addresses)) in self.lines.iter().zip(known).enumerate() {
            for &address in addresses {
                let same = before.iter().find(|pod| pod.line == n && pod.address == address);
                now.push(same.map_or_else(|| Arc::new(Pod::new(n, line, address)), Arc::clone));
            }
        }
        let is_same = now.len() == before.len() && now.iter().zip(&before).all(|(a, b)| Arc::ptr_eq(a, b));
        if !is_same {
            info!(servers = ?now, "servers found");
            self.found.send_replace(now);
        }
    }
}

impl Pod {
    fn new(n: usize, line: &Line, address: SocketAddr) -> Self {
        let connector = Connector { only: Some(address), ..line.connector.clone() };
        let channel = line.endpoint.connect_with_connector_lazy(connector);
        let channel = InterceptedService::new(channel, line.bearer.clone());
        Self { line: n, address, channel, avoid_until: AtomicU64::new(0) }
    }

    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn answered(&self) {
        self.avoid_until.store(0, Ordering::Relaxed);
    }

    /// Of the calls that come when it was avoided long enough, one tries it for all.
    fn standing(&self, now: u64) -> Standing {
        let until = self.avoid_until.load(Ordering::Relaxed);
        if until == 0 {
            return Standing::Answers;
        }
        let next = now + AVOID_MILLISECONDS;
        let is_due = now >= until;
        let swap = || self.avoid_until.compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed);
        if is_due && swap().is_ok() { Standing::Tried } else { Standing::Avoided }
    }
}

impl fmt::Debug for Pod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

impl fmt::Debug for Pods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pods").field(&self.0.found.borrow()).finish()
    }
}

/// Ends when the last handle is dropped.
async fn follow<F>(pods: Weak<Inner>, look_up: impl Fn(String, u16) -> F + Send + Sync)
where
    F: Future<Output = io::Result<Vec<SocketAddr>>> + Send,
{
    let mut known: Vec<Vec<SocketAddr>> = Vec::new();
    let mut was_found = true;
    while let Some(inner) = pods.upgrade() {
        known.resize(inner.lines.len(), Vec::new());
        let looks = inner.lines.iter().map(|line| {
            let (host, port) = place(line.endpoint.uri(), line.connector.tls.is_some());
            look_up(host.to_owned(), port)
        });
        let mut is_found = true;
        for (known, found) in known.iter_mut().zip(join_all(looks).await) {
            match found {
                Ok(mut addresses) if !addresses.is_empty() => {
                    addresses.sort_unstable();
                    addresses.dedup();
                    *known = addresses;
                }
                // A name that has no addresses now is a fault of the DNS as long as they answer.
                Ok(_) => is_found = false,
                Err(error) => {
                    is_found = false;
                    if was_found {
                        warn!(%error, "servers cannot be looked up, the known ones stay in use");
                    }
                }
            }
        }
        was_found = is_found;
        inner.put(&known);
        let missed = Arc::clone(&inner.missed);
        drop(inner);
        tokio::time::sleep(LOOK_SOON).await;
        let _ = tokio::time::timeout(LOOK_EVERY - LOOK_SOON, missed.notified()).await; // or the time has come
    }
}

async fn look_up(host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok(tokio::net::lookup_host((host, port)).await?.collect())
}

#[cfg(test)]
mod tests;
