//! Several workers that read the same record, in made-up time.

use std::time::SystemTime;

use super::*;

#[path = "assignment_tests/storm.rs"]
mod storm; // whatever can happen to them

/// The record, and what each worker has read of it.
struct World {
    now: Instant,
    workers: Vec<Worker>,
    log: Vec<RosterEvent>,
    owners: HashMap<ShardId, (Option<WorkerId>, u64)>,
}

struct Worker {
    assignment: Assignment,
    running: BTreeSet<ShardId>,
    read: usize,
    asleep: bool,
}

const SHARDS: u16 = 16;

impl World {
    fn new(workers: usize) -> Self {
        let mut world =
            Self { now: Instant::now(), workers: Vec::new(), log: Vec::new(), owners: HashMap::new() };
        for _ in 0..workers {
            world.join();
        }
        world
    }

    fn join(&mut self) {
        let place = self.workers.len();
        let node = format!("n{place}");
        let me = WorkerId::new(&node, 1);
        let assignment = Assignment::new(me, node, ShardCount::new(SHARDS).unwrap(), self.now);
        self.workers.push(Worker { assignment, running: BTreeSet::new(), read: 0, asleep: false });
    }

    fn write(&mut self, event: RosterEvent) {
        self.log.push(event);
    }

    fn set_owner(&mut self, shard: ShardId, owner: Option<WorkerId>, revision: u64) -> bool {
        if self.owners.get(&shard).map_or(0, |(_, revision)| *revision) != revision {
            return false;
        }
        let revision = self.log.len() as u64 + 1;
        self.owners.insert(shard, (owner.clone(), revision));
        self.write(RosterEvent::Shard { shard, owner, revision });
        true
    }

    fn perform(&mut self, place: usize, effects: Vec<Effect>) {
        for effect in effects {
            let id = self.workers[place].assignment.me.clone();
            match effect {
                Effect::Beat(record) => {
                    self.write(RosterEvent::Worker { id, record, at: SystemTime::UNIX_EPOCH })
                }
                Effect::Claim(shard, revision) => {
                    if !self.set_owner(shard, Some(id), revision) {
                        self.workers[place].assignment.claim_failed(shard);
                    }
                }
                Effect::Start(shard) => {
                    self.workers[place].running.insert(shard);
                }
                Effect::Abandon(shard) => {
                    self.workers[place].running.remove(&shard);
                }
                Effect::Stop(shard) => {
                    self.workers[place].running.remove(&shard);
                    let now = self.now;
                    let release = self.workers[place].assignment.stopped(shard, now);
                    self.perform(place, release.into_iter().collect());
                }
                Effect::Release(shard, revision) => {
                    self.set_owner(shard, None, revision);
                }
            }
        }
    }

    /// One beat of every worker that is awake, each reading all that was written.
    fn step(&mut self) {
        self.now += BEAT_EVERY;
        for place in 0..self.workers.len() {
            if !self.workers[place].asleep {
                let now = self.now;
                let effects = self.workers[place].assignment.tick(now);
                self.perform(place, effects);
            }
        }
        for place in 0..self.workers.len() {
            self.read(place);
        }
        self.nobody_shares();
    }

    fn read(&mut self, place: usize) {
        while !self.workers[place].asleep && self.workers[place].read < self.log.len() {
            let event = self.log[self.workers[place].read].clone();
            self.workers[place].read += 1;
            let now = self.now;
            let effects = self.workers[place].assignment.seen(event, now);
            self.perform(place, effects);
        }
    }

    fn steps(&mut self, count: usize) {
        for _ in 0..count {
            self.step();
        }
    }

    /// No shard has two owners that may both send.
    fn nobody_shares(&self) {
        let mut taken = HashSet::new();
        for worker in self.workers.iter().filter(|worker| worker.assignment.is_valid(self.now)) {
            for shard in &worker.running {
                assert!(taken.insert(*shard), "two own {shard}");
            }
        }
    }

    fn shares(&self) -> Vec<usize> {
        self.workers.iter().map(|worker| worker.running.len()).collect()
    }
}

#[test]
fn one_worker_takes_everything_at_once() {
    let mut world = World::new(1);
    world.step();
    assert_eq!(world.shares(), [16]);
}

#[test]
fn shares_are_even_when_workers_come_and_go() {
    let mut world = World::new(3);
    world.steps(6);
    assert_eq!(world.shares(), [6, 5, 5]);
    for _ in 0..7 {
        world.join();
    }
    world.steps(8);
    assert_eq!(world.shares(), [2, 2, 2, 2, 2, 2, 1, 1, 1, 1]);
    for place in 2..10 {
        let effects = world.workers[place].assignment.leave();
        world.perform(place, effects);
        world.steps(2);
        assert!(!world.workers[place].assignment.has_shards());
        let (id, record) =
            (world.workers[place].assignment.me.clone(), world.workers[place].assignment.farewell());
        world.write(RosterEvent::Worker { id, record, at: SystemTime::UNIX_EPOCH });
        world.workers[place].asleep = true;
    }
    world.steps(6);
    assert_eq!(world.shares()[..2], [8, 8]);
}

#[test]
fn a_dead_worker_is_followed_within_four_seconds() {
    let mut world = World::new(2);
    world.steps(6);
    assert_eq!(world.shares(), [8, 8]);
    world.workers[1].asleep = true;
    world.workers[1].running.clear();
    world.steps(8);
    assert_eq!(world.shares(), [16, 0]);
}

/// SIGSTOP: it wakes up believing that it still owns what it had, and may do nothing with it.
#[test]
fn a_worker_that_slept_may_not_send_and_finds_out() {
    let mut world = World::new(2);
    world.steps(6);
    world.workers[1].asleep = true;
    world.steps(10);
    assert_eq!(world.shares(), [16, 8]);
    world.workers[1].asleep = false;
    assert!(!world.workers[1].assignment.is_valid(world.now));
    world.read(1);
    assert!(!world.workers[1].assignment.is_valid(world.now), "what it wrote long ago proves nothing");
    world.steps(6);
    assert_eq!(world.shares(), [8, 8]);
}

/// It wakes up and is heard while another, which has not heard that yet, has decided that it is dead.
#[test]
fn of_one_that_wakes_and_one_that_takes_over_one_owns() {
    for wakes_first in [false, true] {
        let mut world = World::new(2);
        world.steps(6);
        world.workers[1].asleep = true;
        world.steps(6);
        world.now += BEAT_EVERY;
        let now = world.now;
        let beat = world.workers[0].assignment.tick(now);
        world.perform(0, beat);
        let mut decided = Vec::new();
        while world.workers[0].read < world.log.len() {
            let event = world.log[world.workers[0].read].clone();
            world.workers[0].read += 1;
            decided.extend(world.workers[0].assignment.seen(event, now));
        }
        let claims = decided.iter().filter(|effect| matches!(effect, Effect::Claim(..))).count();
        assert_eq!(claims, 8, "it takes everything over");

        world.workers[1].asleep = false;
        let beat = world.workers[1].assignment.tick(now);
        world.perform(1, beat);
        if wakes_first {
            world.read(1);
        }
        world.perform(0, decided);
        world.read(0);
        world.nobody_shares();
        world.read(1);
        world.nobody_shares();
        assert_eq!(world.workers[1].running.len(), if wakes_first { 8 } else { 0 });
        assert!(world.workers[1].assignment.is_valid(now), "what is left is its own");
        world.steps(6);
        assert_eq!(world.shares(), [8, 8]);
    }
}

/// A watch that was begun anew at a broker that lags behind.
#[test]
fn what_was_owned_once_is_not_begun_again() {
    let mut world = World::new(1);
    world.steps(2);
    let shard = ShardId::new(3);
    let (owner, revision) = world.owners[&shard].clone();
    let now = world.now;
    let taken = RosterEvent::Shard { shard, owner: Some(WorkerId::new("n1", 1)), revision: revision + 9 };
    assert_eq!(world.workers[0].assignment.seen(taken, now), [Effect::Abandon(shard)]);
    assert_eq!(world.workers[0].assignment.seen(RosterEvent::Shard { shard, owner, revision }, now), []);
}

/// What was written after the newest own record is not known yet, however long ago that is.
#[test]
fn nobody_is_dead_whose_last_record_may_be_unread() {
    let mut world = World::new(2);
    world.steps(6);
    world.workers[1].asleep = true;
    world.steps(4);
    world.now += Duration::from_millis(400);
    let now = world.now;
    let beat = world.workers[0].assignment.tick(now);
    world.perform(0, beat);
    world.now += Duration::from_millis(1_500);
    world.read(0);
    assert!(world.workers[0].assignment.is_valid(world.now));
    assert_eq!(world.shares(), [8, 8], "2.4 s of its silence are known");
}

/// The broker answered nobody for ten seconds: nobody is dead because of that.
#[test]
fn own_deafness_is_nobodys_death() {
    let mut world = World::new(2);
    world.steps(6);
    let before: Vec<BTreeSet<ShardId>> = world.workers.iter().map(|worker| worker.running.clone()).collect();
    for worker in &mut world.workers {
        worker.asleep = true;
    }
    world.steps(20);
    world.workers[0].asleep = false;
    world.steps(3);
    world.workers[1].asleep = false;
    world.steps(6);
    let after: Vec<BTreeSet<ShardId>> = world.workers.iter().map(|worker| worker.running.clone()).collect();
    assert_eq!(before, after);
}

#[test]
fn a_drained_node_keeps_nothing_until_the_order_is_taken_back() {
    let mut world = World::new(2);
    world.steps(6);
    world.write(RosterEvent::Drain { node: "n0".to_owned(), ordered: true });
    world.steps(4);
    assert_eq!(world.shares(), [0, 16]);
    world.write(RosterEvent::Drain { node: "n0".to_owned(), ordered: false });
    world.steps(6);
    assert_eq!(world.shares(), [8, 8]);
}

#[test]
fn a_release_that_was_not_written_is_written_again() {
    let mut world = World::new(1);
    world.steps(2);
    let shard = *world.workers[0].running.first().unwrap();
    let now = world.now;
    world.workers[0].assignment.stages.insert(shard, Stage::Stopping);
    assert!(matches!(world.workers[0].assignment.stopped(shard, now), Some(Effect::Release(..))));
    let later = now + FENCE;
    let effects = world.workers[0].assignment.tick(later);
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Release(again, _) if *again == shard)));
}
