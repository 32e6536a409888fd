//! Shows how much waits in the shards that are ours, and how long. An alarm on the age of the
//! oldest entry notices mail that nobody works on, whatever the reason.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use hikyaku_queue::{
    depth::{Depth, dead_letters, depth},
    holds::InForce,
};
use hikyaku_runtime::error_chain::chain;
use hikyaku_types::{envelope::Lane, shard::ShardId};

use crate::{
    context::Context,
    destination::HeldBack,
    metrics::{DEAD_LETTERS_KEPT, DUE, ENTRIES, HOLDS, OLDEST_AGE, OLDEST_HOLD},
};

const EVERY: Duration = Duration::from_secs(10);

/// What was last seen in each shard that is ours.
#[derive(Debug, Default)]
pub(crate) struct Depths {
    shards: Mutex<HashMap<ShardId, Depth>>,
    held_back: HeldBack,
    due_aside: HeldBack,
}

/// Looks at a shard now and then; dropped, the shard counts no more.
pub(crate) async fn watch(context: Arc<Context>, shard: ShardId) {
    let _leaving = Leaving { context: &context, shard };
    loop {
        match depth(&context.nats, shard).await {
            Ok(depth) => context.depths.set(shard, Some(depth)),
            Err(error) => tracing::debug!(%shard, error = chain(&error), "shard was not looked at"),
        }
        // One worker has the first shard, so one shows what is the cluster's.
        if shard == ShardId::new(0) {
            show_holds(context.holds.holds().in_force(context.clock.now()), context.clock.now());
            show_dead_letters(&context).await;
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn show_dead_letters(context: &Context) {
    match dead_letters(&context.nats).await {
        Ok(count) => metrics::gauge!(DEAD_LETTERS_KEPT).set(count as f64),
        Err(error) => tracing::debug!(error = chain(&error), "dead letters were not counted"),
    }
}

fn show_holds(holds: InForce, now: SystemTime) {
    let age = holds.since.map(|since| now.duration_since(since).unwrap_or_default());
    metrics::gauge!(HOLDS, "scope" => "all").set(f64::from(u8::from(holds.everything)));
    metrics::gauge!(HOLDS, "scope" => "destination").set(holds.destinations as f64);
    metrics::gauge!(OLDEST_HOLD).set(age.unwrap_or_default().as_secs_f64());
}

struct Leaving<'a> {
    context: &'a Context,
    shard: ShardId,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.context.depths.set(self.shard, None);
        if self.shard == ShardId::new(0) {
            metrics::gauge!(DEAD_LETTERS_KEPT).set(0.0);
            show_holds(InForce::default(), SystemTime::UNIX_EPOCH);
        }
    }
}

impl Depths {
    pub(crate) fn held_back(&self) -> &HeldBack {
        &self.held_back
    }

    pub(crate) fn due_aside(&self) -> &HeldBack {
        &self.due_aside
    }

    fn set(&self, shard: ShardId, depth: Option<Depth>) {
        let mut depths = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
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
        metrics::gauge!(DUE).set(total.due(self.held_back.sum(), self.due_aside.sum()) as f64);
    }
}

/// Entries and the age of the oldest, by lane.
#[derive(Debug, Default, PartialEq, Eq)]
struct Total {
    lanes: [(u64, Duration); Lane::ALL.len()],
    scheduled: u64,
}

impl Total {
    /// What more workers would send sooner.
    fn due(&self, held_back: usize, due_aside: usize) -> u64 {
        let count = |entries| u64::try_from(entries).unwrap_or(u64::MAX);
        let ready: u64 = self.lanes.iter().map(|(entries, _)| entries).sum();
        // What was set aside is scheduled; the two are not seen at the same moment.
        ready.saturating_sub(count(held_back)) + count(due_aside).min(self.scheduled)
    }
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
        let total = total(depths.iter(), now);
        assert_eq!(total, expected);
        assert_eq!(
            (total.due(0, 0), total.due(5, 0), total.due(50, 0)),
            (8, 3, 0),
            "what is scheduled is not due"
        );
        assert_eq!((total.due(5, 2), total.due(5, 99)), (5, 12), "but for what was set aside here");
    }
}
