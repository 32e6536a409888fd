//! Versions that are not in force any more: seen, compared, brought back. A version is put on record by
//! the commit that replaces it, so a crash leaves none out.

use std::collections::{BTreeMap, HashSet};

use tracing::debug;

use super::{
    Store, StoreError,
    manifest::{Manifest, TextRef},
    texts,
};
use crate::document::{DocumentName, Documents};

/// The newest are kept,
const KEPT: usize = 100;
/// as far as their texts together are not larger.
const KEPT_BYTES: usize = 1024 * 1024 * 1024;
const PREFIX: &str = "version.";

impl Store {
    /// All versions that are kept, the newest first.
    pub(crate) async fn versions(&self) -> Result<Vec<Manifest>, StoreError> {
        let current = self.current().await?.1;
        let mut versions = self.recorded().await?;
        versions.insert(current.version, current);
        Ok(versions.into_values().rev().filter(|manifest| manifest.version > 0).collect())
    }

    /// The texts of one version; `None`: it is not kept, or never was.
    pub(crate) async fn documents_of(&self, version: u64) -> Result<Option<Documents>, StoreError> {
        let current = self.current().await?.1;
        let manifest = if current.version == version {
            Some(current)
        } else {
            self.bucket.get(&key(version)).await?.map(|entry| Manifest::decode(&entry.value)).transpose()?
        };
        match manifest {
            Some(manifest) => Ok(Some(self.documents(&manifest).await?)),
            None => Ok(None),
        }
    }

    pub(super) async fn record(&self, manifest: &Manifest) -> Result<(), StoreError> {
        if manifest.version > 0 {
            self.bucket.put(&key(manifest.version), manifest.encode()?.into()).await?;
        }
        Ok(())
    }

    /// Removes the oldest versions, and the texts that no kept version has.
    pub(super) async fn prune(&self, current: &Manifest) -> Result<(), StoreError> {
        let recorded = self.recorded().await?;
        let mut kept: HashSet<String> = texts_of(current).map(|text| text.key.clone()).collect();
        let mut bytes: usize = texts_of(current).map(|text| text.bytes).sum();
        let mut dropped = Vec::new();
        for (place, manifest) in recorded.into_values().rev().enumerate() {
            let more: usize =
                texts_of(&manifest).filter(|text| !kept.contains(&text.key)).map(|text| text.bytes).sum();
            if !dropped.is_empty() || place >= KEPT || bytes + more > KEPT_BYTES {
                dropped.push(manifest);
                continue;
            }
            bytes += more;
            kept.extend(texts_of(&manifest).map(|text| text.key.clone()));
        }
        for manifest in dropped {
            debug!(directory.version = manifest.version, "old version of the directory is removed");
            for text in texts_of(&manifest).filter(|text| !kept.contains(&text.key)) {
                texts::remove(&self.bucket, text).await;
            }
            self.bucket.delete(&key(manifest.version)).await?;
        }
        Ok(())
    }

    async fn recorded(&self) -> Result<BTreeMap<u64, Manifest>, StoreError> {
        let mut versions = BTreeMap::new();
        for key in self.bucket.keys().await?.into_iter().filter(|key| key.starts_with(PREFIX)) {
            if let Some(entry) = self.bucket.get(&key).await? {
                let manifest = Manifest::decode(&entry.value)?;
                versions.insert(manifest.version, manifest);
            }
        }
        Ok(versions)
    }
}

fn texts_of(manifest: &Manifest) -> impl Iterator<Item = &TextRef> {
    manifest.known_documents().map(|(_, text): (DocumentName, _)| text)
}

fn key(version: u64) -> String {
    format!("{PREFIX}{version}")
}
