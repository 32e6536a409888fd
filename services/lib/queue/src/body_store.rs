//! Content that is too large for an envelope: chunks in the body stream of the shard.
//!
//! Each entry owns its content, so the content goes when the entry's end is recorded,
//! and no count of references can be wrong.

use async_nats::jetstream::{
    message::PublishMessage,
    stream::{DirectGetErrorKind, RawMessageErrorKind},
};
use bytes::{Bytes, BytesMut};
use futures::{StreamExt as _, TryStreamExt as _, future::try_join_all};
use hikyaku_types::{
    body::{Body, BodyRef},
    shard::ShardId,
};

use crate::{
    Nats,
    metrics::operation,
    publish::{PublishError, chunks, ended, publishing, send},
    subject::{self, Owner},
    topology::body_stream,
};

/// Content up to this size travels inside the envelope: one write, one sync, one read.
pub const INLINE_LIMIT: usize = 64 * 1024;
/// Content up to this size travels inside the envelope through retries too; larger one is kept
/// apart from the first deferral on. Measured on one broker that syncs each write: an entry of two
/// attempts costs it a fifth more time when content is kept apart, one of five a tenth less, and
/// one of twelve with 16 KiB a third less. Of the bytes that are written a quarter is saved at 16 KiB
/// and two attempts and two thirds at twelve; at 4 KiB nothing and a third.
pub const DEFERRED_INLINE_LIMIT: usize = 16 * 1024;
/// The broker's largest message is 1 MiB.
pub(crate) const CHUNK: usize = 512 * 1024;
/// Chunks that are asked for at once.
const PARALLEL_READS: usize = 4;

#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    #[error("failed to write a chunk")]
    Write(#[source] Box<PublishError>),
    #[error("failed to read chunk {sequence} of stream {stream}")]
    Read {
        stream: String,
        sequence: u64,
        #[source]
        source: async_nats::Error,
    },
    #[error("chunk {sequence} of stream {stream} does not exist")]
    Gone { stream: String, sequence: u64 },
    #[error("the chunks hold {found} bytes, not {wanted}")]
    Size { found: u64, wanted: u64 },
}

#[derive(Clone, Debug)]
pub struct BodyStore {
    nats: Nats,
}

impl BodyStore {
    pub fn new(nats: Nats) -> Self {
        Self { nats }
    }

    /// Content that is written again is not recognised as a repeat, because the first copy may be
    /// freed already. A copy too many goes when its owner has its end.
    pub(crate) async fn store(
        &self,
        shard: ShardId,
        owner: Owner,
        content: Bytes,
    ) -> Result<BodyRef, BodyError> {
        let stream = body_stream(shard);
        let writes = chunks(&content, CHUNK).map(|chunk| {
            let (nats, stream) = (&self.nats, &stream);
            async move {
                let message = || PublishMessage::build().expected_stream(stream).payload(chunk.clone());
                send(nats, stream, subject::body(shard, owner), message, operation::BODY).await
            }
        });
        let span = publishing("store", "body", &stream);
        let sequences = ended(&span, span.around(try_join_all(writes)).await);
        let sequences = sequences.map_err(|error| BodyError::Write(Box::new(error)))?;
        Ok(BodyRef { shard, sequences, size: content.len() as u64 })
    }

    /// The content in pieces, in order.
    pub async fn load(&self, body: &Body) -> Result<Vec<Bytes>, BodyError> {
        let stored = match body {
            Body::Inline(content) => return Ok(vec![content.clone()]),
            Body::Stored(stored) => stored,
        };
        let pieces: Vec<Bytes> = futures::stream::iter(stored.sequences.iter().copied())
            .map(|sequence| self.read(stored.shard, sequence))
            .buffered(PARALLEL_READS)
            .try_collect()
            .await?;
        let found = pieces.iter().map(|piece| piece.len() as u64).sum();
        if found != stored.size {
            return Err(BodyError::Size { found, wanted: stored.size });
        }
        Ok(pieces)
    }

    /// The first `limit` bytes, for the header in a report.
    pub async fn load_start(&self, body: &Body, limit: usize) -> Result<Bytes, BodyError> {
        let first = match body {
            Body::Inline(content) => content.clone(),
            Body::Stored(stored) => {
                let mut start = BytesMut::new();
                for sequence in &stored.sequences {
                    if start.len() >= limit {
                        break;
                    }
                    start.extend_from_slice(&self.read(stored.shard, *sequence).await?);
                }
                start.freeze()
            }
        };
        Ok(first.slice(..first.len().min(limit)))
    }

    async fn read(&self, shard: ShardId, sequence: u64) -> Result<Bytes, BodyError> {
        let stream = body_stream(shard);
        let failed = |source| BodyError::Read { stream: stream.clone(), sequence, source };
        let handle =
            self.nats.jetstream.get_stream_no_info(&stream).await.map_err(|error| failed(error.into()))?;
        match handle.direct_get(sequence).await {
            Ok(message) => Ok(message.payload),
            // Any replica answers; one that lags does not have it yet. The leader knows.
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => {
                match handle.get_raw_message(sequence).await {
                    Ok(message) => Ok(message.payload),
                    Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => {
                        Err(BodyError::Gone { stream, sequence })
                    }
                    Err(error) => Err(failed(error.into())),
                }
            }
            Err(error) => Err(failed(error.into())),
        }
    }

    /// Frees the content of an entry that has its end. A failure leaves bytes behind, never mail
    /// without content, so it is only logged.
    pub async fn free(&self, body: &Body) {
        let Body::Stored(stored) = body else { return };
        for sequence in &stored.sequences {
            // The library's call asks for secure erasure, which is far too slow for a queue.
            let subject = format!("STREAM.MSG.DELETE.{}", body_stream(stored.shard));
            let request = serde_json::json!({ "seq": sequence, "no_erase": true });
            let answer: Result<serde_json::Value, _> = self.nats.jetstream.request(subject, &request).await;
            if let Err(error) = answer {
                tracing::warn!(%error, sequence, shard = %stored.shard, "content of a finished entry was not freed");
            }
        }
    }
}
