//! What sources have said. That a recipient exists is kept for a day, by all processes; that it does not,
//! for ten minutes, by the one that heard it (SEED-064).

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use hikyaku_queue::{
    Nats,
    kv::{KvBucket, KvError},
    recipients::Existence,
};
use hikyaku_types::address::Mailbox;
use sha2::{Digest as _, Sha256};

use super::SourceName;

const BUCKET: &str = "HIKYAKU_RECIPIENTS";
const EXISTS_FOR: Duration = Duration::from_secs(24 * 3600);
const UNKNOWN_FOR: Duration = Duration::from_secs(600);
/// About half a million recipients; more are known to one process each.
const MOST_BYTES: i64 = 64 * 1024 * 1024;
/// A client that tries at once hears the same.
const UNCLEAR_FOR: Duration = Duration::from_secs(5);
/// Of each kind in memory; about 100 bytes each.
const MOST_KNOWN: usize = 100_000;

/// A source with an address. A hash, so that an address may be anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key([u8; 32]);

impl Key {
    /// The address is in the one spelling in which it is asked about.
    pub(super) fn new(source: &SourceName, address: &Mailbox) -> Self {
        let text = match source {
            SourceName::NextHop(next_hop) => format!("next-hop\n{next_hop}\n{address}"),
            SourceName::Ldap(name) => format!("ldap\n{name}\n{address}"),
        };
        Self(Sha256::digest(text.as_bytes()).into())
    }

    fn name(&self) -> String {
        self.0.iter().map(|octet| format!("{octet:02x}")).collect()
    }
}

#[derive(Debug)]
pub(super) struct Known {
    bucket: KvBucket,
    /// Invented names are many, and must not put out those that exist.
    exist: Mutex<Memory>,
    others: Mutex<Memory>,
}

type Memory = HashMap<Key, (Existence, Instant)>;

impl Known {
    pub(super) async fn open(nats: &Nats, replicas: usize) -> Result<Self, KvError> {
        let bucket = KvBucket::open_bounded(nats, BUCKET, replicas, EXISTS_FOR, MOST_BYTES).await?;
        Ok(Self { bucket, exist: Mutex::default(), others: Mutex::default() })
    }

    /// In this process.
    pub(super) fn here(&self, key: &Key) -> Option<Existence> {
        let now = Instant::now();
        [&self.exist, &self.others].into_iter().find_map(|memory| {
            let memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
            memory.get(key).filter(|(_, until)| now < *until).map(|(existence, _)| existence.clone())
        })
    }

    /// What another process has heard. A store that does not answer knows nothing.
    pub(super) async fn elsewhere(&self, key: &Key) -> Option<Existence> {
        let entry = match self.bucket.get(&key.name()).await {
            Ok(entry) => entry?,
            Err(error) => {
                tracing::debug!(%error, "known recipients cannot be read");
                return None;
            }
        };
        let age = SystemTime::now().duration_since(entry.at).unwrap_or_default();
        let left = EXISTS_FOR.checked_sub(age)?;
        self.keep(*key, Existence::Exists, left);
        Some(Existence::Exists)
    }

    pub(super) async fn note(&self, key: &Key, existence: &Existence) {
        let holds = match existence {
            Existence::Exists => EXISTS_FOR,
            Existence::Unknown => UNKNOWN_FOR,
            Existence::Unclear(_) => UNCLEAR_FOR,
        };
        self.keep(*key, existence.clone(), holds);
        if *existence == Existence::Exists
            && let Err(error) = self.bucket.put(&key.name(), Bytes::from_static(b"1")).await
        {
            tracing::debug!(%error, "a known recipient is kept by this process only");
        }
    }

    fn keep(&self, key: Key, existence: Existence, holds: Duration) {
        let now = Instant::now();
        let memory = if existence == Existence::Exists { &self.exist } else { &self.others };
        let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
        if memory.len() >= MOST_KNOWN {
            memory.retain(|_, (_, until)| now < *until);
        }
        if memory.len() >= MOST_KNOWN {
            // A half of them, so that it is looked through once in many answers.
            memory.retain(|key, _| key.0[0] & 1 == 0);
        }
        memory.insert(key, (existence, now + holds));
    }
}
