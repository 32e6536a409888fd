//! Shows how much waits in the shards that are ours, and how long. An alarm on the age of the
//! oldest entry notices mail that nobody works on, whatever the reason.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use hikyaku_queue::depth::{Depth, depth};
use hikyaku_runtime::error_chain::chain;
use hikyaku_types::{envelope::Lane, shard::ShardId};

use crate::{
    context::Context,
    metrics::{ENTRIES, OLDEST_AGE},
};

const EVERY: Duration = Duration::from_secs(10);

/// What was last seen in each shard that is ours.
#[derive(Debug, Default)]
pub(crate) struct Depths(Mutex<HashMap<ShardId, Depth>>);

/// Looks at a shard now and then; dropped, the shard counts no more.
pub(crate) async fn watch(context: Arc<Context>, shard: ShardId) {
    let _leaving = Leaving { context: &context, shard };
    loop {
        match depth(&context.nats, shard).await {
            Ok(depth) => context.depths.set(shard, Some(depth)),
            Err(error) => tracing::debug!(%shard, error = chain(&error), "shard was not looked at"),
        }
        tokio::time::sleep(EVERY).await;
    }
}

struct Leaving<'a> {
    context: &'a Context,
    shard: ShardId,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.context.depths.set(self.shard, None);
    }
}

impl Depths {
    fn set(&self, shard: ShardId, depth: Option<Depth>) {
        let mut depths = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match depth {
            Some(depth) => depths.insert(shard, depth),
            None => depths.remove(&shard),
        };
        let total = total(depths.values(), SystemTime::now());
        drop(depths);
        for (lane, (entries, age)) in Lane::ALL.iter().zip(total.lanes) {
            metrics::gauge!(ENTRIES, "lane" => lane.name()).set(entries as f64);
            metrics::gauge!(OLDEST_AGE, "lane" => lane.name()).set(age.as_secs_f64());
        }
        metrics::gauge!(ENTRIES, "lane" => "scheduled").set(total.scheduled as f64);
    }
}

/// Entries and the age of the oldest, by lane.
#[derive(Debug, Default, PartialEq, Eq)]
struct Total {
    lanes: [(u64, Duration); Lane::ALL.len()],
    scheduled: u64,
}

fn total<'a>(depths: impl Iterator<Item = &'a Depth>, now: SystemTime) -> Total {
    let mut total = Total::default();
    for depth in depths {
        total.scheduled += depth.scheduled;
        for ((entries, age), lane) in total.lanes.iter_mut().zip(&depth.lanes) {
            *entries += lane.entries;
            let oldest = lane.oldest.and_then(|oldest| now.duration_since(oldest).ok());
            *age = (*age).max(oldest.unwrap_or_default());
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use hikyaku_queue::depth::LaneDepth;

    use super::*;

    #[test]
    fn shards_add_up_and_the_oldest_of_all_counts() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        let lane = |entries, age| LaneDepth { entries, oldest: Some(now - Duration::from_secs(age)) };
        let empty = LaneDepth::default();
        let depths = [
            Depth { lanes: [lane(3, 20), empty, lane(1, 5)], scheduled: 7 },
            Depth { lanes: [lane(4, 90), empty, empty], scheduled: 2 },
        ];
        let expected = Total {
            lanes: [(7, Duration::from_secs(90)), (0, Duration::ZERO), (1, Duration::from_secs(5))],
            scheduled: 9,
        };
        assert_eq!(total(depths.iter(), now), expected);
    }
}
