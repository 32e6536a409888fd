//! Which processes there are: each tells of itself every few seconds, and is forgotten soon after it has
//! ended. For people who look; nothing is decided by it.

use std::{net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::{
    Nats,
    kv::{KvBucket, KvError},
};

const BUCKET: &str = "HIKYAKU_NODES";
const TELL_EVERY: Duration = Duration::from_secs(5);
/// One that was not heard for so long has ended.
const GONE_AFTER: Duration = Duration::from_secs(15);
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// Name of the machine or pod.
    pub node: String,
    /// What it does: up, ingress, delivery or policy.
    pub role: String,
    /// Its name in greetings.
    pub hostname: String,
    /// Where it takes mail.
    pub listeners: Vec<SocketAddr>,
    /// The version that it answers from, when it is a policy service.
    pub directory_version: Option<u64>,
}

#[derive(Clone, Debug)]
pub struct Register {
    bucket: KvBucket,
}

impl Register {
    pub async fn open(nats: &Nats, replicas: usize) -> Result<Self, KvError> {
        let bucket = KvBucket::open_forgetting(nats, BUCKET, replicas, FORGOTTEN_AFTER).await?;
        Ok(Self { bucket })
    }

    /// Tells of this process for as long as it is polled, at once when it answers from another version.
    /// `listeners` are those of the moment, where there are any.
    pub async fn keep(
        self,
        presence: Presence,
        listeners: Option<watch::Receiver<Vec<SocketAddr>>>,
        mut version: Option<watch::Receiver<Option<u64>>>,
    ) {
        let key = format!("{}.{}", presence.role, key_part(&presence.node));
        loop {
            let directory_version = version.as_mut().and_then(|version| *version.borrow_and_update());
            let listeners = listeners.as_ref().map(|listeners| listeners.borrow().clone());
            let listeners = listeners.unwrap_or_else(|| presence.listeners.clone());
            let told = Presence { directory_version, listeners, ..presence.clone() };
            // Records of plain fields cannot fail to be written.
            let json = serde_json::to_vec(&told).unwrap_or_default();
            if let Err(error) = self.bucket.put(&key, json.into()).await {
                tracing::debug!(%error, "nobody was told that this process lives");
            }
            let pause = tokio::time::sleep(TELL_EVERY);
            match &mut version {
                Some(version) => tokio::select! {
                    () = pause => {}
                    changed = version.changed() => if changed.is_err() { return },
                },
                None => pause.await,
            }
        }
    }

    /// Who lives, in the order of roles and names.
    pub async fn members(&self) -> Result<Vec<Presence>, KvError> {
        let mut entries = self.bucket.all().await?;
        entries.sort_by(|one, other| one.key.cmp(&other.key));
        let newest = entries.iter().map(|entry| entry.at).max();
        let lives = entries.into_iter().filter(|entry| {
            let silence = newest.and_then(|newest| newest.duration_since(entry.at).ok());
            silence.unwrap_or_default() < GONE_AFTER
        });
        // A record of a later version that cannot be read is passed over.
        Ok(lives.filter_map(|entry| serde_json::from_slice(&entry.value).ok()).collect())
    }
}

/// Keys are made of few characters.
fn key_part(name: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-';
    name.chars().map(|c| if allowed(c) { c } else { '_' }).collect()
}
