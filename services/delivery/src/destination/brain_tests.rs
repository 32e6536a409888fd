use super::*;

const LIMITS: Limits = Limits { sessions: 4, hold: 5, idle: Duration::from_secs(5) };

struct World {
    brain: Brain,
    now: Instant,
    jobs: u64,
}

impl World {
    fn new() -> Self {
        let now = Instant::now();
        Self { brain: Brain::new(LIMITS, now), now, jobs: 0 }
    }

    fn on(&mut self, event: Event) -> Vec<Effect> {
        self.brain.on(event, self.now)
    }

    fn arrive(&mut self, lane: Lane) -> Vec<Effect> {
        let job = JobId(self.jobs);
        self.jobs += 1;
        self.on(Event::Arrived { job, lane, room: 1_000 })
    }
}

fn session(id: u64) -> SessionId {
    SessionId(id)
}

fn job(id: u64) -> JobId {
    JobId(id)
}

#[test]
fn one_entry_makes_one_session_and_reuses_it() {
    let mut world = World::new();
    assert_eq!(world.arrive(Lane::Fresh), [Effect::Open(session(0))]);
    assert_eq!(world.on(Event::Opened(session(0))), [Effect::Assign(session(0), job(0))]);
    assert_eq!(world.on(Event::Finished { session: session(0), usable: true }), []);
    assert_eq!(world.arrive(Lane::Fresh), [Effect::Assign(session(0), job(1))]);
}

#[test]
fn sessions_grow_with_success_up_to_the_limit() {
    let mut world = World::new();
    let (mut opened, mut busy) = (0, VecDeque::new());
    let mut effects = VecDeque::new();
    for _ in 0..40 {
        effects.extend(world.arrive(Lane::Fresh));
        effects.extend(world.arrive(Lane::Fresh));
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::Open(id) => {
                    opened += 1;
                    effects.extend(world.on(Event::Opened(id)));
                }
                Effect::Assign(id, _) => busy.push_back(id),
                Effect::Park(..) => {}
                other => panic!("{other:?}"),
            }
        }
        assert!(busy.len() <= LIMITS.sessions, "{busy:?}");
        if let Some(session) = busy.pop_front() {
            effects.extend(world.on(Event::Finished { session, usable: true }));
        }
    }
    assert_eq!(opened, LIMITS.sessions);
}

#[test]
fn a_dead_destination_ends_the_attempt_of_all_that_wait() {
    let mut world = World::new();
    assert_eq!(world.arrive(Lane::Fresh), [Effect::Open(session(0))]);
    // One probe is enough to a destination that has not answered yet.
    assert_eq!(world.arrive(Lane::Fresh), []);
    assert_eq!(world.on(Event::OpenFailed(session(0))), [Effect::Defer(vec![job(0), job(1)]), Effect::Idle]);
    assert_eq!(world.arrive(Lane::Fresh), [Effect::Open(session(1))]);
}

/// The peer's own limit is not an outage.
#[test]
fn a_refused_second_session_leaves_the_first_at_work() {
    let mut world = World::new();
    for _ in 0..3 {
        world.arrive(Lane::Fresh);
    }
    assert_eq!(
        world.on(Event::Opened(session(0))),
        [Effect::Assign(session(0), job(0)), Effect::Open(session(1))]
    );
    assert_eq!(world.on(Event::OpenFailed(session(1))), []);
    assert_eq!(
        world.on(Event::Finished { session: session(0), usable: true })[0],
        Effect::Assign(session(0), job(1))
    );
}

/// As long as one session may still be answered, nothing is given up.
#[test]
fn two_sessions_fail_before_the_destination_does() {
    let mut world = World::new();
    for _ in 0..4 {
        world.arrive(Lane::Fresh);
    }
    world.on(Event::Opened(session(0)));
    world.on(Event::Finished { session: session(0), usable: true });
    world.arrive(Lane::Fresh);
    let lost = world.on(Event::Finished { session: session(0), usable: false });
    assert_eq!(lost, [Effect::Open(session(2))]);
    assert_eq!(world.on(Event::OpenFailed(session(1))), []);
    let failed = world.on(Event::OpenFailed(session(2)));
    assert!(matches!(failed[..], [Effect::Defer(_), Effect::Idle]), "{failed:?}");
}

/// Many slow destinations share what is left of their lane; none takes the last of it.
#[test]
fn the_fuller_the_lane_the_less_is_held() {
    let mut world = World::new();
    let mut arrive = |room| {
        let id = JobId(world.jobs);
        world.jobs += 1;
        world.on(Event::Arrived { job: id, lane: Lane::Fresh, room })
    };
    assert_eq!(arrive(8), [Effect::Open(session(0))]);
    assert_eq!(arrive(8), []);
    assert!(matches!(arrive(8)[..], [Effect::Park(..)]));
    assert!(matches!(arrive(3)[..], [Effect::Park(..)]));
}

#[test]
fn what_is_too_much_is_set_aside_spread_over_the_time_it_needs() {
    let mut world = World::new();
    for _ in 0..LIMITS.hold {
        world.arrive(Lane::Fresh);
    }
    // The first few may still find room.
    let park = |world: &mut World| {
        let parked = |effect| if let Effect::Park(_, after) = effect { Some(after) } else { None };
        (0..100).find_map(|_| world.arrive(Lane::Fresh).into_iter().find_map(parked)).unwrap()
    };
    assert_eq!(park(&mut world), PARK_MIN, "nothing speaks against a quick return yet");
    // One message in two seconds.
    world.on(Event::Opened(session(0)));
    for _ in 0..10 {
        world.now += Duration::from_secs(2);
        world.on(Event::Finished { session: session(0), usable: true });
        world.arrive(Lane::Fresh);
    }
    let times: Vec<Duration> = (0..10).map(|_| park(&mut world)).collect();
    assert!(times[0] > PARK_MIN && times.windows(2).all(|pair| pair[1] > pair[0]), "{times:?}");
    // And none for an hour.
    world.now += Duration::from_secs(3_600);
    assert_eq!(park(&mut world), PARK_MAX);
}

#[test]
fn retries_and_bulk_cannot_take_every_turn() {
    let mut waiting = Waiting::default();
    for id in 0..100 {
        waiting.push(Lane::Due, JobId(id));
        waiting.push(Lane::Bulk, JobId(1_000 + id));
    }
    for id in 0..10 {
        waiting.push(Lane::Fresh, JobId(2_000 + id));
    }
    let first: Vec<u64> = (0..20).filter_map(|_| waiting.pop()).map(|id| id.0).collect();
    assert_eq!(first.iter().filter(|id| **id >= 2_000).count(), 10, "{first:?}");
}

#[test]
fn an_idle_session_is_closed_and_the_destination_ends() {
    let mut world = World::new();
    world.arrive(Lane::Fresh);
    world.on(Event::Opened(session(0)));
    world.on(Event::Finished { session: session(0), usable: true });
    assert_eq!(world.on(Event::Tick), []);
    world.now += LIMITS.idle;
    assert_eq!(world.on(Event::Tick), [Effect::Close(session(0)), Effect::Idle]);
}

#[test]
fn drain_gives_back_and_lets_the_running_finish() {
    let mut world = World::new();
    for _ in 0..3 {
        world.arrive(Lane::Fresh);
    }
    world.on(Event::Opened(session(0)));
    assert_eq!(world.on(Event::Drain), [Effect::GiveBack(vec![job(1), job(2)]), Effect::Close(session(1))]);
    assert_eq!(world.arrive(Lane::Due), [Effect::GiveBack(vec![job(3)])]);
    assert_eq!(
        world.on(Event::Finished { session: session(0), usable: true }),
        [Effect::Close(session(0)), Effect::Idle]
    );
}

/// A session that is lost is replaced while entries wait.
#[test]
fn a_lost_session_is_replaced() {
    let mut world = World::new();
    world.arrive(Lane::Fresh);
    world.on(Event::Opened(session(0)));
    world.arrive(Lane::Fresh);
    assert_eq!(world.on(Event::OpenFailed(session(1))), []);
    assert_eq!(world.on(Event::Finished { session: session(0), usable: false }), [Effect::Open(session(2))]);
}
