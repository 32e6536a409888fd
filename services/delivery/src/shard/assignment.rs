//! Which worker owns which shard. Pure: what the roster says comes in, what to do comes out, time
//! is passed in.
//!
//! Every worker computes the same even shares from the same record. One that has too much gives
//! shards up, one that has too little claims those without an owner; a claim is a
//! compare-and-set, so two never succeed. A worker that has not seen a record of its own for
//! [`FENCE`] sends nothing; others take its shards after [`DEAD_AFTER`], which is longer. When it is heard
//! again, somebody may have decided that it is dead and not have written that yet: it sends nothing before it
//! has claimed what it owns once more, because of the two claims one fails.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    time::{Duration, Instant},
};

use hikyaku_queue::roster::{RosterEvent, WorkerId, WorkerRecord};
use hikyaku_types::shard::{ShardCount, ShardId, fnv1a};

pub(crate) const BEAT_EVERY: Duration = Duration::from_millis(500);
pub(crate) const FENCE: Duration = Duration::from_secs(2);
pub(crate) const DEAD_AFTER: Duration = Duration::from_millis(3_500);

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Write that this worker lives.
    Beat(WorkerRecord),
    Claim(ShardId, u64),
    /// It is ours: begin.
    Start(ShardId),
    /// End what runs, then [`Assignment::stopped`].
    Stop(ShardId),
    /// Somebody else owns it: end at once and leave everything.
    Abandon(ShardId),
    Release(ShardId, u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Claiming,
    Running,
    Stopping,
    /// The release was written last at this time, but not seen yet.
    Releasing(Instant),
}

#[derive(Debug)]
pub(crate) struct Assignment {
    me: WorkerId,
    node: String,
    shards: ShardCount,
    workers: HashMap<WorkerId, Seen>,
    owners: HashMap<ShardId, Owner>,
    drained_nodes: HashSet<String>,
    stages: BTreeMap<ShardId, Stage>,
    beat: u64,
    /// Written but not seen yet, oldest first.
    beats: Vec<(u64, Instant)>,
    /// When the last own record that was seen had been written.
    confirmed: Option<Instant>,
    /// What was ours before a silence of our own, the revision that it had, and when it was last claimed again.
    doubtful: BTreeMap<ShardId, (u64, Instant)>,
    /// Since when that has never been older than [`FENCE`]: before, silence of others may have
    /// been our own deafness.
    steady_since: Instant,
    leaving: bool,
}

#[derive(Debug)]
struct Seen {
    at: Instant,
    node: String,
    draining: bool,
}

#[derive(Debug)]
struct Owner {
    worker: Option<WorkerId>,
    revision: u64,
    /// When this was seen first. Who claims lives, and a watch that begins tells of owners before it tells of
    /// their last sign of life.
    at: Instant,
}

impl Assignment {
    pub(crate) fn new(me: WorkerId, node: String, shards: ShardCount, now: Instant) -> Self {
        Self {
            me,
            node,
            shards,
            workers: HashMap::new(),
            owners: HashMap::new(),
            drained_nodes: HashSet::new(),
            stages: BTreeMap::new(),
            beat: 0,
            beats: Vec::new(),
            confirmed: None,
            doubtful: BTreeMap::new(),
            steady_since: now,
            leaving: false,
        }
    }

    /// Until when this worker may send, as far as is known.
    pub(crate) fn valid_until(&self) -> Option<Instant> {
        self.confirmed.filter(|_| self.doubtful.is_empty()).map(|at| at + FENCE)
    }

    pub(crate) fn seen(&mut self, event: RosterEvent, now: Instant) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            RosterEvent::Worker { id, record, .. } if record.left => {
                self.workers.remove(&id);
            }
            RosterEvent::Worker { id, record, at: _ } => {
                let is_own = id == self.me;
                if is_own {
                    self.confirm(record.beat, now, &mut effects);
                }
                let WorkerRecord { node, draining, .. } = record;
                self.workers.insert(id, Seen { at: now, node, draining });
                // Everything that was written before this record of our own has been seen, and nothing is known of
                // what came after: somebody is silent until then and not until now.
                if is_own
                    && self.is_valid(now)
                    && let Some(written) = self.confirmed
                {
                    self.balance(written, &mut effects);
                }
            }
            RosterEvent::Drain { node, ordered: true } => {
                self.drained_nodes.insert(node);
            }
            RosterEvent::Drain { node, ordered: false } => {
                self.drained_nodes.remove(&node);
            }
            RosterEvent::Shard { shard, owner, revision } => {
                let is_mine = owner.as_ref() == Some(&self.me);
                // A watch that begins at a broker that lags tells what was, and nobody owns anything by that.
                if is_mine && self.owners.get(&shard).is_some_and(|known| known.revision > revision) {
                    return effects;
                }
                if self.doubtful.get(&shard).is_some_and(|(before, _)| !is_mine || revision > *before) {
                    self.doubtful.remove(&shard);
                }
                let known = self.owners.get(&shard).filter(|known| known.revision == revision);
                let at = known.map_or(now, |known| known.at);
                self.owners.insert(shard, Owner { worker: owner, revision, at });
                match (self.stages.get(&shard), is_mine) {
                    // A claim that seemed to fail may have been written after all.
                    (Some(Stage::Claiming) | None, true) => {
                        self.stages.insert(shard, Stage::Running);
                        effects.push(Effect::Start(shard));
                    }
                    (Some(Stage::Claiming | Stage::Releasing(_)), false) => {
                        self.stages.remove(&shard);
                    }
                    (Some(Stage::Running | Stage::Stopping), false) => {
                        self.stages.remove(&shard);
                        effects.push(Effect::Abandon(shard));
                    }
                    (Some(Stage::Running | Stage::Stopping | Stage::Releasing(_)), true) | (None, false) => {}
                }
            }
        }
        effects
    }

    /// How long ago this record of our own was written; `None` for any other.
    pub(crate) fn age_of_own(&self, event: &RosterEvent, now: Instant) -> Option<Duration> {
        let RosterEvent::Worker { id, record, .. } = event else { return None };
        let (_, at) = self.beats.iter().find(|(beat, _)| *id == self.me && *beat == record.beat)?;
        Some(now.saturating_duration_since(*at))
    }

    fn confirm(&mut self, beat: u64, now: Instant, effects: &mut Vec<Effect>) {
        let Some(at) = self.beats.iter().find(|(number, _)| *number == beat).map(|(_, at)| *at) else {
            return;
        };
        self.beats.retain(|(number, _)| *number > beat);
        if self.confirmed.is_none_or(|before| now.duration_since(before) > FENCE) {
            self.steady_since = now;
            self.doubt(now, effects);
        }
        self.confirmed = Some(at);
    }

    /// We were silent for so long that somebody may be about to take what we own.
    fn doubt(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        for (shard, stage) in &self.stages {
            if matches!(stage, Stage::Running | Stage::Stopping) {
                let revision = self.owners.get(shard).map_or(0, |owner| owner.revision);
                self.doubtful.insert(*shard, (revision, now));
                effects.push(Effect::Claim(*shard, revision));
            }
        }
    }

    /// A claim may have failed for another reason than that somebody was faster.
    fn claim_again(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        for (shard, (revision, at)) in &mut self.doubtful {
            if now.duration_since(*at) >= FENCE {
                *at = now;
                effects.push(Effect::Claim(*shard, *revision));
            }
        }
    }

    /// To be called every [`BEAT_EVERY`].
    pub(crate) fn tick(&mut self, now: Instant) -> Vec<Effect> {
        self.beat += 1;
        self.beats.push((self.beat, now));
        // A broker that is away for long must not make this list long.
        self.beats.retain(|(_, at)| now.duration_since(*at) <= DEAD_AFTER);
        let mut effects = vec![Effect::Beat(self.record(false))];
        self.release_again(now, &mut effects);
        self.claim_again(now, &mut effects);
        effects
    }

    fn is_valid(&self, now: Instant) -> bool {
        self.valid_until().is_some_and(|until| now < until)
    }

    fn record(&self, left: bool) -> WorkerRecord {
        let draining = self.leaving || self.drained_nodes.contains(&self.node);
        WorkerRecord { beat: self.beat, node: self.node.clone(), draining, left }
    }

    fn balance(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let quota = self.quota(now);
        let mut mine: Vec<ShardId> = self.stages.keys().copied().collect();
        if mine.len() > quota {
            // Those that suit others better go first.
            mine.sort_by_key(|shard| self.rank(*shard));
            for shard in mine.into_iter().skip(quota) {
                if self.stages.get(&shard) == Some(&Stage::Running) {
                    self.stages.insert(shard, Stage::Stopping);
                    effects.push(Effect::Stop(shard));
                }
            }
            return;
        }
        let mut free: Vec<ShardId> = self.shards.shards().filter(|shard| self.is_free(*shard, now)).collect();
        free.sort_by_key(|shard| self.rank(*shard));
        for shard in free.into_iter().take(quota - mine.len()) {
            self.stages.insert(shard, Stage::Claiming);
            let revision = self.owners.get(&shard).map_or(0, |owner| owner.revision);
            effects.push(Effect::Claim(shard, revision));
        }
    }

    fn release_again(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        for (shard, stage) in &mut self.stages {
            if let Stage::Releasing(at) = stage
                && now.duration_since(*at) >= FENCE
            {
                *at = now;
                let revision = self.owners.get(shard).map_or(0, |owner| owner.revision);
                effects.push(Effect::Release(*shard, revision));
            }
        }
    }

    fn is_free(&self, shard: ShardId, now: Instant) -> bool {
        let lives = |owner: &Owner| {
            let worker = owner.worker.as_ref();
            worker.is_some_and(|worker| self.is_recent(owner.at, now) || self.is_alive(worker, now))
        };
        !self.stages.contains_key(&shard) && !self.owners.get(&shard).is_some_and(lives)
    }

    fn is_alive(&self, worker: &WorkerId, now: Instant) -> bool {
        *worker == self.me || self.workers.get(worker).is_some_and(|seen| self.is_recent(seen.at, now))
    }

    fn is_recent(&self, at: Instant, now: Instant) -> bool {
        now.saturating_duration_since(at.max(self.steady_since)) < DEAD_AFTER
    }

    /// Shards that nobody who lives has.
    pub(crate) fn unowned(&self, now: Instant) -> usize {
        self.shards.shards().filter(|shard| self.is_free(*shard, now)).count()
    }

    pub(crate) fn shards(&self) -> usize {
        usize::from(self.shards.get())
    }

    pub(crate) fn workers_alive(&self, now: Instant) -> usize {
        self.workers.keys().filter(|worker| self.is_alive(worker, now)).count()
    }

    /// The even share; what does not divide goes to the first by name.
    fn quota(&self, now: Instant) -> usize {
        if self.leaving {
            return 0;
        }
        let takes = |id: &WorkerId, seen: &Seen| {
            self.is_alive(id, now) && !seen.draining && !self.drained_nodes.contains(&seen.node)
        };
        let able: BTreeSet<&WorkerId> =
            self.workers.iter().filter(|(id, seen)| takes(id, seen)).map(|(id, _)| id).collect();
        let Some(place) = able.iter().position(|id| **id == self.me) else { return 0 };
        let shards = usize::from(self.shards.get());
        shards / able.len() + usize::from(place < shards % able.len())
    }

    /// The same worker prefers the same shards, and each worker others.
    fn rank(&self, shard: ShardId) -> u64 {
        fnv1a(&format!("{shard}/{}", self.me))
    }

    /// Nobody got it in our name: the next tick looks again.
    pub(crate) fn claim_failed(&mut self, shard: ShardId) {
        if self.stages.get(&shard) == Some(&Stage::Claiming) {
            self.stages.remove(&shard);
        }
    }

    /// What ran for the shard has ended.
    pub(crate) fn stopped(&mut self, shard: ShardId, now: Instant) -> Option<Effect> {
        self.doubtful.remove(&shard);
        let stage = self.stages.get_mut(&shard)?;
        *stage = Stage::Releasing(now);
        Some(Effect::Release(shard, self.owners.get(&shard)?.revision))
    }

    /// Whether the shard is ours and nobody wants it back.
    pub(crate) fn is_running(&self, shard: ShardId) -> bool {
        self.stages.get(&shard) == Some(&Stage::Running)
    }

    /// Gives everything up. [`Assignment::has_shards`] says when that is done.
    pub(crate) fn leave(&mut self) -> Vec<Effect> {
        self.leaving = true;
        let running: Vec<ShardId> =
            self.stages.iter().filter(|(_, stage)| **stage == Stage::Running).map(|(id, _)| *id).collect();
        for shard in &running {
            self.stages.insert(*shard, Stage::Stopping);
        }
        running.into_iter().map(Effect::Stop).collect()
    }

    pub(crate) fn has_shards(&self) -> bool {
        !self.stages.is_empty()
    }

    /// The last record of this worker.
    pub(crate) fn farewell(&mut self) -> WorkerRecord {
        self.beat += 1;
        self.record(true)
    }
}

#[cfg(test)]
#[path = "assignment_tests.rs"]
mod tests;
