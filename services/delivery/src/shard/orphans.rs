//! Collects content of this shard that nobody refers to, a little at a time.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use hikyaku_queue::orphans::{Collector, MARGIN};
use hikyaku_runtime::error_chain::chain;
use hikyaku_types::shard::ShardId;

use crate::{context::Context, metrics::ORPHANS};

const EVERY: Duration = Duration::from_secs(600);

/// For as long as the shard is ours. The first look waits too: a shard that has just begun has
/// other things to do.
pub(crate) async fn collect(context: Arc<Context>, shard: ShardId) {
    let mut collector = Collector::new(context.nats.clone(), context.shards, shard, MARGIN);
    // Not all shards of a worker at the same moment.
    let mut pause = EVERY.mul_f64(rand::random_range(0.5..1.0));
    loop {
        tokio::time::sleep(pause).await;
        pause = EVERY;
        match collector.round(Instant::now()).await {
            Ok(collected) => metrics::counter!(ORPHANS).increment(collected),
            Err(error) => tracing::warn!(%shard, error = chain(&error), "content was not looked at"),
        }
    }
}
