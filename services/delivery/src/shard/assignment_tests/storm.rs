//! Workers that sleep, die, leave and come, whose writes are late or lost and who read late or anew: whatever
//! happens, never two may send for one shard, and when it is over everything has one owner.

use super::*;

const STEP: Duration = Duration::from_millis(50);
const STORM: u32 = 1_200; // a minute
const CALM: u32 = 600;
const DRAIN: u64 = 8_000;

struct Chance(u64);

impl Chance {
    /// Xorshift: from 0 to below `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    fn millis(&mut self, end: u64) -> Duration {
        Duration::from_millis(self.below(end))
    }
}

/// What the broker has stored, the last of each key: what was overwritten is only for who has read it already.
#[derive(Default)]
struct Broker {
    log: Vec<RosterEvent>,
}

impl Broker {
    fn key(event: &RosterEvent) -> String {
        match event {
            RosterEvent::Worker { id, .. } => format!("worker.{id}"),
            RosterEvent::Shard { shard, .. } => format!("shard.{shard}"),
            RosterEvent::Drain { node, .. } => format!("drain.{node}"),
        }
    }

    fn set_owner(&mut self, shard: ShardId, owner: Option<WorkerId>, expected: u64) -> bool {
        let found = self.log.iter().rev().find_map(|event| match event {
            RosterEvent::Shard { shard: of, revision, .. } if *of == shard => Some(*revision),
            RosterEvent::Shard { .. } | RosterEvent::Worker { .. } | RosterEvent::Drain { .. } => None,
        });
        let is_free = found.unwrap_or(0) == expected;
        if is_free {
            let revision = self.log.len() as u64 + 1;
            self.log.push(RosterEvent::Shard { shard, owner, revision });
        }
        is_free
    }

    /// Places in the log, as a new watch gets them.
    fn last_of_each(&self) -> Vec<usize> {
        let mut seen = HashSet::new();
        let mut places: Vec<usize> =
            (0..self.log.len()).rev().filter(|at| seen.insert(Self::key(&self.log[*at]))).collect();
        places.reverse();
        places
    }
}

enum Write {
    Record(WorkerRecord),
    Owner(ShardId, bool, u64),
}

/// On its way to the broker.
struct Letter {
    from: usize,
    write: Write,
    arrives: Instant,
    is_lost: bool,
    /// It is stored, and who wrote it hears that it failed.
    is_unheard: bool,
}

struct Node {
    assignment: Assignment,
    id: WorkerId,
    running: BTreeSet<ShardId>,
    /// What is being ended, and when that is done.
    ending: Vec<(ShardId, Instant)>,
    failed: Vec<(ShardId, Instant)>,
    open_until: Instant,
    /// Of a watch that has just begun.
    replay: Vec<usize>,
    read: usize,
    reads_again: Instant,
    wakes: Instant,
    ticks: Instant,
    is_leaving: bool,
    is_gone: bool,
}

struct Storm {
    now: Instant,
    chance: Chance,
    broker: Broker,
    letters: Vec<Letter>,
    nodes: Vec<Node>,
    is_calm: bool,
}

impl Storm {
    fn new(seed: u64) -> Self {
        let mut storm = Self {
            now: Instant::now(),
            chance: Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            broker: Broker::default(),
            letters: Vec::new(),
            nodes: Vec::new(),
            is_calm: false,
        };
        for _ in 0..3 {
            storm.join();
        }
        storm
    }

    fn join(&mut self) {
        let place = self.nodes.len();
        let node = format!("n{place}");
        let id = WorkerId::new(&node, 1);
        let assignment = Assignment::new(id.clone(), node, ShardCount::new(SHARDS).unwrap(), self.now);
        let reads_again = self.now + self.chance.millis(300);
        self.nodes.push(Node {
            assignment,
            id,
            running: BTreeSet::new(),
            ending: Vec::new(),
            failed: Vec::new(),
            open_until: self.now,
            replay: Vec::new(),
            read: usize::MAX,
            reads_again,
            wakes: self.now,
            ticks: self.now,
            is_leaving: false,
            is_gone: false,
        });
    }

    fn post(&mut self, from: usize, write: Write) {
        let delay = match self.chance.below(20) {
            _ if self.is_calm => self.chance.millis(60),
            0 => self.chance.millis(5_000),
            1 | 2 => self.chance.millis(1_000),
            _ => self.chance.millis(60),
        };
        let is_lost = !self.is_calm && self.chance.one_in(15);
        let is_unheard = !self.is_calm && self.chance.one_in(15);
        self.letters.push(Letter { from, write, arrives: self.now + delay, is_lost, is_unheard });
    }

    fn perform(&mut self, place: usize, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Beat(record) => self.post(place, Write::Record(record)),
                Effect::Claim(shard, revision) => self.post(place, Write::Owner(shard, true, revision)),
                Effect::Release(shard, revision) => self.post(place, Write::Owner(shard, false, revision)),
                Effect::Start(shard) => {
                    self.nodes[place].running.insert(shard);
                }
                Effect::Abandon(shard) => {
                    self.nodes[place].running.remove(&shard);
                    self.nodes[place].ending.retain(|(ending, _)| *ending != shard);
                }
                Effect::Stop(shard) => {
                    let at = self.now + self.chance.millis(if self.is_calm { 500 } else { DRAIN });
                    self.nodes[place].ending.push((shard, at));
                }
            }
        }
    }

    fn deliver(&mut self) {
        let now = self.now;
        let (mut due, later): (Vec<Letter>, Vec<Letter>) =
            std::mem::take(&mut self.letters).into_iter().partition(|letter| letter.arrives <= now);
        self.letters = later;
        due.sort_by_key(|letter| letter.arrives);
        for Letter { from, write, is_lost, is_unheard, .. } in due {
            let id = self.nodes[from].id.clone();
            match write {
                Write::Record(record) if !is_lost => {
                    self.broker.log.push(RosterEvent::Worker { id, record, at: SystemTime::UNIX_EPOCH });
                }
                Write::Owner(shard, claims, expected) => {
                    let is_stored = !is_lost && self.broker.set_owner(shard, claims.then_some(id), expected);
                    if claims && (!is_stored || is_unheard) {
                        let heard = now + self.chance.millis(if is_lost { 5_000 } else { 100 });
                        self.nodes[from].failed.push((shard, heard));
                    }
                }
                Write::Record(_) => {}
            }
        }
    }

    fn harm(&mut self, place: usize) {
        let now = self.now;
        let chance = &mut self.chance;
        let node = &mut self.nodes[place];
        if chance.one_in(100) {
            node.wakes = now + chance.millis(6_000);
        } else if chance.one_in(60) {
            node.reads_again = now + chance.millis(4_000);
        } else if chance.one_in(100) {
            node.read = usize::MAX;
            node.reads_again = now + chance.millis(1_000);
        } else if chance.one_in(2_000) {
            node.is_gone = true;
        } else if chance.one_in(1_000) {
            let effects = node.assignment.leave();
            node.is_leaving = true;
            self.perform(place, effects);
        }
    }

    fn act(&mut self, place: usize) {
        let now = self.now;
        if self.nodes[place].wakes > now {
            return;
        }
        // Whatever woke up with it goes first.
        for turn in 0..4 {
            match (turn + self.chance.below(4)) % 4 {
                0 => self.tick(place),
                1 => self.read(place),
                2 => self.end(place),
                _ => {
                    let node = &mut self.nodes[place];
                    let (due, later) = node.failed.iter().copied().partition(|(_, at)| *at <= now);
                    node.failed = later;
                    let due: Vec<(ShardId, Instant)> = due;
                    due.into_iter().for_each(|(shard, _)| node.assignment.claim_failed(shard));
                }
            }
        }
        let node = &mut self.nodes[place];
        if node.is_leaving && !node.assignment.has_shards() {
            let record = node.assignment.farewell();
            node.is_gone = true;
            self.post(place, Write::Record(record));
        }
    }

    fn tick(&mut self, place: usize) {
        if self.nodes[place].ticks <= self.now {
            let now = self.now;
            self.nodes[place].ticks = now + BEAT_EVERY;
            let effects = self.nodes[place].assignment.tick(now);
            self.perform(place, effects);
        }
    }

    fn read(&mut self, place: usize) {
        let now = self.now;
        if self.nodes[place].reads_again > now {
            return;
        }
        if self.nodes[place].read == usize::MAX {
            self.nodes[place].replay = self.broker.last_of_each();
            self.nodes[place].read = self.broker.log.len();
        }
        while self.nodes[place].reads_again <= now {
            let node = &mut self.nodes[place];
            let at = if node.replay.is_empty() {
                node.read += 1;
                node.read - 1
            } else {
                node.replay.remove(0)
            };
            let Some(event) = self.broker.log.get(at).cloned() else {
                node.read -= 1;
                return;
            };
            let effects = node.assignment.seen(event, now);
            if let Some(until) = node.assignment.valid_until() {
                node.open_until = until;
            }
            self.perform(place, effects);
            // It may stop anywhere.
            if !self.is_calm && self.chance.one_in(100) {
                self.nodes[place].reads_again = now + self.chance.millis(1_500);
            }
        }
    }

    fn end(&mut self, place: usize) {
        let now = self.now;
        let node = &mut self.nodes[place];
        let (due, later): (Vec<_>, Vec<_>) = node.ending.iter().partition(|(_, at)| *at <= now);
        node.ending = later;
        for (shard, _) in due {
            self.nodes[place].running.remove(&shard);
            let release = self.nodes[place].assignment.stopped(shard, now);
            self.perform(place, release.into_iter().collect());
        }
    }

    fn step(&mut self) {
        self.now += STEP;
        self.deliver();
        for place in 0..self.nodes.len() {
            if !self.nodes[place].is_gone {
                if !self.is_calm {
                    self.harm(place);
                }
                self.act(place);
            }
        }
        self.nobody_shares();
    }

    fn nobody_shares(&self) {
        let may_send = |node: &&Node| !node.is_gone && node.wakes <= self.now && self.now < node.open_until;
        let mut taken: HashMap<ShardId, &WorkerId> = HashMap::new();
        for node in self.nodes.iter().filter(may_send) {
            for shard in &node.running {
                if let Some(other) = taken.insert(*shard, &node.id) {
                    panic!("{other} and {} may both send for {shard}", node.id);
                }
            }
        }
    }

    fn everything_is_settled(&self) {
        let mut shares = Vec::new();
        for node in self.nodes.iter().filter(|node| !node.is_gone) {
            assert!(node.assignment.is_valid(self.now), "{} may not send", node.id);
            shares.push(node.running.len());
        }
        let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
        assert!(shares.iter().sum::<usize>() == usize::from(SHARDS) && most - least <= 1, "{shares:?}");
    }

    fn run(seed: u64) {
        let mut storm = Self::new(seed);
        for step in 0..STORM {
            let alive = storm.nodes.iter().filter(|node| !node.is_gone).count();
            if alive < 2 || (alive < 5 && storm.chance.one_in(400)) || step == 300 {
                storm.join();
            }
            storm.step();
        }
        storm.is_calm = true;
        storm.join();
        for _ in 0..CALM {
            storm.step();
        }
        storm.everything_is_settled();
    }
}

/// The last ones are those that found something: owners of whom nothing was heard yet, claims on their way while
/// their owner wakes.
#[test]
fn never_two_may_send_for_one_shard() {
    for seed in (1..=8).chain([11, 92, 130, 135]) {
        let outcome = std::panic::catch_unwind(|| Storm::run(seed));
        assert!(outcome.is_ok(), "seed {seed}");
    }
}
