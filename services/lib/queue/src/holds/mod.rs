//! Holds: mail is accepted and waits, nothing is attempted, give-up clocks stand still (SEED-186).
//!
//! Holding a destination, or all, is one record in a bucket, whatever waits there; each worker
//! follows it. An entry that is held by itself, or that a worker sets aside because its
//! destination is held, is a schedule with a mark in its headers.

mod mark; // headers of an entry that is held
mod store; // the bucket, followed

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use hikyaku_types::destination::Destination;

pub use mark::HeldBy;
pub(crate) use mark::{HeldMark, fold, held_for, put, put_before};
pub use store::{HoldError, HoldStore};

/// "For ever": 2200-01-01. The broker keeps times as nanoseconds of 64 bits, which end in 2262.
const FOR_EVER: Duration = Duration::from_secs(7_258_118_400);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Absent: until it is released.
    pub until: Option<SystemTime>,
    pub since: SystemTime,
    pub reason: String,
    /// Who asked for it, as they said.
    pub who: String,
}

/// What a hold is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HoldScope {
    Everything,
    Destination(Destination),
}

/// All holds that there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holds {
    everything: Option<Hold>,
    destinations: HashMap<Destination, Hold>,
}

/// What of them has not ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InForce {
    pub everything: bool,
    pub destinations: usize,
    pub since: Option<SystemTime>,
}

impl Hold {
    pub fn is_in_force(&self, now: SystemTime) -> bool {
        self.until.is_none_or(|until| until > now)
    }

    /// When entries of the destination are due again.
    pub fn ends_at(&self) -> SystemTime {
        let for_ever = SystemTime::UNIX_EPOCH + FOR_EVER;
        self.until.unwrap_or(for_ever).min(for_ever)
    }
}

impl Holds {
    /// The hold that keeps a destination; of two, the one that ends later.
    pub fn is_held(&self, destination: &Destination, now: SystemTime) -> Option<&Hold> {
        let both = self.everything.iter().chain(self.destinations.get(destination));
        both.filter(|hold| hold.is_in_force(now)).max_by_key(|hold| hold.ends_at())
    }

    pub fn get(&self, scope: &HoldScope) -> Option<&Hold> {
        match scope {
            HoldScope::Everything => self.everything.as_ref(),
            HoldScope::Destination(destination) => self.destinations.get(destination),
        }
    }

    /// The destinations that are held by themselves.
    pub fn destinations(&self) -> impl Iterator<Item = (&Destination, &Hold)> {
        self.destinations.iter()
    }

    /// How many destinations are held by themselves, whether everything is, and since when the first of these holds.
    pub fn in_force(&self, now: SystemTime) -> InForce {
        let in_force = |hold: &&Hold| hold.is_in_force(now);
        let everything = self.everything.as_ref().filter(in_force);
        let destinations = self.destinations.values().filter(in_force);
        InForce {
            everything: everything.is_some(),
            destinations: destinations.clone().count(),
            since: destinations.chain(everything).map(|hold| hold.since).min(),
        }
    }

    pub(crate) fn set(&mut self, scope: HoldScope, hold: Option<Hold>) {
        match (scope, hold) {
            (HoldScope::Everything, hold) => self.everything = hold,
            (HoldScope::Destination(destination), Some(hold)) => {
                self.destinations.insert(destination, hold);
            }
            (HoldScope::Destination(destination), None) => {
                self.destinations.remove(&destination);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn hold(until: Option<u64>) -> Hold {
        Hold { until: until.map(at), since: at(0), reason: String::new(), who: String::new() }
    }

    #[test]
    fn the_hold_that_ends_later_keeps() {
        let here: Destination = "example.org".parse().unwrap();
        let there: Destination = "[192.0.2.1]:25".parse().unwrap();
        let mut holds = Holds::default();
        holds.set(HoldScope::Destination(here.clone()), Some(hold(Some(20))));
        assert_eq!(holds.is_held(&here, at(19)), Some(&hold(Some(20))));
        assert_eq!(holds.is_held(&here, at(20)), None, "it has ended");
        assert_eq!(holds.is_held(&there, at(0)), None);
        holds.set(HoldScope::Everything, Some(hold(Some(10))));
        assert_eq!(holds.is_held(&here, at(0)), Some(&hold(Some(20))));
        assert_eq!(holds.is_held(&there, at(0)), Some(&hold(Some(10))));
        holds.set(HoldScope::Everything, Some(hold(None)));
        assert_eq!(holds.is_held(&here, at(99)).map(Hold::ends_at), Some(SystemTime::UNIX_EPOCH + FOR_EVER));
        holds.set(HoldScope::Everything, None);
        holds.set(HoldScope::Destination(here.clone()), None);
        assert_eq!(holds, Holds::default());
    }

    #[test]
    fn what_has_ended_is_not_in_force() {
        let mut holds = Holds::default();
        assert_eq!(holds.in_force(at(9)), InForce::default());
        let since = |since| Hold { since: at(since), ..hold(None) };
        let of = |name: &str| HoldScope::Destination(name.parse().unwrap());
        holds.set(of("a.example"), Some(hold(Some(20))));
        holds.set(of("b.example"), Some(since(5)));
        holds.set(HoldScope::Everything, Some(since(7)));
        let expected = InForce { everything: true, destinations: 2, since: Some(at(0)) };
        assert_eq!(holds.in_force(at(19)), expected);
        assert_eq!(holds.in_force(at(20)), InForce { destinations: 1, since: Some(at(5)), ..expected });
        holds.set(of("b.example"), None);
        assert_eq!(holds.in_force(at(20)), InForce { destinations: 0, since: Some(at(7)), ..expected });
    }
}
