//! What a destination does next. Pure: events in, effects out, time passed in.
//!
//! It keeps the order of waiting entries, the number of sessions, and the decision to set
//! entries aside. It knows entries and sessions by number only; the actor holds them.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use hikyaku_types::envelope::Lane;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct JobId(pub(crate) u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SessionId(pub(crate) u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// An entry came from the queue, whose lane has `room` for so many more in memory.
    Arrived {
        job: JobId,
        lane: Lane,
        room: usize,
    },
    /// A session has its greeting and can take a message.
    Opened(SessionId),
    /// No session was had with any host.
    OpenFailed(SessionId),
    /// A message is through, whatever became of it. `usable`: the session can take another.
    Finished {
        session: SessionId,
        usable: bool,
    },
    /// The session is gone.
    Closed(SessionId),
    Tick,
    Drain,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    Open(SessionId),
    Assign(SessionId, JobId),
    Close(SessionId),
    /// Back into the queue, to return after the time.
    Park(JobId, Duration),
    /// The destination cannot be reached: this ends the attempt of each.
    Defer(Vec<JobId>),
    /// Back to the stream, for the next owner.
    GiveBack(Vec<JobId>),
    /// Nothing is left to do here.
    Idle,
}

#[derive(Debug, Clone)]
pub(crate) struct Limits {
    pub(crate) sessions: usize,
    pub(crate) hold: usize,
    pub(crate) idle: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Session {
    Opening,
    Ready { since: Instant },
    Busy,
}

/// A destination may take this part of the room that its lane has left. So many slow destinations
/// together never fill it.
const SHARE_OF_ROOM: usize = 4;
const PARK_MIN: Duration = Duration::from_secs(5);
const PARK_MAX: Duration = Duration::from_secs(600);
/// Over how long the rate of finished messages is measured.
const RATE_WINDOW: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Brain {
    limits: Limits,
    waiting: Waiting,
    sessions: BTreeMap<SessionId, Session>,
    next_session: u64,
    /// Sessions that this destination bears, between 1 and the limit.
    allowed: usize,
    draining: bool,
    rate: Rate,
    /// When the last entry set aside will have returned.
    parked_until: Option<Instant>,
}

impl Brain {
    pub(crate) fn new(limits: Limits, now: Instant) -> Self {
        Self {
            limits,
            waiting: Waiting::default(),
            sessions: BTreeMap::new(),
            next_session: 0,
            // A probe; more once it has answered.
            allowed: 1,
            draining: false,
            rate: Rate { since: now, finished: 0 },
            parked_until: None,
        }
    }

    pub(crate) fn on(&mut self, event: Event, now: Instant) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Arrived { job, lane, room } => self.arrived(job, lane, room, now, &mut effects),
            Event::Opened(session) => self.opened(session, now),
            Event::OpenFailed(session) => self.open_failed(session, &mut effects),
            Event::Finished { session, usable } => self.finished(session, usable, now),
            Event::Closed(session) => {
                self.sessions.remove(&session);
            }
            Event::Tick => self.close_idle(now, &mut effects),
            Event::Drain => self.drain(&mut effects),
        }
        self.dispatch(&mut effects);
        if self.sessions.is_empty() && self.waiting.len() == 0 {
            effects.push(Effect::Idle);
        }
        effects
    }

    fn arrived(&mut self, job: JobId, lane: Lane, room: usize, now: Instant, effects: &mut Vec<Effect>) {
        if self.draining {
            effects.push(Effect::GiveBack(vec![job]));
            return;
        }
        let hold = self.limits.hold.min(room / SHARE_OF_ROOM);
        let is_served = self.sessions.values().any(|state| matches!(state, Session::Ready { .. }));
        if !is_served && self.waiting.lane(lane).len() >= hold {
            effects.push(Effect::Park(job, self.park_for(now)));
        } else {
            self.waiting.push(lane, job);
        }
    }

    /// Spreads what is set aside over the time that this destination needs for it.
    fn park_for(&mut self, now: Instant) -> Duration {
        let interval = self.rate.interval(now).min(PARK_MAX);
        let backlog = interval.saturating_mul(u32::try_from(self.waiting.len()).unwrap_or(u32::MAX));
        let first = now + backlog.clamp(PARK_MIN, PARK_MAX);
        let after_last = self.parked_until.map(|until| until + interval);
        let at = after_last.unwrap_or(first).max(first).min(now + PARK_MAX);
        self.parked_until = Some(at);
        at - now
    }

    fn opened(&mut self, session: SessionId, now: Instant) {
        self.allowed = self.allowed.max(2.min(self.limits.sessions));
        self.ready(session, now);
    }

    fn ready(&mut self, session: SessionId, now: Instant) {
        // A session that was closed meanwhile stays closed.
        if let Some(state) = self.sessions.get_mut(&session) {
            *state = Session::Ready { since: now };
        }
    }

    fn open_failed(&mut self, session: SessionId, effects: &mut Vec<Effect>) {
        self.sessions.remove(&session);
        let alive = self.sessions.values().filter(|state| **state != Session::Opening).count();
        if alive > 0 {
            // The peer bears those that are open and no more: a limit of its own, not an outage.
            self.allowed = alive;
            return;
        }
        // One probe at a time until it answers again.
        self.allowed = 1;
        if !self.sessions.is_empty() {
            // Another one may still be answered.
            return;
        }
        let jobs = self.waiting.take_all();
        if !jobs.is_empty() {
            self.rate.finished += u32::try_from(jobs.len()).unwrap_or(u32::MAX);
            effects.push(Effect::Defer(jobs));
        }
    }

    fn finished(&mut self, session: SessionId, usable: bool, now: Instant) {
        self.rate.finished += 1;
        if !usable {
            self.sessions.remove(&session);
            return;
        }
        let busy = self.sessions.values().filter(|state| **state == Session::Busy).count();
        if busy >= self.allowed {
            self.allowed = (self.allowed + 1).min(self.limits.sessions);
        }
        self.ready(session, now);
    }

    fn close_idle(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        self.rate.forget(now);
        let is_idle = |state: &Session| match state {
            Session::Ready { since } => now.duration_since(*since) >= self.limits.idle,
            Session::Opening | Session::Busy => false,
        };
        let idle: Vec<SessionId> =
            self.sessions.iter().filter(|(_, state)| is_idle(state)).map(|(id, _)| *id).collect();
        self.close(idle, effects);
    }

    fn drain(&mut self, effects: &mut Vec<Effect>) {
        self.draining = true;
        let jobs = self.waiting.take_all();
        if !jobs.is_empty() {
            effects.push(Effect::GiveBack(jobs));
        }
        let unused: Vec<SessionId> =
            self.sessions.iter().filter(|(_, state)| **state != Session::Busy).map(|(id, _)| *id).collect();
        self.close(unused, effects);
    }

    fn close(&mut self, sessions: Vec<SessionId>, effects: &mut Vec<Effect>) {
        for session in sessions {
            self.sessions.remove(&session);
            effects.push(Effect::Close(session));
        }
    }

    fn dispatch(&mut self, effects: &mut Vec<Effect>) {
        let ready: Vec<SessionId> = self
            .sessions
            .iter()
            .filter(|(_, state)| matches!(state, Session::Ready { .. }))
            .map(|(id, _)| *id)
            .collect();
        for session in ready {
            if self.draining {
                self.close(vec![session], effects);
                continue;
            }
            let Some(job) = self.waiting.pop() else { break };
            self.sessions.insert(session, Session::Busy);
            effects.push(Effect::Assign(session, job));
        }
        let opening = self.sessions.values().filter(|state| **state == Session::Opening).count();
        let wanted = self.waiting.len().saturating_sub(opening);
        let room = self.allowed.saturating_sub(self.sessions.len());
        for _ in 0..wanted.min(room) {
            let session = SessionId(self.next_session);
            self.next_session += 1;
            self.sessions.insert(session, Session::Opening);
            effects.push(Effect::Open(session));
        }
    }
}

/// Entries by lane. No lane can keep another from every turn: first attempts of ordinary
/// senders get two turns of four, retries and bulk one each.
#[derive(Debug, Default)]
struct Waiting {
    fresh: VecDeque<JobId>,
    bulk: VecDeque<JobId>,
    due: VecDeque<JobId>,
    turn: usize,
}

impl Waiting {
    const TURNS: [[Lane; 3]; 4] = [
        [Lane::Fresh, Lane::Due, Lane::Bulk],
        [Lane::Due, Lane::Fresh, Lane::Bulk],
        [Lane::Fresh, Lane::Bulk, Lane::Due],
        [Lane::Bulk, Lane::Fresh, Lane::Due],
    ];

    fn lane(&mut self, lane: Lane) -> &mut VecDeque<JobId> {
        match lane {
            Lane::Fresh => &mut self.fresh,
            Lane::Bulk => &mut self.bulk,
            Lane::Due => &mut self.due,
        }
    }

    fn push(&mut self, lane: Lane, job: JobId) {
        self.lane(lane).push_back(job);
    }

    fn pop(&mut self) -> Option<JobId> {
        let order = Self::TURNS.get(self.turn % Self::TURNS.len())?;
        self.turn = self.turn.wrapping_add(1);
        order.iter().find_map(|lane| self.lane(*lane).pop_front())
    }

    fn len(&self) -> usize {
        self.fresh.len() + self.bulk.len() + self.due.len()
    }

    fn take_all(&mut self) -> Vec<JobId> {
        Lane::ALL.into_iter().flat_map(|lane| std::mem::take(self.lane(lane))).collect()
    }
}

/// Messages finished lately.
#[derive(Debug)]
struct Rate {
    since: Instant,
    finished: u32,
}

impl Rate {
    /// Time for one message at the measured rate: nothing at first, and ever more while nothing
    /// is finished.
    fn interval(&self, now: Instant) -> Duration {
        now.duration_since(self.since) / (self.finished + 1)
    }

    /// The past counts half once the window is full.
    fn forget(&mut self, now: Instant) {
        if now.duration_since(self.since) >= RATE_WINDOW {
            self.since += now.duration_since(self.since) / 2;
            self.finished /= 2;
        }
    }
}

#[cfg(test)]
#[expect(clippy::wildcard_enum_match_arm, reason = "a test panics on every effect that it does not expect")]
#[path = "brain_tests.rs"]
mod tests;
