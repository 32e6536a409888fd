//! Key-value buckets, with compare-and-set and watch.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use async_nats::jetstream::{
    kv::{self, CreateErrorKind, Operation, UpdateErrorKind},
    stream::StorageType,
};
use bytes::Bytes;
use futures::{Stream, StreamExt as _, TryStreamExt as _};

use crate::Nats;

#[derive(Debug, thiserror::Error)]
pub enum KvError {
    #[error("the key was changed by somebody else meanwhile")]
    Conflict,
    #[error("failed to {operation} in bucket {bucket}")]
    Failed {
        operation: &'static str,
        bucket: String,
        #[source]
        source: async_nats::Error,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvEntry {
    pub key: String,
    pub value: Bytes,
    pub revision: u64,
    /// When it was written, by the broker's clock.
    pub at: SystemTime,
}

/// A key that was written, or deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KvChange {
    pub(crate) key: String,
    /// Absent: deleted.
    pub(crate) value: Option<Bytes>,
}

#[derive(Clone)]
pub struct KvBucket {
    store: kv::Store,
    bucket: String,
}

impl fmt::Debug for KvBucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KvBucket").field("bucket", &self.bucket).finish_non_exhaustive()
    }
}

impl KvBucket {
    /// Opens the bucket, making it when it is missing.
    pub async fn open(nats: &Nats, bucket: &str, replicas: usize) -> Result<Self, KvError> {
        Self::open_forgetting(nats, bucket, replicas, Duration::ZERO).await
    }

    /// The same with keys that are gone when nobody has written them for `max_age`; zero: never.
    pub async fn open_forgetting(
        nats: &Nats,
        bucket: &str,
        replicas: usize,
        max_age: Duration,
    ) -> Result<Self, KvError> {
        Self::open_bounded(nats, bucket, replicas, max_age, -1).await
    }

    /// The same with room for so many octets; what is more is not written. Negative: as many as there are.
    pub async fn open_bounded(
        nats: &Nats,
        bucket: &str,
        replicas: usize,
        max_age: Duration,
        max_bytes: i64,
    ) -> Result<Self, KvError> {
        let config = kv::Config {
            bucket: bucket.to_owned(),
            history: 1,
            max_age,
            max_bytes,
            storage: StorageType::File,
            num_replicas: replicas,
            ..kv::Config::default()
        };
        // What exists stays as it is: a process with other settings must not take copies away.
        let store =
            match nats.jetstream.get_key_value(bucket).await {
                Ok(store) => store,
                Err(_) => nats.jetstream.create_key_value(config).await.map_err(|source| {
                    KvError::Failed { operation: "open", bucket: bucket.to_owned(), source: source.into() }
                })?,
            };
        Ok(Self { store, bucket: bucket.to_owned() })
    }

    pub async fn get(&self, key: &str) -> Result<Option<KvEntry>, KvError> {
        let entry = self.store.entry(key).await.map_err(|source| self.failed("read", source))?;
        Ok(entry.and_then(present))
    }

    /// Everything that there is, in no order.
    pub async fn all(&self) -> Result<Vec<KvEntry>, KvError> {
        let keys = self.store.keys().await.map_err(|source| self.failed("list", source))?;
        let keys: Vec<String> = keys.try_collect().await.map_err(|source| self.failed("list", source))?;
        let mut entries = Vec::with_capacity(keys.len());
        for key in keys {
            entries.extend(self.get(&key).await?);
        }
        Ok(entries)
    }

    pub async fn put(&self, key: &str, value: Bytes) -> Result<u64, KvError> {
        self.store.put(key, value).await.map_err(|source| self.failed("write", source))
    }

    /// Writes only if the key still has `revision`; 0: only if it does not exist.
    pub async fn update(&self, key: &str, value: Bytes, revision: u64) -> Result<u64, KvError> {
        if revision == 0 {
            return self.store.create(key, value).await.map_err(|error| match error.kind() {
                CreateErrorKind::AlreadyExists => KvError::Conflict,
                CreateErrorKind::InvalidKey
                | CreateErrorKind::Publish
                | CreateErrorKind::Ack
                | CreateErrorKind::Other => self.failed("write", error),
            });
        }
        self.store.update(key, value, revision).await.map_err(|error| match error.kind() {
            UpdateErrorKind::WrongLastRevision => KvError::Conflict,
            UpdateErrorKind::InvalidKey | UpdateErrorKind::TimedOut | UpdateErrorKind::Other => {
                self.failed("write", error)
            }
        })
    }

    /// The value as it is (when there is one), then each change.
    pub async fn watch(
        &self,
        key: &str,
    ) -> Result<impl Stream<Item = Result<KvEntry, KvError>> + Send + Unpin + use<>, KvError> {
        let watch =
            self.store.watch_with_history(key).await.map_err(|source| self.failed("watch", source))?;
        let bucket = self.bucket.clone();
        Ok(Box::pin(watch.filter_map(move |entry| {
            let item = match entry {
                Ok(entry) => present(entry).map(Ok),
                Err(source) => {
                    let (bucket, source) = (bucket.clone(), source.into());
                    Some(Err(KvError::Failed { operation: "watch", bucket, source }))
                }
            };
            std::future::ready(item)
        })))
    }

    pub async fn delete(&self, key: &str) -> Result<(), KvError> {
        self.store.delete(key).await.map_err(|source| self.failed("delete", source))
    }

    pub async fn keys(&self) -> Result<Vec<String>, KvError> {
        let keys = self.store.keys().await.map_err(|source| self.failed("list", source))?;
        keys.try_collect().await.map_err(|source| self.failed("list", source))
    }

    /// Each key as it is, then each change, deletions too.
    pub(crate) async fn watch_all(
        &self,
    ) -> Result<impl Stream<Item = Result<KvChange, KvError>> + Send + Unpin + use<>, KvError> {
        let watch =
            self.store.watch_with_history(">").await.map_err(|source| self.failed("watch", source))?;
        let bucket = self.clone();
        Ok(Box::pin(watch.map(move |entry| match entry {
            Ok(entry) => {
                let key = entry.key.clone();
                Ok(KvChange { key, value: present(entry).map(|entry| entry.value) })
            }
            Err(source) => Err(bucket.failed("watch", source)),
        })))
    }

    fn failed(&self, operation: &'static str, source: impl Into<async_nats::Error>) -> KvError {
        KvError::Failed { operation, bucket: self.bucket.clone(), source: source.into() }
    }
}

/// A deleted key is absent.
fn present(entry: kv::Entry) -> Option<KvEntry> {
    match entry.operation {
        Operation::Put => Some(KvEntry {
            key: entry.key,
            value: entry.value,
            revision: entry.revision,
            at: entry.created.into(),
        }),
        Operation::Delete | Operation::Purge => None,
    }
}
