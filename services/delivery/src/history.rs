//! What sessions of the last day came to, for who looks for faults (SEED-212). It is this worker's own, in
//! memory, of limited size, and nothing is decided by it.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use hikyaku_doctor::diagnose::past::{Others, Past, PastFailure};
use hikyaku_types::{
    destination::Destination,
    outcome::{Cause, Failure, Phase},
};

use crate::{context::Context, traffic::HostTimeouts};

const DAY: Duration = Duration::from_secs(24 * 3_600);
const HOUR: u64 = 3_600;
/// Failures of one destination, the last ones.
const OF_ONE: usize = 200;
/// Failures of all destinations together, and as many destinations.
const OF_ALL: usize = 10_000;
/// When there are too many, this many go at once.
const SWEPT: usize = OF_ALL / 10;
/// What a server said is kept as far as a line shows it.
const WORDS: usize = 200;

/// How far a session came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    Connected,
    Unconnected,
    /// There was no address to connect to.
    Nameless,
}

/// How a session stood when something failed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ending {
    /// Since the last octet.
    pub(crate) waited: Duration,
    /// Since the beginning.
    pub(crate) lasted: Duration,
    /// Octets of content, of so many.
    pub(crate) sent: u64,
    pub(crate) size: u64,
}

pub(crate) struct History {
    started: Instant,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    destinations: HashMap<Destination, Kept>,
    failures: usize,
}

struct Kept {
    used_at: Instant,
    reached_at: Option<Instant>,
    unreached_at: Option<Instant>,
    /// Sessions by the hour since the start.
    hours: VecDeque<(u64, u64)>,
    failures: VecDeque<(Instant, PastFailure)>,
}

impl Context {
    /// A session failed, or its message did.
    pub(crate) fn failed(&self, destination: &Destination, failure: &Failure, ending: Ending) {
        let mut what = failure.cause.to_string();
        what.truncate(what.floor_char_boundary(WORDS));
        let code = match &failure.cause {
            Cause::Remote(reply) => Some(reply.code),
            Cause::Local(_) => None,
        };
        let kept = PastFailure {
            age: 0,
            phase: failure.phase.name().to_owned(),
            what,
            code,
            waited: milliseconds(ending.waited),
            lasted: milliseconds(ending.lasted),
            limit: milliseconds(self.limit(destination, failure.phase, ending)),
            sent: ending.sent,
            size: ending.size,
        };
        self.history.keep(destination, kept, Instant::now());
    }

    /// How long this phase may take.
    fn limit(&self, destination: &Destination, phase: Phase, ending: Ending) -> Duration {
        let HostTimeouts { connect, dialogue } = self.timeouts(destination);
        match phase {
            Phase::Dns => Duration::ZERO,
            Phase::Connect => connect,
            Phase::Tls => self.config.tls.handshake_timeout,
            Phase::Greeting => dialogue.greeting,
            Phase::Auth => dialogue.hello,
            Phase::Mail => dialogue.mail,
            Phase::Rcpt => dialogue.rcpt,
            Phase::Content if ending.sent == 0 => dialogue.data,
            Phase::Content if ending.sent < ending.size => dialogue.block,
            Phase::Content => dialogue.final_dot,
        }
    }
}

impl History {
    pub(crate) fn new(started: Instant) -> Self {
        Self { started, known: Mutex::default() }
    }

    /// One was begun.
    pub(crate) fn session(&self, destination: &Destination, reach: Reach, now: Instant) {
        let hour = self.hour(now);
        let mut known = self.known();
        let kept = known.of(destination, now);
        match reach {
            Reach::Connected => kept.reached_at = Some(now),
            Reach::Unconnected => kept.unreached_at = Some(now),
            Reach::Nameless => {}
        }
        match kept.hours.back_mut() {
            Some((last, count)) if *last == hour => *count += 1,
            Some(_) | None => kept.hours.push_back((hour, 1)),
        }
        kept.hours.retain(|(then, _)| then + DAY.as_secs() / HOUR > hour);
    }

    fn keep(&self, destination: &Destination, failure: PastFailure, now: Instant) {
        let mut known = self.known();
        let kept = known.of(destination, now);
        kept.failures.push_back((now, failure));
        if kept.failures.len() > OF_ONE {
            kept.failures.pop_front();
        } else {
            known.failures += 1;
        }
        if known.failures > OF_ALL {
            known.sweep_failures();
        }
    }

    /// What is known of a destination, beside others for which `is_alike` holds.
    pub(crate) fn past(
        &self,
        destination: &Destination,
        now: Instant,
        is_alike: impl Fn(&Destination) -> bool,
    ) -> Past {
        let is_recent = |at: &Instant| now.saturating_duration_since(*at) < DAY;
        let known = self.known();
        let mut others = Others::default();
        for (other, kept) in &known.destinations {
            if other == destination || !is_alike(other) {
                continue;
            }
            if kept.reached_at.as_ref().is_some_and(is_recent) {
                others.reached += 1;
            } else if kept.unreached_at.as_ref().is_some_and(is_recent) {
                others.unreached += 1;
            }
        }
        let reach = now.saturating_duration_since(self.started).min(DAY).as_secs();
        let Some(kept) = known.destinations.get(destination) else {
            return Past { reach, others, ..Past::default() };
        };
        let earliest = (self.hour(now) + 1).saturating_sub(DAY.as_secs() / HOUR);
        let failure = |(at, failure): &(Instant, PastFailure)| PastFailure {
            age: now.saturating_duration_since(*at).as_secs(),
            ..failure.clone()
        };
        Past {
            reach,
            sessions: kept.hours.iter().filter(|(hour, _)| *hour >= earliest).map(|(_, count)| count).sum(),
            failures: kept.failures.iter().filter(|(at, _)| is_recent(at)).map(failure).collect(),
            others,
            held: None,
        }
    }

    fn hour(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.started).as_secs() / HOUR
    }

    /// Nothing can panic while it is held.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn of(&mut self, destination: &Destination, now: Instant) -> &mut Kept {
        if self.destinations.len() >= OF_ALL && !self.destinations.contains_key(destination) {
            self.sweep_destinations();
        }
        let kept = self.destinations.entry(destination.clone()).or_insert_with(|| Kept {
            used_at: now,
            reached_at: None,
            unreached_at: None,
            hours: VecDeque::new(),
            failures: VecDeque::new(),
        });
        kept.used_at = now;
        kept
    }

    /// Those that were used longest ago go, several at once, so that it is seldom done.
    fn sweep_destinations(&mut self) {
        let Some(latest) = oldest(self.destinations.values().map(|kept| kept.used_at)) else { return };
        self.destinations.retain(|_, kept| kept.used_at > latest);
        self.failures = self.destinations.values().map(|kept| kept.failures.len()).sum();
    }

    fn sweep_failures(&mut self) {
        let all = self.destinations.values().flat_map(|kept| kept.failures.iter().map(|(at, _)| *at));
        let Some(latest) = oldest(all) else { return };
        for kept in self.destinations.values_mut() {
            kept.failures.retain(|(at, _)| *at > latest);
        }
        self.failures = self.destinations.values().map(|kept| kept.failures.len()).sum();
    }
}

/// The latest of those that go.
fn oldest(times: impl Iterator<Item = Instant>) -> Option<Instant> {
    let mut times: Vec<Instant> = times.collect();
    (times.len() >= SWEPT).then(|| *times.select_nth_unstable(SWEPT - 1).1)
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destination(number: usize) -> Destination {
        format!("d{number}.example").parse().unwrap()
    }

    fn failure() -> PastFailure {
        PastFailure {
            age: 0,
            phase: "mail".to_owned(),
            what: "cut".to_owned(),
            code: None,
            waited: 800,
            lasted: 900,
            limit: 300_000,
            sent: 0,
            size: 10,
        }
    }

    /// SEED-212: a day and no more.
    #[test]
    fn seed_212_a_day_is_remembered() {
        let start = Instant::now();
        let (history, there) = (History::new(start), destination(1));
        for hour in 0..30_u32 {
            let now = start + Duration::from_secs(HOUR) * hour;
            history.session(&there, Reach::Connected, now);
            history.keep(&there, failure(), now);
        }
        let past = history.past(&there, start + Duration::from_secs(29 * HOUR + 60), |_| true);
        assert_eq!((past.sessions, past.failures.len(), past.reach), (24, 24, DAY.as_secs()));
        assert_eq!(past.failures.last().map(|failure| failure.age), Some(60));
        assert_eq!(history.past(&destination(2), start, |_| true).sessions, 0);
    }

    /// SEED-214: what was reached and what was not, of those that are alike.
    #[test]
    fn seed_214_others_are_counted() {
        let now = Instant::now();
        let history = History::new(now);
        for (number, reaches) in [
            (1, &[Reach::Unconnected][..]),
            (2, &[Reach::Unconnected]),
            (3, &[Reach::Unconnected, Reach::Connected]),
            (4, &[Reach::Nameless]),
            (5, &[Reach::Unconnected]),
        ] {
            for reach in reaches {
                history.session(&destination(number), *reach, now);
            }
        }
        let past = history.past(&destination(1), now, |other| *other != destination(5));
        assert_eq!(past.others, Others { reached: 1, unreached: 1 });
    }

    #[test]
    fn memory_is_limited() {
        let start = Instant::now();
        let history = History::new(start);
        for round in 0..3_u32 {
            for number in 0..OF_ALL / 2 {
                let now = start + Duration::from_micros(u64::try_from(number).unwrap()) + DAY / 100 * round;
                history.session(&destination(number), Reach::Connected, now);
                history.keep(&destination(number), failure(), now);
            }
        }
        for _ in 0..OF_ONE * 2 {
            history.keep(&destination(0), failure(), start + DAY);
        }
        for number in 0..OF_ALL * 2 {
            history.session(&destination(number), Reach::Connected, start + DAY);
        }
        let known = history.known();
        let count = known.destinations.values().map(|kept| kept.failures.len()).sum::<usize>();
        assert_eq!(known.failures, count);
        assert!(count <= OF_ALL && known.destinations.len() <= OF_ALL, "{count}");
        assert!(known.destinations.values().all(|kept| kept.failures.len() <= OF_ONE));
    }
}
