//! Brings each version into force in this process: watch, load, swap. What is in
//! force stays in force when the store cannot be reached or the new version cannot
//! be used.

use std::{sync::Arc, time::Duration};

use hikyaku_queue::kv::KvEntry;
use hikyaku_runtime::error_chain::chain;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_stream::StreamExt as _;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{Loaded, MANIFEST_KEY, Store, StoreError, manifest::Manifest, summary};
use crate::{metrics, rules::Surroundings};

const REOPEN_AFTER: Duration = Duration::from_secs(1);
/// SEED-022 promises a change within 5 s also when a watch has gone deaf without ending.
const LOOK_EVERY: Duration = Duration::from_secs(3);

impl Store {
    /// Runs until `shutdown`.
    pub async fn follow(&self, shutdown: CancellationToken) {
        loop {
            let ended = tokio::select! {
                () = shutdown.cancelled() => return,
                ended = self.follow_watch() => ended,
            };
            match ended {
                Ok(()) => warn!("watch of the directory ended, opening it again"),
                Err(error) => warn!(error = %chain(&error), "directory cannot be followed, trying again"),
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = sleep(REOPEN_AFTER) => {}
            }
        }
    }

    /// Ends when the watch ends.
    async fn follow_watch(&self) -> Result<(), StoreError> {
        let mut changes = self.bucket.watch(MANIFEST_KEY).await?;
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut newest = 0;
        loop {
            let entry = tokio::select! {
                change = changes.next() => match change {
                    Some(entry) => Some(entry?),
                    None => return Ok(()),
                },
                _ = look.tick() => match self.bucket.get(MANIFEST_KEY).await? {
                    Some(entry) => Some(entry),
                    // The first tick comes at once: an empty store is version 0.
                    None if self.rules().is_none() => None,
                    None => continue,
                },
            };
            // What a look has brought, the watch brings again.
            let revision = entry.as_ref().map_or(0, |entry: &KvEntry| entry.revision);
            if entry.is_none() || revision > newest {
                let manifest = entry.map(|entry| Manifest::decode(&entry.value)).transpose()?;
                self.load(manifest.unwrap_or_default()).await?;
                newest = revision;
            }
        }
    }

    async fn load(&self, manifest: Manifest) -> Result<(), StoreError> {
        if self.loaded.borrow().as_ref().is_some_and(|loaded| *loaded.manifest == manifest) {
            return Ok(());
        }
        // A look at a replica that lags must not bring back what was replaced.
        if self.loaded.borrow().as_ref().is_some_and(|loaded| loaded.manifest.version > manifest.version) {
            return Ok(());
        }
        let start = Instant::now();
        let documents = self.documents(&manifest).await?;
        let version = manifest.version;
        let surroundings = Surroundings { ldap_servers: None, ..(*self.surroundings).clone() };
        match self.check_in(version, documents, Arc::new(surroundings)).await? {
            Ok(accepted) => {
                let loaded = Loaded { manifest: Arc::new(manifest), rules: Arc::new(accepted.rules) };
                self.loaded.send_replace(Some(loaded));
                self.version.send_replace(Some(version));
                metrics::version_loaded(version, start.elapsed());
                info!(directory.version = version, duration = ?start.elapsed(), "directory is in force");
            }
            // It was committed by a program with other rules. Nobody is served half of it.
            Err(rejected) => {
                metrics::version_rejected();
                error!(
                    directory.version = version,
                    problems = summary(&rejected.problems),
                    "directory has errors and is not brought into force"
                );
            }
        }
        Ok(())
    }
}
