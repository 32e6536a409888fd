//! What a destination does next. Pure: events in, effects out, time passed in.
//!
//! It keeps the order of waiting entries, the number of sessions, and the decision to set
//! entries aside. It knows entries and sessions by number only; the actor holds them.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use crate::{
    destination::{
        pace::{Pace, Throughput},
        sessions::{Session, Sessions},
    },
    fair::{Class, FairQueue, share},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct JobId(pub(crate) u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SessionId(pub(crate) u64);

/// Which of our addresses a session leaves from; sessions and entries of one never mix with
/// those of another (SEED-179).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct EgressId(pub(crate) usize);

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Event {
    /// An entry came from the queue, whose lane has `room` for so many more in memory.
    Arrived {
        job: JobId,
        class: Class,
        egress: EgressId,
        room: usize,
    },
    /// A session has its greeting and can take a message.
    Opened(SessionId),
    /// No session was had with any host.
    OpenFailed(SessionId),
    /// A message is through, whatever became of it. `usable`: the session can take another.
    /// `too_much`: the peer said that it gets too much from us.
    Finished {
        session: SessionId,
        usable: bool,
        too_much: bool,
    },
    /// The session takes nothing more.
    Leaving(SessionId),
    /// It is gone.
    Closed(SessionId),
    /// An entry is written as set aside, and it is known here which.
    SetAside,
    /// Those that were recalled are in their lanes, but for so many that are still aside.
    Recalled {
        failed: usize,
    },
    /// An operator holds the destination.
    Held,
    /// The limits have changed.
    Limits(Limits),
    Tick,
    Drain,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    Open(SessionId, EgressId, Class),
    Assign(SessionId, JobId),
    /// It says QUIT, and counts until it is gone.
    Close(SessionId),
    /// It has had no greeting; it is gone at once.
    Abandon(SessionId),
    /// Back into the queue, to return after the time, or when they are recalled.
    Park(JobId, Duration),
    /// So many of those that were set aside come back now.
    Recall(usize),
    /// The destination cannot be reached: this ends the attempt of each.
    Defer(Vec<JobId>),
    /// For the shard's next owner.
    GiveBack(Vec<JobId>),
    /// Nothing is left to do here.
    Idle,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Limits {
    pub(crate) sessions: usize,
    pub(crate) hold: usize,
    pub(crate) idle: Duration,
    /// Messages per second.
    pub(crate) rate: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Recalling {
    No,
    Now,
    /// The broker did not answer.
    NotBeforeTick,
}

/// A destination may take this part of the room that its lane has left. So many slow destinations
/// together never fill it.
const SHARE_OF_ROOM: usize = 4;
const PARK_MIN: Duration = Duration::from_secs(5);
const PARK_MAX: Duration = Duration::from_secs(3_600);
/// A part of what is held comes back at once, when no more than that waits.
const RECALL_SHARE: usize = 4;

#[derive(Debug)]
pub(crate) struct Brain {
    limits: Limits,
    waiting: BTreeMap<EgressId, FairQueue<JobId>>,
    sessions: Sessions,
    /// Sessions that this destination bears, between 1 and the limit.
    allowed: usize,
    /// Successes that one more session costs: one, until the peer has said that it is too much.
    price: u32,
    paid: u32,
    draining: bool,
    /// Whose turn it was when a session was opened last.
    opened_last: EgressId,
    throughput: Throughput,
    pace: Pace,
    /// When the last entry set aside will have returned by itself.
    parked_until: Option<Instant>,
    /// Entries set aside that can be recalled.
    aside: usize,
    recalling: Recalling,
    /// Entries that were found to have room here.
    bears: usize,
    /// The last attempt to open a session was greeted.
    answers: bool,
    held: bool,
}

impl Brain {
    pub(crate) fn new(limits: Limits, now: Instant) -> Self {
        Self {
            limits,
            waiting: BTreeMap::new(),
            sessions: Sessions::default(),
            // A probe; more once it has answered.
            allowed: 1,
            price: 1,
            paid: 0,
            draining: false,
            opened_last: EgressId::default(),
            throughput: Throughput::default(),
            pace: Pace::new(limits.rate, now),
            parked_until: None,
            aside: 0,
            recalling: Recalling::No,
            bears: limits.hold,
            answers: false,
            held: false,
        }
    }

    pub(crate) fn on(&mut self, event: Event, now: Instant) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Arrived { job, class, egress, room } => {
                self.arrived(job, class, egress, room, now, &mut effects);
            }
            Event::Opened(session) => self.opened(session, now),
            Event::OpenFailed(session) => self.open_failed(session, &mut effects),
            Event::Finished { session, usable, too_much } => self.finished(session, usable, too_much, now),
            Event::Leaving(session) => self.sessions.closing(session),
            Event::Closed(session) => _ = self.sessions.remove(session),
            Event::SetAside => self.aside += 1,
            Event::Recalled { failed } => {
                self.aside += failed;
                self.recalling = if failed == 0 { Recalling::No } else { Recalling::NotBeforeTick };
            }
            Event::Held => self.hold(now, &mut effects),
            Event::Limits(limits) => {
                self.held = false;
                self.limit(limits, now);
            }
            Event::Tick => {
                self.held = false;
                if self.recalling == Recalling::NotBeforeTick {
                    self.recalling = Recalling::No;
                }
                self.tick(now, &mut effects);
            }
            Event::Drain => self.drain(&mut effects),
        }
        self.dispatch(now, &mut effects);
        self.throughput.waits(self.waiting_len() > 0, now);
        self.recall(&mut effects);
        // At a tick: in between, an entry that was just given back may be on its way here.
        let is_tick = matches!(event, Event::Tick | Event::Held | Event::Limits(_));
        if (self.draining || is_tick) && self.has_nothing(now) {
            effects.push(Effect::Idle);
        }
        effects
    }

    /// Of what waits, what another worker could not send either: the limits of the destination hold it back. A session
    /// of it that waits for a turn of this process says that they do not.
    pub(crate) fn held_back(&mut self, waits_for_us: bool, now: Instant) -> usize {
        let waiting = self.waiting_len();
        if self.held || self.pace.is_spent(now) {
            return waiting;
        }
        let (sessions, alive) = (self.sessions.len(), self.sessions.alive());
        // An entry for each session that is being opened is on its way.
        if !waits_for_us && sessions >= self.allowed { waiting.saturating_sub(sessions - alive) } else { 0 }
    }

    /// What was set aside because this process is slow: it is due, wherever it stands.
    pub(crate) fn due_aside(&mut self, waits_for_us: bool, now: Instant) -> usize {
        let is_limited = self.held || self.pace.is_spent(now) || !waits_for_us;
        if is_limited { 0 } else { self.aside }
    }

    fn has_nothing(&self, now: Instant) -> bool {
        let is_empty = self.sessions.is_empty() && self.waiting_len() == 0;
        // The next one would begin with a full bucket, and not know what is set aside.
        let remembers = self.parked_until.is_some_and(|until| until > now) || !self.pace.is_full(now);
        is_empty && (self.draining || self.recalling == Recalling::No && !remembers)
    }

    fn arrived(
        &mut self,
        job: JobId,
        class: Class,
        egress: EgressId,
        room: usize,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        if self.draining {
            effects.push(Effect::GiveBack(vec![job]));
            return;
        }
        let hold = self.limits.hold.min(room / SHARE_OF_ROOM);
        self.bears = hold;
        let is_first = self.waiting_len() == 0;
        let in_lane: usize = self.waiting.values().map(|queue| queue.lane_len(class.lane)).sum();
        let queue = self.waiting.entry(egress).or_default();
        // A ready session takes one, if it may. Beside that a destination with nothing waiting always
        // has a place, however many slow ones fill the lane.
        let at_once = queue.len() == 0 && self.sessions.any_ready(egress) && !self.pace.is_spent(now);
        if at_once || is_first || in_lane < hold {
            queue.push(class, job);
            return;
        }
        // Who sends little does not pay for who sends much.
        let aside = match queue.pop_last_of_largest(class) {
            Some(last) => {
                queue.push(class, job);
                last
            }
            None => job,
        };
        effects.push(Effect::Park(aside, self.park_for(now)));
    }

    /// Spreads what is set aside over the time that this destination needs for it.
    fn park_for(&mut self, now: Instant) -> Duration {
        let interval = self.throughput.interval(now).max(self.pace.interval()).min(PARK_MAX);
        let backlog = interval.saturating_mul(u32::try_from(self.waiting_len()).unwrap_or(u32::MAX));
        let first = now + backlog.clamp(PARK_MIN, PARK_MAX);
        let after_last = self.parked_until.map(|until| until + interval);
        let at = after_last.unwrap_or(first).max(first).min(now + PARK_MAX);
        self.parked_until = Some(at);
        at - now
    }

    /// What was set aside returns when there is room for it: what was measured may have been a bad
    /// time, and its own time only sees to it that it comes when nobody remembers it.
    fn recall(&mut self, effects: &mut Vec<Effect>) {
        let part = (self.bears / RECALL_SHARE).max(1);
        let is_wanted = self.answers && !self.held && !self.draining && self.waiting_len() < part;
        if self.aside == 0 || self.recalling != Recalling::No || !is_wanted {
            return;
        }
        let count = part.min(self.aside);
        self.aside -= count;
        self.recalling = Recalling::Now;
        effects.push(Effect::Recall(count));
    }

    fn opened(&mut self, session: SessionId, now: Instant) {
        self.answers = true;
        self.allowed = self.allowed.max(2.min(self.limits.sessions));
        self.sessions.ready(session, false, now);
    }

    fn open_failed(&mut self, session: SessionId, effects: &mut Vec<Effect>) {
        let Some(egress) = self.sessions.remove(session) else { return };
        let alive = self.sessions.alive();
        if self.sessions.any_alive(egress) {
            // The peer bears those that are open and no more: a limit of its own, not an outage.
            self.allowed = alive;
            self.price = u32::try_from(alive).unwrap_or(u32::MAX);
            return;
        }
        if alive == 0 {
            // One probe at a time until it answers again.
            self.answers = false;
            self.allowed = 1;
        }
        if self.sessions.opening_for(egress).next().is_some() {
            // Another one may still be answered.
            return;
        }
        // What leaves from other addresses of ours has its own attempt.
        let jobs = self.waiting.remove(&egress).map(|mut queue| queue.take_all()).unwrap_or_default();
        if !jobs.is_empty() {
            self.throughput.finished(jobs.len());
            effects.push(Effect::Defer(jobs));
        }
    }

    fn finished(&mut self, session: SessionId, usable: bool, too_much: bool, now: Instant) {
        self.throughput.finished(1);
        if too_much {
            self.allowed = (self.allowed / 2).max(1);
            self.price = u32::try_from(self.allowed).unwrap_or(u32::MAX);
        } else if self.sessions.busy() >= self.allowed {
            self.paid += 1;
            if self.paid >= self.price {
                self.paid = 0;
                self.allowed = (self.allowed + 1).min(self.limits.sessions);
            }
        }
        if usable {
            self.sessions.ready(session, true, now);
        } else {
            self.sessions.closing(session);
        }
    }

    /// What waits goes back into the queue; what is in transfer ends as it ends.
    fn hold(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        self.held = true;
        effects.extend(self.take_all().into_iter().map(|job| Effect::Park(job, PARK_MIN)));
        self.tick(now, effects);
    }

    fn limit(&mut self, limits: Limits, now: Instant) {
        if limits.rate != self.limits.rate {
            self.pace = Pace::new(limits.rate, now);
        }
        self.limits = limits;
        self.allowed = self.allowed.min(limits.sessions);
    }

    fn tick(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let idle = self.sessions.idle_since(now, self.limits.idle);
        self.close(idle, effects);
    }

    fn drain(&mut self, effects: &mut Vec<Effect>) {
        self.draining = true;
        let jobs = self.take_all();
        if !jobs.is_empty() {
            effects.push(Effect::GiveBack(jobs));
        }
        for session in self.sessions.all_opening() {
            self.sessions.remove(session);
            effects.push(Effect::Abandon(session));
        }
        let unused = self.sessions.all_ready().into_iter().map(|(session, _)| session).collect();
        self.close(unused, effects);
    }

    fn close(&mut self, sessions: Vec<SessionId>, effects: &mut Vec<Effect>) {
        for session in sessions {
            self.sessions.closing(session);
            effects.push(Effect::Close(session));
        }
    }

    fn dispatch(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let ready = self.sessions.all_ready();
        let surplus = self.sessions.staying().saturating_sub(self.allowed);
        if self.draining || surplus > 0 {
            // A limit that was lowered is kept at once as far as nothing is cut.
            let surplus = if self.draining { ready.len() } else { surplus };
            let close: Vec<SessionId> = ready.iter().take(surplus).map(|(session, _)| *session).collect();
            self.close(close, effects);
            if self.draining {
                return;
            }
        }
        // One that was opened for its turn has it.
        for (session, egress) in self.sessions.all_used() {
            if self.must_make_room(egress) {
                self.close(vec![session], effects);
                break; // one place is enough for one that has none
            }
        }
        let total = self.limits.sessions;
        for (session, egress) in self.sessions.all_ready() {
            if self.pace.is_spent(now) {
                return;
            }
            let sessions = &self.sessions;
            let Some(queue) = self.waiting.get_mut(&egress) else { continue };
            let Some((class, job)) = queue.pop(|of| sessions.busy_for(of.client) < share(of.share, total))
            else {
                continue;
            };
            self.pace.spend(now);
            self.sessions.set(session, egress, Session::Busy(class.source.client));
            effects.push(Effect::Assign(session, job));
        }
        if !self.pace.is_spent(now) {
            self.open(effects);
        }
    }

    /// Another of our addresses has entries and not one session, and there is no place for one, nor
    /// will there be one.
    fn must_make_room(&self, egress: EgressId) -> bool {
        let is_left_out = |(of, queue): (&EgressId, &FairQueue<JobId>)| {
            *of != egress && queue.len() > 0 && !self.sessions.any(*of)
        };
        let is_full = self.sessions.staying() >= self.allowed;
        is_full && self.waiting.iter().any(is_left_out)
    }

    /// Opens sessions for entries that nobody serves yet, in the order of turns.
    fn open(&mut self, effects: &mut Vec<Effect>) {
        // First those that have no session, and in turns.
        let mut order: Vec<EgressId> = self.waiting.keys().copied().collect();
        order.sort_by_key(|egress| (self.sessions.any(*egress), *egress <= self.opened_last));
        for egress in order {
            let Some(queue) = self.waiting.get(&egress) else { continue };
            let mut unserved: HashMap<_, _> = queue.clients();
            for client in self.sessions.opening_for(egress) {
                let mut lanes = unserved.iter_mut().filter(|((_, of), count)| *of == client && **count > 0);
                if let Some((_, count)) = lanes.next() {
                    *count -= 1;
                }
            }
            let mut wanted = unserved.values().sum::<usize>();
            while wanted > 0 && self.sessions.len() < self.allowed {
                let sessions = &self.sessions;
                let total = self.limits.sessions;
                let candidate = queue.peek(|of| {
                    unserved.get(&(of.lane, of.client)).is_some_and(|count| *count > 0)
                        && sessions.charged_to(of.client) < share(of.share, total)
                });
                let Some(class) = candidate else { break };
                if let Some(count) = unserved.get_mut(&(class.lane, class.source.client)) {
                    *count -= 1;
                }
                wanted -= 1;
                let session = self.sessions.open(egress, class.source.client);
                self.opened_last = egress;
                effects.push(Effect::Open(session, egress, class));
            }
        }
    }

    fn waiting_len(&self) -> usize {
        self.waiting.values().map(FairQueue::len).sum()
    }

    fn take_all(&mut self) -> Vec<JobId> {
        std::mem::take(&mut self.waiting).into_values().flat_map(|mut queue| queue.take_all()).collect()
    }
}

#[cfg(test)]
#[expect(clippy::wildcard_enum_match_arm, reason = "a test panics on every effect that it does not expect")]
#[path = "brain_tests.rs"]
mod tests;
