use std::collections::VecDeque;

use hikyaku_types::{envelope::Lane, source::Source};

use super::*;

const LIMITS: Limits = Limits { sessions: 4, hold: 5, idle: Duration::from_secs(5), rate: None };
const HERE: EgressId = EgressId(0);

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

    /// Each from a client of its own.
    fn arrive(&mut self, lane: Lane) -> Vec<Effect> {
        self.arrive_from(lane, self.jobs)
    }

    fn arrive_from(&mut self, lane: Lane, client: u64) -> Vec<Effect> {
        self.arrive_with(class(lane, client), HERE, 1_000)
    }

    fn arrive_with(&mut self, class: Class, egress: EgressId, room: usize) -> Vec<Effect> {
        let job = JobId(self.jobs);
        self.jobs += 1;
        self.on(Event::Arrived { job, class, egress, room })
    }
}

fn class(lane: Lane, client: u64) -> Class {
    Class { lane, source: Source { client, sender: 0 }, share: 70 }
}

fn opens(session: u64, client: u64) -> Effect {
    Effect::Open(SessionId(session), HERE, class(Lane::Fresh, client))
}

fn finished(session: u64, usable: bool) -> Event {
    Event::Finished { session: SessionId(session), usable, too_much: false }
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
    assert_eq!(world.arrive(Lane::Fresh), [opens(0, 0)]);
    assert_eq!(world.on(Event::Opened(session(0))), [Effect::Assign(session(0), job(0))]);
    assert_eq!(world.on(finished(0, true)), []);
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
                Effect::Open(id, ..) => {
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
            effects.extend(world.on(finished(session.0, true)));
        }
    }
    assert_eq!(opened, LIMITS.sessions);
}

#[test]
fn a_dead_destination_ends_the_attempt_of_all_that_wait() {
    let mut world = World::new();
    assert_eq!(world.arrive(Lane::Fresh), [opens(0, 0)]);
    // One probe is enough to a destination that has not answered yet.
    assert_eq!(world.arrive(Lane::Fresh), []);
    assert_eq!(world.on(Event::OpenFailed(session(0))), [Effect::Defer(vec![job(0), job(1)])]);
    assert_eq!(world.arrive(Lane::Fresh), [opens(1, 2)]);
    assert_eq!(world.on(Event::OpenFailed(session(1))), [Effect::Defer(vec![job(2)])]);
    assert_eq!(world.on(Event::Tick), [Effect::Idle]);
}

/// The peer's own limit is not an outage.
#[test]
fn a_refused_second_session_leaves_the_first_at_work() {
    let mut world = World::new();
    for _ in 0..3 {
        world.arrive(Lane::Fresh);
    }
    assert_eq!(world.on(Event::Opened(session(0))), [Effect::Assign(session(0), job(0)), opens(1, 1)]);
    assert_eq!(world.on(Event::OpenFailed(session(1))), []);
    assert_eq!(world.on(finished(0, true))[0], Effect::Assign(session(0), job(1)));
}

/// As long as one session may still be answered, nothing is given up.
#[test]
fn two_sessions_fail_before_the_destination_does() {
    let mut world = World::new();
    for _ in 0..4 {
        world.arrive(Lane::Fresh);
    }
    world.on(Event::Opened(session(0)));
    world.on(finished(0, true));
    world.arrive(Lane::Fresh);
    assert_eq!(world.on(finished(0, false)), [], "it is open until it says that it is gone");
    assert_eq!(world.on(Event::Closed(session(0))), [opens(2, 2)]);
    assert_eq!(world.on(Event::OpenFailed(session(1))), []);
    let failed = world.on(Event::OpenFailed(session(2)));
    assert!(matches!(failed[..], [Effect::Defer(_)]), "{failed:?}");
}

/// Many slow destinations share what is left of their lane; none takes the last of it.
#[test]
fn the_fuller_the_lane_the_less_is_held() {
    let mut world = World::new();
    let mut arrive = |room| world.arrive_with(class(Lane::Fresh, 0), HERE, room);
    assert_eq!(arrive(8), [opens(0, 0)]);
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
        world.on(finished(0, true));
        world.arrive(Lane::Fresh);
    }
    let times: Vec<Duration> = (0..10).map(|_| park(&mut world)).collect();
    assert!(times[0] > PARK_MIN && times.windows(2).all(|pair| pair[1] > pair[0]), "{times:?}");
    // And none for ten hours.
    world.now += Duration::from_secs(36_000);
    assert_eq!(park(&mut world), PARK_MAX);
}

#[test]
fn what_was_set_aside_is_recalled_when_there_is_room() {
    let mut world = World::new();
    let mut set_aside = 0;
    for _ in 0..20 {
        let parked = world.arrive(Lane::Fresh).iter().filter(|it| matches!(it, Effect::Park(..))).count();
        for _ in 0..parked {
            assert_eq!(world.on(Event::SetAside), [], "nothing has answered yet");
        }
        set_aside += parked;
    }
    assert!(set_aside > 10);
    let mut effects = world.on(Event::Opened(session(0)));
    let mut recalled = Vec::new();
    for _ in 0..10 {
        recalled.extend(effects.iter().filter(|it| matches!(it, Effect::Recall(_))).cloned());
        effects = world.on(finished(0, true));
    }
    assert_eq!(recalled, [Effect::Recall(1)], "one part, and no other until that has come");
    assert_eq!(world.on(Event::Recalled { failed: 0 }), [Effect::Recall(1)]);
    world.on(Event::Held);
    assert!(!world.on(Event::Recalled { failed: 0 }).contains(&Effect::Recall(1)));
    assert!(world.on(Event::Tick).contains(&Effect::Recall(1)));
    assert!(!world.on(Event::Recalled { failed: 1 }).contains(&Effect::Recall(1)), "the broker is away");
    assert!(world.on(Event::Tick).contains(&Effect::Recall(1)));
}

#[test]
fn an_idle_session_is_closed_and_the_destination_ends() {
    let mut world = World::new();
    world.arrive(Lane::Fresh);
    world.on(Event::Opened(session(0)));
    world.on(finished(0, true));
    assert_eq!(world.on(Event::Tick), []);
    world.now += LIMITS.idle;
    assert_eq!(world.on(Event::Tick), [Effect::Close(session(0))]);
    assert_eq!(world.on(Event::Tick), [], "an entry that it gives back may be on its way");
    world.on(Event::Closed(session(0)));
    assert_eq!(world.on(Event::Tick), [Effect::Idle]);
}

/// The next one would begin with a full bucket.
#[test]
fn a_destination_with_a_rate_ends_when_that_is_not_spent() {
    let mut world = World::new();
    world.on(Event::Limits(Limits { rate: Some(0.1), ..LIMITS }));
    world.arrive(Lane::Fresh);
    world.on(Event::Opened(session(0)));
    world.on(finished(0, false));
    world.on(Event::Closed(session(0)));
    assert_eq!(world.on(Event::Tick), []);
    world.now += Duration::from_secs(10);
    assert_eq!(world.on(Event::Tick), [Effect::Idle]);
}

#[test]
fn drain_gives_back_and_lets_the_running_finish() {
    let mut world = World::new();
    for _ in 0..3 {
        world.arrive(Lane::Fresh);
    }
    world.on(Event::Opened(session(0)));
    assert_eq!(world.on(Event::Drain), [Effect::GiveBack(vec![job(1), job(2)]), Effect::Abandon(session(1))]);
    assert_eq!(world.arrive(Lane::Due), [Effect::GiveBack(vec![job(3)])]);
    assert_eq!(world.on(finished(0, true)), [Effect::Close(session(0))]);
    assert_eq!(world.on(Event::Closed(session(0))), [Effect::Idle]);
}

/// A session that is lost is replaced while entries wait.
#[test]
fn a_lost_session_is_replaced() {
    let mut world = World::new();
    world.arrive(Lane::Fresh);
    world.on(Event::Opened(session(0)));
    world.arrive(Lane::Fresh);
    assert_eq!(world.on(Event::OpenFailed(session(1))), []);
    assert_eq!(world.on(finished(0, false)), [opens(2, 1)], "it could carry one, so two are borne");
}

/// SEED-180: one client never has more than its share of a destination's sessions, and who comes
/// later is served at once.
#[test]
fn one_client_leaves_room_for_others() {
    let mut world = World::new();
    for _ in 0..5 {
        world.arrive_from(Lane::Fresh, 1);
    }
    world.on(Event::Opened(session(0)));
    world.on(Event::Opened(session(1)));
    assert_eq!(world.on(finished(0, true)), [Effect::Assign(session(0), job(2))], "no third session");
    assert_eq!(world.arrive_from(Lane::Due, 2), [Effect::Open(session(2), HERE, class(Lane::Due, 2))]);
    assert_eq!(world.on(Event::Opened(session(2))), [Effect::Assign(session(2), job(5))]);
}

/// What a crowd has too much of is set aside in the place of what somebody else brings.
#[test]
fn the_crowd_gives_way_to_the_newcomer() {
    let mut world = World::new();
    for _ in 0..LIMITS.hold {
        world.arrive_from(Lane::Fresh, 1);
    }
    assert!(matches!(world.arrive_from(Lane::Fresh, 1)[..], [Effect::Park(JobId(5), _)]));
    assert!(matches!(world.arrive_from(Lane::Fresh, 2)[..], [Effect::Park(JobId(4), _)]));
}

#[test]
fn a_peer_that_gets_too_much_gets_less_and_slowly_more() {
    let mut world = World::new();
    world.on(Event::Limits(Limits { hold: 100, ..LIMITS }));
    for client in 0..40 {
        world.arrive_with(class(Lane::Fresh, client), HERE, 4_000);
    }
    for id in 0..4 {
        world.on(Event::Opened(session(id)));
        world.on(finished(id, true));
    }
    assert_eq!(world.brain.allowed, 4);
    world.on(Event::Finished { session: session(0), usable: true, too_much: true });
    assert_eq!((world.brain.allowed, world.brain.sessions.staying()), (2, 3), "what is busy ends in peace");
    world.on(finished(1, true));
    assert_eq!(world.brain.allowed, 2);
    world.on(finished(2, true));
    assert_eq!(world.brain.allowed, 3);
}

/// A session that says goodbye has not carried one more.
#[test]
fn what_was_lowered_is_not_raised_by_a_session_that_leaves() {
    let mut world = World::new();
    for _ in 0..5 {
        world.arrive(Lane::Fresh);
    }
    world.on(Event::Opened(session(0)));
    world.on(Event::Opened(session(1)));
    world.on(Event::Finished { session: session(0), usable: false, too_much: true });
    assert_eq!(world.on(Event::Leaving(session(0))), []);
    assert_eq!(world.on(Event::Closed(session(0))), [], "one is enough");
}

/// The peer takes one connection, and one message in each.
#[test]
fn a_session_that_says_goodbye_is_a_sign_of_life() {
    let mut world = World::new();
    for _ in 0..3 {
        world.arrive(Lane::Fresh);
    }
    world.on(Event::Opened(session(0)));
    world.on(finished(0, false));
    assert_eq!(world.on(Event::OpenFailed(session(1))), []);
    assert_eq!(world.on(Event::Closed(session(0))).len(), 1, "the next one opens");
}

#[test]
fn a_held_destination_sets_everything_aside() {
    let mut world = World::new();
    for _ in 0..3 {
        world.arrive(Lane::Fresh);
    }
    world.on(Event::Opened(session(0)));
    let aside = |id| Effect::Park(job(id), PARK_MIN);
    assert_eq!(world.on(Event::Held), [aside(1), aside(2)]);
}

#[test]
fn a_rate_is_kept() {
    let mut world = World::new();
    world.on(Event::Limits(Limits { rate: Some(1.0), ..LIMITS }));
    for _ in 0..3 {
        world.arrive(Lane::Fresh);
    }
    assert_eq!(world.on(Event::Opened(session(0))), [Effect::Assign(session(0), job(0))]);
    assert_eq!(world.on(finished(0, true)), []);
    world.now += Duration::from_secs(1);
    assert_eq!(world.on(Event::Tick), [Effect::Assign(session(0), job(1))]);
}

/// SEED-179: an entry never leaves from another address than its own.
#[test]
fn entries_of_another_address_get_sessions_of_their_own() {
    let mut world = World::new();
    let there = EgressId(1);
    world.on(Event::Limits(Limits { sessions: 1, ..LIMITS }));
    world.arrive_with(class(Lane::Fresh, 0), HERE, 1_000);
    world.arrive_with(class(Lane::Fresh, 0), HERE, 1_000);
    world.on(Event::Opened(session(0)));
    assert_eq!(world.arrive_with(class(Lane::Fresh, 1), there, 1_000), []);
    assert_eq!(world.on(finished(0, true)), [Effect::Close(session(0))]);
    let opens_there = Effect::Open(session(1), there, class(Lane::Fresh, 1));
    assert_eq!(world.on(Event::Closed(session(0))), [opens_there]);
    assert_eq!(world.on(Event::Opened(session(1))), [Effect::Assign(session(1), job(2))], "it has its turn");
}

/// All of several addresses get through, however few sessions there may be.
#[test]
fn addresses_take_turns() {
    for allowed in 1..4 {
        let mut world = World::new();
        world.on(Event::Limits(Limits { sessions: allowed, hold: 100, ..LIMITS }));
        let mut effects = VecDeque::new();
        for n in 0..30 {
            effects.extend(world.arrive_with(
                class(Lane::Fresh, n),
                EgressId(usize::try_from(n % 3).unwrap()),
                1_000,
            ));
        }
        let (mut carried, mut opened) = (0, 0);
        while let Some(effect) = effects.pop_front() {
            effects.extend(match effect {
                Effect::Open(id, ..) => {
                    opened += 1;
                    world.on(Event::Opened(id))
                }
                Effect::Assign(id, _) => {
                    carried += 1;
                    world.on(finished(id.0, true))
                }
                Effect::Close(id) => world.on(Event::Closed(id)),
                other => panic!("{other:?}"),
            });
            assert!(opened < 100, "{carried} carried");
        }
        assert_eq!(carried, 30, "{opened} sessions");
    }
}

/// What one of our addresses cannot reach says nothing about the others.
#[test]
fn a_refused_address_ends_only_its_own_attempts() {
    let mut world = World::new();
    world.arrive_with(class(Lane::Fresh, 0), HERE, 1_000);
    world.arrive_with(class(Lane::Fresh, 1), EgressId(1), 1_000);
    let failed = world.on(Event::OpenFailed(session(0)));
    let opens_there = Effect::Open(session(1), EgressId(1), class(Lane::Fresh, 1));
    assert_eq!(failed, [Effect::Defer(vec![job(0)]), opens_there]);
    assert_eq!(world.on(Event::Opened(session(1))), [Effect::Assign(session(1), job(1))]);
}

/// Ready to take one, and not allowed to: that makes no room for all that come.
#[test]
fn a_spent_rate_holds_no_more_than_its_part() {
    let mut world = World::new();
    world.on(Event::Limits(Limits { rate: Some(0.1), ..LIMITS }));
    world.arrive(Lane::Fresh);
    world.on(Event::Opened(session(0)));
    world.on(finished(0, true));
    for _ in 0..100 {
        world.arrive(Lane::Fresh);
    }
    assert_eq!(world.brain.waiting_len(), LIMITS.hold);
}

/// More workers help with what waits for a turn here, not with what its limits hold back.
#[test]
fn what_limits_hold_back_is_counted() {
    let mut world = World::new();
    world.on(Event::Limits(Limits { hold: 100, ..LIMITS }));
    world.arrive(Lane::Fresh);
    let now = world.now;
    assert_eq!(world.brain.held_back(false, now), 0, "it waits for the session that is being opened for it");
    for _ in 0..9 {
        world.arrive(Lane::Fresh);
    }
    assert_eq!(world.brain.held_back(false, now), 9, "one probe, and no more before it is answered");
    for id in 0..2 {
        world.on(Event::Opened(session(id)));
    }
    let waiting = world.brain.waiting_len();
    assert_eq!(
        (waiting, world.brain.held_back(false, now)),
        (8, 8),
        "two sessions are all that it may have by now"
    );
    world.on(Event::Limits(Limits { sessions: 9, hold: 100, rate: Some(0.001), ..LIMITS }));
    assert_eq!(world.brain.held_back(false, now), world.brain.waiting_len(), "its rate is spent");
    world.on(Event::Held);
    assert_eq!(world.brain.held_back(false, now), 0, "an operator's hold sets everything aside");
}

/// A worker whose sessions are all taken sets aside what it cannot hold. That is due all the same.
#[test]
fn what_waits_for_a_turn_of_this_process_is_due() {
    let mut world = World::new();
    let mut parked = 0;
    for _ in 0..100 {
        parked += world.arrive(Lane::Fresh).iter().filter(|it| matches!(it, Effect::Park(..))).count();
    }
    for _ in 0..parked {
        world.on(Event::SetAside);
    }
    let (now, waiting) = (world.now, world.brain.waiting_len());
    assert!(parked > 0 && waiting > 1);
    let counted =
        |world: &mut World, waits| (world.brain.held_back(waits, now), world.brain.due_aside(waits, now));
    assert_eq!(counted(&mut world, false), (waiting - 1, 0), "its host has not answered yet");
    assert_eq!(counted(&mut world, true), (0, parked), "its host has, and no session is free for it");
    world.on(Event::Limits(Limits { rate: Some(0.001), ..LIMITS }));
    world.on(Event::Opened(session(0)));
    let (waiting, (held_back, aside)) = (world.brain.waiting_len(), counted(&mut world, true));
    assert_eq!((held_back, aside), (waiting, 0), "its rate is spent");
}
