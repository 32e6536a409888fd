//! MTA-STS policies that were fetched: who cuts a worker off from a domain's policy when it starts must not
//! be able to make it forget that there is one (RFC 8461 10).

use std::time::{Duration, SystemTime};

use hikyaku_types::domain::Domain;
use serde::{Deserialize, Serialize};

use crate::{
    Nats,
    kv::{KvBucket, KvError},
};

const BUCKET: &str = "HIKYAKU_MTA_STS";
/// No policy holds longer (RFC 8461 3.2).
const MAX_AGE: Duration = Duration::from_secs(31_557_600);
/// Some 40,000 policies. The broker sets that much aside.
const MAX_BYTES: i64 = 16 * 1024 * 1024;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredPolicy {
    /// Of the record under which it was fetched.
    pub id: String,
    /// As it was published.
    pub text: String,
    pub fetched_at: SystemTime,
}

/// Shared by all workers.
#[derive(Debug, Clone)]
pub struct StsStore(KvBucket);

impl StsStore {
    pub async fn open(nats: &Nats, replicas: usize) -> Result<Self, KvError> {
        KvBucket::open_bounded(nats, BUCKET, replicas, MAX_AGE, MAX_BYTES).await.map(Self)
    }

    /// What cannot be read is fetched again.
    pub async fn get(&self, domain: &Domain) -> Result<Option<StoredPolicy>, KvError> {
        let entry = self.0.get(domain.as_str()).await?;
        Ok(entry.and_then(|entry| serde_json::from_slice(&entry.value).ok()))
    }

    pub async fn put(&self, domain: &Domain, policy: &StoredPolicy) -> Result<(), KvError> {
        // Plain fields cannot fail to be written.
        let value = serde_json::to_vec(policy).unwrap_or_default();
        self.0.put(domain.as_str(), value.into()).await.map(|_| ())
    }
}
