//! The bucket with the holds, followed: each change is felt everywhere at once, and a watch that
//! has gone deaf is noticed by a look now and then.

use std::{
    sync::{Arc, Weak},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures::StreamExt as _;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, sleep},
};

use super::{Hold, HoldScope, Holds};
use crate::{
    Nats,
    kv::{KvBucket, KvChange, KvError},
    stamp, subject,
};

const BUCKET: &str = "HIKYAKU_CONTROL";
const EVERYTHING: &str = "hold-all";
const DESTINATION: &str = "hold.";
const REOPEN_AFTER: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    #[error("failed to read or change the holds")]
    Kv(#[from] KvError),
    #[error("a hold cannot be written")]
    Json(#[from] serde_json::Error),
}

/// A handle; clones share what is followed.
#[derive(Clone, Debug)]
pub struct HoldStore {
    bucket: KvBucket,
    holds: Arc<watch::Sender<Arc<Holds>>>,
}

/// What is in the bucket.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    /// Absent: until it is released.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    since: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    who: String,
}

impl HoldStore {
    /// Makes the bucket when it is missing, and has read all holds when it returns. They are
    /// followed until the last handle is dropped.
    pub async fn open(nats: &Nats, replicas: usize) -> Result<Self, HoldError> {
        let bucket = KvBucket::open(nats, BUCKET, replicas).await?;
        let holds = Arc::new(watch::Sender::new(Arc::new(load(&bucket).await?)));
        tokio::spawn(follow(bucket.clone(), Arc::downgrade(&holds)));
        Ok(Self { bucket, holds })
    }

    pub fn holds(&self) -> Arc<Holds> {
        Arc::clone(&self.holds.borrow())
    }

    /// Told of each change; the present holds are there at once.
    pub fn changes(&self) -> watch::Receiver<Arc<Holds>> {
        self.holds.subscribe()
    }

    /// Holds, or changes the end and the reason of a hold; that goes on since it began.
    pub async fn hold(&self, scope: &HoldScope, hold: Hold) -> Result<Hold, HoldError> {
        let key = key(scope);
        let earlier = self.bucket.get(&key).await?.and_then(|entry| decode(&entry.value));
        let earlier = earlier.filter(|earlier| earlier.is_in_force(hold.since));
        let since = earlier.map_or(hold.since, |earlier| earlier.since);
        let hold = Hold { since, ..hold };
        self.bucket.put(&key, serde_json::to_vec(&Record::from(&hold))?.into()).await?;
        self.change(scope.clone(), Some(hold.clone()));
        Ok(hold)
    }

    /// Returns the hold that there was.
    pub async fn release(&self, scope: &HoldScope) -> Result<Option<Hold>, HoldError> {
        let key = key(scope);
        let Some(entry) = self.bucket.get(&key).await? else { return Ok(None) };
        self.bucket.delete(&key).await?;
        self.change(scope.clone(), None);
        Ok(decode(&entry.value))
    }

    /// What this process has done it knows at once.
    fn change(&self, scope: HoldScope, hold: Option<Hold>) {
        change(&self.holds, scope, hold);
    }
}

fn change(holds: &watch::Sender<Arc<Holds>>, scope: HoldScope, hold: Option<Hold>) {
    holds.send_if_modified(|holds| {
        if holds.get(&scope) == hold.as_ref() {
            return false;
        }
        Arc::make_mut(holds).set(scope, hold);
        true
    });
}

/// Ends with the last handle.
async fn follow(bucket: KvBucket, holds: Weak<watch::Sender<Arc<Holds>>>) {
    while holds.strong_count() > 0 {
        match follow_watch(&bucket, &holds).await {
            Ok(()) => tracing::debug!("watch of the holds ended, opening it again"),
            Err(error) => tracing::warn!(%error, "holds cannot be followed, the last ones stay in force"),
        }
        sleep(REOPEN_AFTER).await;
    }
}

async fn follow_watch(bucket: &KvBucket, holds: &Weak<watch::Sender<Arc<Holds>>>) -> Result<(), KvError> {
    let mut changes = bucket.watch_all().await?;
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let changed = tokio::select! {
            changed = changes.next() => match changed {
                Some(changed) => Some(changed?),
                None => return Ok(()),
            },
            _ = look.tick() => None,
        };
        let Some(holds) = holds.upgrade() else { return Ok(()) };
        match changed {
            Some(KvChange { key, value }) => {
                if let Some(scope) = scope(&key) {
                    change(&holds, scope, value.map(|value| readable(&key, &value)));
                }
            }
            None => {
                let loaded = Arc::new(load(bucket).await?);
                holds.send_if_modified(|holds| {
                    let is_new = **holds != *loaded;
                    *holds = loaded;
                    is_new
                });
            }
        }
    }
}

async fn load(bucket: &KvBucket) -> Result<Holds, KvError> {
    let mut holds = Holds::default();
    for key in bucket.keys().await? {
        let Some(scope) = scope(&key) else { continue };
        if let Some(entry) = bucket.get(&key).await? {
            holds.set(scope, Some(readable(&key, &entry.value)));
        }
    }
    Ok(holds)
}

/// Mail that waits too long is better than mail that was sent against a word that is not understood.
fn readable(key: &str, value: &Bytes) -> Hold {
    decode(value).unwrap_or_else(|| {
        tracing::error!(key, "a hold cannot be read; it holds until it is released");
        let reason = "the record of this hold cannot be read".to_owned();
        Hold { until: None, since: SystemTime::UNIX_EPOCH, reason, who: String::new() }
    })
}

fn key(scope: &HoldScope) -> String {
    match scope {
        HoldScope::Everything => EVERYTHING.to_owned(),
        HoldScope::Destination(destination) => format!("{DESTINATION}{}", subject::token(destination)),
    }
}

fn scope(key: &str) -> Option<HoldScope> {
    if key == EVERYTHING {
        return Some(HoldScope::Everything);
    }
    subject::destination(key.strip_prefix(DESTINATION)?).map(HoldScope::Destination)
}

impl From<&Hold> for Record {
    fn from(hold: &Hold) -> Self {
        let text = |time| stamp::write(time).unwrap_or_default();
        Self {
            until: hold.until.map(text),
            since: text(hold.since),
            reason: hold.reason.clone(),
            who: hold.who.clone(),
        }
    }
}

fn decode(value: &[u8]) -> Option<Hold> {
    let record: Record = serde_json::from_slice(value).ok()?;
    let until = match &record.until {
        Some(text) => Some(stamp::read(text)?),
        None => None,
    };
    Some(Hold { until, since: stamp::read(&record.since)?, reason: record.reason, who: record.who })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_name_what_is_held() {
        for name in ["example.org", "a_b.example", "[192.0.2.1]:25", "[2001:db8::1]:25"] {
            let destination = HoldScope::Destination(name.parse().unwrap());
            assert_eq!(scope(&key(&destination)), Some(destination));
        }
        assert_eq!(scope(&key(&HoldScope::Everything)), Some(HoldScope::Everything));
        assert_eq!(scope("other"), None);
    }

    #[test]
    fn records_round_trip() {
        let since = SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000);
        for until in [None, Some(since + Duration::from_secs(60))] {
            let hold = Hold { until, since, reason: "work".to_owned(), who: "ann".to_owned() };
            assert_eq!(decode(&serde_json::to_vec(&Record::from(&hold)).unwrap()), Some(hold));
        }
        assert_eq!(readable("hold-all", &Bytes::from_static(b"{")).until, None);
    }
}
