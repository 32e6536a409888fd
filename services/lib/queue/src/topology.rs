//! Streams and consumers as code. [`reconcile`] makes what is missing, corrects what may be
//! corrected, and refuses to run on what would lose or misplace mail.

use std::{collections::HashMap, time::Duration};

use async_nats::jetstream::{
    self,
    consumer::{AckPolicy, pull},
    context::GetStreamErrorKind,
    stream::{
        Compression, Config, ConsumerErrorKind, DiscardPolicy, PersistenceMode, RetentionPolicy, StorageType,
    },
};
use futures::{StreamExt as _, TryStreamExt as _};
use hikyaku_types::{
    envelope::Lane,
    shard::{ShardCount, ShardId},
};

use crate::{Nats, subject};

pub(crate) const STREAM_PREFIX: &str = "HIKYAKU_";
pub(crate) const DEAD_STREAM: &str = "HIKYAKU_DEAD";
pub(crate) const CUSTODY_STREAM: &str = "HIKYAKU_CUSTODY";
pub(crate) const LOG_STREAM: &str = "HIKYAKU_LOG";
pub(crate) const LOG_INDEX_STREAM: &str = "HIKYAKU_LOG_INDEX";
/// Without a sign of life an entry is handed out again after this time.
pub const ACK_WAIT: Duration = Duration::from_secs(30);
/// Entries of one lane that a worker may hold at once.
pub const LANE_CAPACITY: u16 = 2_000;
/// Bytes of those entries.
pub(crate) const LANE_BYTES: usize = 4 * 1024 * 1024;
/// The broker takes no larger message: with less room than this a pull might bring nothing.
pub(crate) const LARGEST_ENTRY: usize = 1024 * 1024 + 64 * 1024;

const SHARDS_KEY: &str = "hikyaku.shards";
/// Streams and consumers that are made at the same time.
const PARALLEL: usize = 16;
/// Longer than any entry or dead letter lives: content that was left behind goes by itself.
const BODY_AGE: Duration = Duration::from_secs(400 * 24 * 3600);
/// SEED-194.
pub(crate) const DEAD_LETTER_AGE: Duration = Duration::from_secs(30 * 24 * 3600);
/// Longer than a message is tried.
const CUSTODY_AGE: Duration = Duration::from_secs(7 * 24 * 3600);

#[derive(Debug, Clone, Copy)]
pub struct TopologyConfig {
    /// A constant of the cluster: entries are found by it.
    pub shards: ShardCount,
    /// Copies of each stream, 1 or 3 (5 is allowed).
    pub replicas: usize,
    /// How much of the mail log is kept; absent: nothing.
    pub mail_log: Option<MailLogLimits>,
}

/// Who is refused makes lines too, so the log has a limit of its own: it never takes the disk from mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailLogLimits {
    pub age: Duration,
    /// Before compression. The oldest lines go.
    pub bytes: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum TopologyError {
    #[error(
        "stream {stream} belongs to a cluster with {found} shards, but {wanted} are configured; the number is fixed when the streams are first made"
    )]
    ShardCount { stream: String, found: String, wanted: u16 },
    #[error("stream {stream} has {found} copies, but {wanted} are configured; fewer would risk mail")]
    Replicas { stream: String, found: usize, wanted: usize },
    #[error("stream {stream} has {what}, which would lose mail; correct or remove the stream")]
    Unsafe { stream: String, what: &'static str },
    #[error("failed to make or read stream {stream}")]
    Stream {
        stream: String,
        #[source]
        source: async_nats::Error,
    },
    #[error("failed to make consumer {consumer}")]
    Consumer {
        consumer: String,
        #[source]
        source: async_nats::Error,
    },
}

pub(crate) fn queue_stream(shard: ShardId) -> String {
    format!("HIKYAKU_QUEUE_{shard}")
}

pub(crate) fn body_stream(shard: ShardId) -> String {
    format!("HIKYAKU_BODY_{shard}")
}

/// Makes the world as this code wants it. Every role calls it at start; all may at once.
pub async fn reconcile(nats: &Nats, config: &TopologyConfig) -> Result<(), TopologyError> {
    futures::stream::iter(config.shards.shards())
        .map(|shard| reconcile_shard(&nats.jetstream, config, shard))
        .buffer_unordered(PARALLEL)
        .try_collect::<()>()
        .await?;
    reconcile_stream(&nats.jetstream, config, custody_config(config)).await?;
    reconcile_stream(&nats.jetstream, config, dead_config(config)).await
}

/// The streams of the mail log. Brokers without room for them refuse them, and mail goes on without.
pub async fn reconcile_mail_log(
    nats: &Nats,
    config: &TopologyConfig,
    limits: MailLogLimits,
) -> Result<(), TopologyError> {
    let bytes = i64::try_from(limits.bytes).unwrap_or(i64::MAX);
    for (name, subjects, bytes) in [
        (LOG_STREAM, subject::ALL_LOG_BATCHES, bytes),
        // Some hundredths of the lines; what has no segment is found the slow way.
        (LOG_INDEX_STREAM, subject::ALL_LOG_SEGMENTS, bytes / 8),
    ] {
        reconcile_stream(&nats.jetstream, config, log_config(config, name, subjects, limits.age, bytes))
            .await?;
    }
    Ok(())
}

async fn reconcile_shard(
    jetstream: &jetstream::Context,
    config: &TopologyConfig,
    shard: ShardId,
) -> Result<(), TopologyError> {
    reconcile_stream(jetstream, config, body_config(config, shard)).await?;
    reconcile_stream(jetstream, config, queue_config(config, shard)).await?;
    for lane in Lane::ALL {
        reconcile_consumer(jetstream, shard, lane).await?;
    }
    Ok(())
}

async fn reconcile_consumer(
    jetstream: &jetstream::Context,
    shard: ShardId,
    lane: Lane,
) -> Result<(), TopologyError> {
    let stream = queue_stream(shard);
    // Creating a durable consumer again updates it, so there is nothing to compare.
    let create = || jetstream.create_consumer_on_stream(consumer_config(shard, lane), stream.clone());
    let failed = |source: async_nats::Error| TopologyError::Consumer {
        consumer: format!("{stream}/{}", lane.name()),
        source,
    };
    match create().await {
        Ok(_) => Ok(()),
        // An earlier version made it in a way that cannot be changed. A consumer holds no mail.
        Err(error) if matches!(error.kind(), ConsumerErrorKind::JetStream(_)) => {
            tracing::warn!(stream, lane = lane.name(), %error, "consumer is made anew");
            let deleted = jetstream.delete_consumer_from_stream(lane.name(), &stream).await;
            deleted.map_err(|error| failed(error.into()))?;
            create().await.map(|_| ()).map_err(|error| failed(error.into()))
        }
        Err(error) => Err(failed(error.into())),
    }
}

async fn reconcile_stream(
    jetstream: &jetstream::Context,
    config: &TopologyConfig,
    wanted: Config,
) -> Result<(), TopologyError> {
    let stream = wanted.name.clone();
    let failed = |source: async_nats::Error| TopologyError::Stream { stream: stream.clone(), source };
    match jetstream.get_stream(&wanted.name).await {
        Ok(found) => {
            check_found(&found.cached_info().config, &wanted, config)?;
            if differs(&found.cached_info().config, &wanted) {
                tracing::warn!(stream, "stream differs from what this version wants; updating it");
                jetstream.update_stream(wanted).await.map_err(|source| failed(source.into()))?;
            }
            Ok(())
        }
        Err(error) if is_not_found(&error.kind()) => {
            jetstream.get_or_create_stream(wanted).await.map_err(|source| failed(source.into()))?;
            Ok(())
        }
        Err(error) => Err(failed(error.into())),
    }
}

pub(crate) fn is_not_found(kind: &GetStreamErrorKind) -> bool {
    matches!(kind, GetStreamErrorKind::JetStream(error)
        if error.error_code() == jetstream::ErrorCode::STREAM_NOT_FOUND)
}

/// What must not be corrected silently, because mail may be in it already.
fn check_found(found: &Config, wanted: &Config, config: &TopologyConfig) -> Result<(), TopologyError> {
    let stream = || found.name.clone();
    if let Some(shards) = found.metadata.get(SHARDS_KEY)
        && *shards != config.shards.get().to_string()
    {
        let (found, wanted) = (shards.clone(), config.shards.get());
        return Err(TopologyError::ShardCount { stream: stream(), found, wanted });
    }
    if found.num_replicas > config.replicas {
        let (found, wanted) = (found.num_replicas, config.replicas);
        return Err(TopologyError::Replicas { stream: stream(), found, wanted });
    }
    // A stream without mail in it may be wanted so.
    match unsafe_setting(found).filter(|what| unsafe_setting(wanted) != Some(what)) {
        Some(what) => Err(TopologyError::Unsafe { stream: stream(), what }),
        None => Ok(()),
    }
}

/// What would lose mail.
pub(crate) fn unsafe_setting(found: &Config) -> Option<&'static str> {
    if found.storage != StorageType::File {
        Some("memory storage")
    } else if found.persist_mode == Some(PersistenceMode::Async) {
        Some("persist_mode async")
    } else if found.discard == DiscardPolicy::Old && (found.max_bytes > 0 || found.max_messages > 0) {
        Some("a limit that discards the oldest mail")
    } else {
        None
    }
}

fn differs(found: &Config, wanted: &Config) -> bool {
    found.subjects != wanted.subjects
        || found.num_replicas != wanted.num_replicas
        || found.max_age != wanted.max_age
        || found.duplicate_window != wanted.duplicate_window
        || found.allow_message_schedules != wanted.allow_message_schedules
        || found.allow_direct != wanted.allow_direct
        || found.discard != wanted.discard
        || wanted.max_bytes > 0 && found.max_bytes != wanted.max_bytes
}

fn base_config(config: &TopologyConfig, name: String, subjects: String) -> Config {
    Config {
        name,
        subjects: vec![subjects],
        storage: StorageType::File,
        num_replicas: config.replicas,
        allow_direct: true,
        max_bytes: -1,
        max_messages: -1,
        max_messages_per_subject: -1,
        max_message_size: -1,
        max_consumers: -1,
        metadata: HashMap::from([(SHARDS_KEY.to_owned(), config.shards.get().to_string())]),
        ..Config::default()
    }
}

fn queue_config(config: &TopologyConfig, shard: ShardId) -> Config {
    Config {
        retention: RetentionPolicy::WorkQueue,
        // Schedules refuse "discard new", and with "discard old" any limit would drop accepted
        // mail: so there is no limit.
        discard: DiscardPolicy::Old,
        duplicate_window: Duration::from_secs(120),
        allow_message_schedules: true,
        ..base_config(config, queue_stream(shard), subject::all_of_shard(shard))
    }
}

fn body_config(config: &TopologyConfig, shard: ShardId) -> Config {
    Config {
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::New,
        duplicate_window: Duration::from_secs(120),
        max_age: BODY_AGE,
        ..base_config(config, body_stream(shard), subject::all_bodies(shard))
    }
}

fn dead_config(config: &TopologyConfig) -> Config {
    Config {
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::New,
        duplicate_window: Duration::from_secs(120),
        max_age: DEAD_LETTER_AGE,
        ..base_config(config, DEAD_STREAM.to_owned(), subject::ALL_DEAD.to_owned())
    }
}

fn custody_config(config: &TopologyConfig) -> Config {
    Config {
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::New,
        duplicate_window: Duration::from_secs(120),
        max_age: CUSTODY_AGE,
        ..base_config(config, CUSTODY_STREAM.to_owned(), subject::ALL_CUSTODY.to_owned())
    }
}

fn log_config(config: &TopologyConfig, name: &str, subjects: &str, age: Duration, bytes: i64) -> Config {
    Config {
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::Old,
        max_bytes: bytes,
        duplicate_window: Duration::from_secs(120),
        max_age: age,
        // Lines repeat themselves.
        compression: Some(Compression::S2),
        ..base_config(config, name.to_owned(), subjects.to_owned())
    }
}

fn consumer_config(shard: ShardId, lane: Lane) -> pull::Config {
    pull::Config {
        durable_name: Some(lane.name().to_owned()),
        filter_subject: subject::lane_filter(shard, lane),
        ack_policy: AckPolicy::Explicit,
        ack_wait: ACK_WAIT,
        max_ack_pending: i64::from(LANE_CAPACITY),
        // Attempts are counted in the envelope; a server-side limit can lose mail.
        max_deliver: -1,
        ..pull::Config::default()
    }
}
