//! A text in chunks, because a broker takes messages of at most 1 MiB.

use std::sync::Arc;

use bytes::Bytes;
use hikyaku_queue::kv::KvBucket;
use tracing::debug;

use super::{StoreError, manifest::TextRef};
use crate::document::DocumentName;

const CHUNK: usize = 512 * 1024;

/// Writes under a key that nobody else uses, so that two commits at once cannot mix.
pub(super) async fn write(
    bucket: &KvBucket,
    document: DocumentName,
    version: u64,
    text: &str,
) -> Result<TextRef, StoreError> {
    let key = format!("doc.{document}.{version}.{:016x}", rand::random::<u64>());
    let mut chunks = 0;
    for chunk in text.as_bytes().chunks(CHUNK) {
        bucket.put(&chunk_key(&key, chunks), Bytes::copy_from_slice(chunk)).await?;
        chunks += 1;
    }
    Ok(TextRef { version, key, chunks, bytes: text.len() })
}

pub(super) async fn read(bucket: &KvBucket, stored: &TextRef) -> Result<Arc<str>, StoreError> {
    let mut bytes = Vec::with_capacity(stored.bytes);
    for chunk in 0..stored.chunks {
        let key = chunk_key(&stored.key, chunk);
        let entry = bucket.get(&key).await?.ok_or(StoreError::Missing { key })?;
        bytes.extend_from_slice(&entry.value);
    }
    let damaged = || StoreError::Damaged { key: stored.key.clone() };
    if bytes.len() != stored.bytes {
        return Err(damaged());
    }
    String::from_utf8(bytes).map(Into::into).map_err(|_| damaged())
}

/// Empties the chunks: buckets keep one value for each key, so the space is free again. What
/// remains after a failure only takes space.
pub(super) async fn remove(bucket: &KvBucket, stored: &TextRef) {
    for chunk in 0..stored.chunks {
        let key = chunk_key(&stored.key, chunk);
        if let Err(error) = bucket.put(&key, Bytes::new()).await {
            debug!(%error, key, "old text was not removed");
        }
    }
}

fn chunk_key(key: &str, chunk: u32) -> String {
    format!("{key}.{chunk}")
}
