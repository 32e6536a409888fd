//! The versioned document set in JetStream KV. A commit takes effect as a whole or
//! not at all, and every policy process follows it.
//!
//! The manifest is the only thing that is ever changed, by compare-and-set; texts are
//! written before it under keys that were never used.

mod manifest; // which texts make a version
mod texts; // a text in chunks
pub mod commit; // check and store the next version
mod history; // versions before this one
mod secret; // secrets to verifiers
mod import; // files of the old products
pub(crate) mod expiry; // lines that run out
mod follow; // each version into force

use std::{fmt, sync::Arc, time::Duration};

use hikyaku_queue::{
    Nats,
    kv::{KvBucket, KvError},
};
use tokio::sync::watch;

use crate::{
    document::Documents,
    problem::{Problem, Severity},
    rules::{Accepted, Rejected, Rules, Surroundings},
};
pub(crate) use import::ImportOutcome;
pub(crate) use manifest::Manifest;
use manifest::ManifestError;

const BUCKET: &str = "hikyaku-directory";
const MANIFEST_KEY: &str = "manifest";

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("failed to reach the directory store")]
    Kv(#[from] KvError),
    #[error("the manifest of the directory cannot be used")]
    Manifest(#[from] ManifestError),
    #[error("{key} is missing in the directory store")]
    Missing { key: String },
    #[error("{key} in the directory store is damaged")]
    Damaged { key: String },
    #[error("the check of the documents ended early")]
    Check,
}

/// A handle; clones share the rules.
#[derive(Clone)]
pub struct Store {
    bucket: KvBucket,
    surroundings: Arc<Surroundings>,
    loaded: Arc<watch::Sender<Option<Loaded>>>,
    version: Arc<watch::Sender<Option<u64>>>,
}

/// What is in force in this process.
#[derive(Debug, Clone)]
struct Loaded {
    manifest: Arc<Manifest>,
    rules: Arc<Rules>,
}

/// What is in the store now, in force or not.
#[derive(Debug)]
pub(crate) struct Snapshot {
    revision: u64,
    manifest: Manifest,
    pub(crate) documents: Documents,
}

impl Snapshot {
    pub(crate) fn version(&self) -> u64 {
        self.manifest.version
    }
}

impl Store {
    /// Makes the bucket when it is missing.
    pub async fn open(nats: &Nats, replicas: usize, surroundings: Surroundings) -> Result<Self, StoreError> {
        let bucket = KvBucket::open(nats, BUCKET, replicas).await?;
        Ok(Self {
            bucket,
            surroundings: Arc::new(surroundings),
            loaded: Arc::new(watch::Sender::new(None)),
            version: Arc::new(watch::Sender::new(None)),
        })
    }

    pub(crate) fn bucket(&self) -> &KvBucket {
        &self.bucket
    }

    /// The rules in force; absent until the first version has been loaded.
    pub fn rules(&self) -> Option<Arc<Rules>> {
        self.loaded.borrow().as_ref().map(|loaded| Arc::clone(&loaded.rules))
    }

    /// The version in force, and each that follows it; absent before the first.
    pub fn versions_in_force(&self) -> watch::Receiver<Option<u64>> {
        self.version.subscribe()
    }

    /// What `changes` over the version in the store would be. Nothing is stored.
    pub(crate) async fn candidate(
        &self,
        changes: &Documents,
    ) -> Result<Result<Accepted, Rejected>, StoreError> {
        let snapshot = self.snapshot().await?;
        let version = snapshot.version();
        self.check(version, snapshot.documents.with(changes)).await
    }

    /// Waits until there are rules.
    pub async fn loaded_once(&self) {
        // The sender lives in self, so the wait can only end well.
        let _ = self.loaded.subscribe().wait_for(Option::is_some).await;
    }

    /// Waits until a version is in force that is at least `version`. False: it did not come in time.
    pub async fn wait_for_version(&self, version: u64, timeout: Duration) -> bool {
        let mut loaded = self.loaded.subscribe();
        let reached =
            loaded.wait_for(|loaded| loaded.as_ref().is_some_and(|it| it.rules.version() >= version));
        matches!(tokio::time::timeout(timeout, reached).await, Ok(Ok(_)))
    }

    pub(crate) async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        // A text may be removed between reading the manifest and reading the text; then there is
        // a newer manifest.
        let mut tries = 3;
        loop {
            let (revision, manifest) = self.current().await?;
            match self.documents(&manifest).await {
                Ok(documents) => return Ok(Snapshot { revision, manifest, documents }),
                Err(StoreError::Missing { .. } | StoreError::Damaged { .. }) if tries > 1 => tries -= 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// The newest version, in force or not.
    pub(crate) async fn stored_version(&self) -> Result<u64, StoreError> {
        Ok(self.current().await?.1.version)
    }

    async fn current(&self) -> Result<(u64, Manifest), StoreError> {
        Ok(match self.bucket.get(MANIFEST_KEY).await? {
            Some(entry) => (entry.revision, Manifest::decode(&entry.value)?),
            None => (0, Manifest::default()),
        })
    }

    /// The texts of `manifest`; those in force are not read again.
    async fn documents(&self, manifest: &Manifest) -> Result<Documents, StoreError> {
        let loaded = self.loaded.borrow().clone();
        let mut documents = Documents::default();
        for (document, stored) in manifest.known_documents() {
            let known = loaded.as_ref().filter(|loaded| loaded.manifest.text_of(document) == Some(stored));
            let text = match known {
                Some(loaded) => loaded.rules.documents().text(document),
                None => texts::read(&self.bucket, stored).await?,
            };
            documents.set(document, text);
        }
        Ok(documents)
    }

    /// Reads and checks texts off the runtime's threads: a million lines take seconds.
    async fn check(
        &self,
        version: u64,
        documents: Documents,
    ) -> Result<Result<Accepted, Rejected>, StoreError> {
        self.check_in(version, documents, Arc::clone(&self.surroundings)).await
    }

    async fn check_in(
        &self,
        version: u64,
        documents: Documents,
        surroundings: Arc<Surroundings>,
    ) -> Result<Result<Accepted, Rejected>, StoreError> {
        let previous = self.rules();
        let check = move || Rules::build(version, &documents, &surroundings, previous.as_deref());
        tokio::task::spawn_blocking(check).await.map_err(|_| StoreError::Check)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = self.rules().map(|rules| rules.version());
        f.debug_struct("Store")
            .field("bucket", &self.bucket)
            .field("version", &version)
            .finish_non_exhaustive()
    }
}

/// The first errors in one line, for the log.
pub(crate) fn summary(problems: &[Problem]) -> String {
    const SHOWN: usize = 5;
    let errors: Vec<&Problem> = problems.iter().filter(|it| it.severity == Severity::Error).collect();
    let shown: Vec<String> = errors.iter().take(SHOWN).map(ToString::to_string).collect();
    let rest = errors.len().saturating_sub(SHOWN);
    if rest == 0 { shown.join("; ") } else { format!("{}; and {rest} more", shown.join("; ")) }
}

#[cfg(test)]
pub(crate) mod tests;
