//! How much waits in a shard and how long the oldest has waited, without reading entries but one
//! for each lane.

use std::time::SystemTime;

use async_nats::jetstream::stream::DirectGetErrorKind;
use hikyaku_types::{envelope::Lane, shard::ShardId};

use crate::{
    Nats, stream, subject,
    topology::{DEAD_STREAM, queue_stream},
};

#[derive(Debug, thiserror::Error)]
#[error("failed to look at {stream}")]
pub struct DepthError {
    stream: String,
    #[source]
    source: async_nats::Error,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    /// In the order of [`Lane::ALL`].
    pub lanes: [LaneDepth; Lane::ALL.len()],
    /// Entries that wait for their next attempt.
    pub scheduled: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LaneDepth {
    /// Ready or held by a worker.
    pub entries: u64,
    /// Since when the oldest of them is ready.
    pub oldest: Option<SystemTime>,
}

pub async fn depth(nats: &Nats, shard: ShardId) -> Result<Depth, DepthError> {
    let stream = queue_stream(shard);
    look(nats, shard, &stream).await.map_err(|source| DepthError { stream, source })
}

/// How many dead letters are kept.
pub async fn dead_letters(nats: &Nats) -> Result<u64, DepthError> {
    let failed = |source| DepthError { stream: DEAD_STREAM.to_owned(), source };
    Ok(stream::extent(nats, DEAD_STREAM).await.map_err(failed)?.messages)
}

async fn look(nats: &Nats, shard: ShardId, name: &str) -> Result<Depth, async_nats::Error> {
    let handle = nats.jetstream.get_stream_no_info(name).await?;
    let mut depth = Depth::default();
    for (lane, found) in Lane::ALL.into_iter().zip(&mut depth.lanes) {
        let info = handle.consumer_info(lane.name()).await?;
        found.entries = info.num_pending + info.num_ack_pending as u64;
        if found.entries == 0 {
            continue;
        }
        // Everything up to the floor has left the lane, as the consumer knows it.
        let from = info.ack_floor.stream_sequence + 1;
        match handle.direct_get_next_for_subject(subject::lane_filter(shard, lane), Some(from)).await {
            Ok(message) => found.oldest = Some(message.time.into()),
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    let messages = stream::extent(nats, name).await?.messages;
    depth.scheduled = messages.saturating_sub(depth.lanes.iter().map(|lane| lane.entries).sum());
    Ok(depth)
}
