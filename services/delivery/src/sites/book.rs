//! Who has how much of a site's limit. Kept by the worker that owns the site's shard; pure.
//!
//! A share lives as long as it is asked for again. What somebody was given counts until he has
//! said that he uses less, so all shares together never exceed the limit.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

/// One that does not ask for so long has ended, and its connections with it.
const SHARE_LIVES: Duration = Duration::from_secs(4);
/// A new keeper learns first what others have.
const LEARNING: Duration = Duration::from_secs(3);
/// Where there are fewer sessions than workers, each has one for so long.
const TURN: Duration = Duration::from_secs(30);

/// What a worker says of one site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Need {
    pub(crate) site: String,
    pub(crate) limit: usize,
    pub(crate) used: usize,
    /// Sessions that wait for a place.
    pub(crate) wanted: usize,
    /// What it may have as far as it knows: it may begin as many before it hears the answer.
    #[serde(default)]
    pub(crate) has: usize,
}

#[derive(Debug)]
pub(crate) struct Book {
    sites: HashMap<String, HashMap<String, Share>>,
    gives_from: Instant,
}

#[derive(Debug)]
struct Share {
    /// The most that it may think it has.
    granted: usize,
    used: usize,
    wanted: usize,
    at: Instant,
}

impl Book {
    /// `alone`: there is no other worker to learn from.
    pub(crate) fn new(alone: bool, now: Instant) -> Self {
        let gives_from = if alone { now } else { now + LEARNING };
        Self { sites: HashMap::new(), gives_from }
    }

    /// How many sessions `worker` may have.
    pub(crate) fn ask(&mut self, worker: &str, need: &Need, now: Instant) -> usize {
        let shares = self.sites.entry(need.site.clone()).or_default();
        shares.retain(|of, share| of == worker || now.saturating_duration_since(share.at) < SHARE_LIVES);
        let others = || shares.iter().filter(|(of, _)| *of != worker).map(|(_, share)| share);
        let held: usize = others().map(|share| share.granted.max(share.used)).sum();
        let needed: usize = others().map(|share| share.used + share.wanted).sum();
        let demanding = 1 + others().filter(|share| share.used + share.wanted > 0).count();
        let fair = match need.limit / demanding {
            0 => usize::from(has_turn(
                shares,
                worker,
                need.limit,
                now.saturating_duration_since(self.gives_from),
            )),
            share => share,
        };
        // More than the even share only of what nobody else needs.
        let entitled = fair.max(need.limit.saturating_sub(needed));
        // Who is alone need not ask for each session; what is left lets another one begin at once.
        let head_start = if demanding == 1 { need.limit - need.limit / 4 } else { 0 };
        let needed = (need.used + need.wanted).max(head_start);
        let mut granted = needed.min(entitled).min(need.limit.saturating_sub(held));
        if now < self.gives_from {
            granted = granted.min(need.used);
        }
        let share = Share { granted: granted.max(need.has), used: need.used, wanted: need.wanted, at: now };
        shares.insert(worker.to_owned(), share);
        granted
    }

    /// Sites that nobody asks for are forgotten.
    pub(crate) fn forget(&mut self, now: Instant) {
        self.sites.retain(|_, shares| {
            shares.retain(|_, share| now.saturating_duration_since(share.at) < SHARE_LIVES);
            !shares.is_empty()
        });
    }
}

/// Whether it is this worker's turn, of all that demand something.
fn has_turn(shares: &HashMap<String, Share>, worker: &str, limit: usize, age: Duration) -> bool {
    let demanding = |(of, share): &(&String, &Share)| *of != worker && share.used + share.wanted > 0;
    let others = || shares.iter().filter(demanding).map(|(of, _)| of.as_str());
    let (count, before) = (others().count() + 1, others().filter(|of| *of < worker).count());
    let turn = age.as_secs() / TURN.as_secs();
    let turn = usize::try_from(turn).unwrap_or(0);
    (before + turn) % count < limit
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(used: usize, wanted: usize) -> Need {
        Need { site: "mx.example".to_owned(), limit: 20, used, wanted, has: 0 }
    }

    #[test]
    fn one_that_needs_it_all_gets_it_all() {
        let now = Instant::now();
        let mut book = Book::new(true, now);
        assert_eq!(book.ask("a", &need(0, 50), now), 20);
        assert_eq!(book.ask("b", &need(0, 0), now), 0);
        let other = Need { site: "other".to_owned(), ..need(0, 1) };
        assert_eq!(book.ask("a", &other, now), 15, "a head start");
    }

    /// Whatever is asked and used in whatever order, the limit holds.
    #[test]
    fn the_limit_holds_while_shares_move() {
        let mut now = Instant::now();
        let mut book = Book::new(true, now);
        let (mut used, mut granted) = ([0_usize; 3], [0_usize; 3]);
        let wanted = |turn: usize, worker: usize| (turn / 7 + worker * 3) % 5 * 6;
        for turn in 0..2_000 {
            now += Duration::from_millis(100);
            let worker = (turn * 7 + turn / 3) % 3;
            let wanted = wanted(turn, worker);
            let name = ["a", "b", "c"][worker];
            // What it says is on its way while it begins all that it may.
            let asked = Need { has: granted[worker], ..need(used[worker], wanted) };
            used[worker] = used[worker].max(granted[worker].min(used[worker] + wanted));
            granted[worker] = book.ask(name, &asked, now);
            // Sessions begin at once, and end one at a time.
            used[worker] = if used[worker] > granted[worker] {
                used[worker] - 1
            } else {
                granted[worker].min(used[worker] + wanted)
            };
            assert!(used.iter().sum::<usize>() <= 20, "{used:?} {granted:?}");
        }
    }

    #[test]
    fn who_comes_later_gets_his_even_share() {
        let mut now = Instant::now();
        let mut book = Book::new(true, now);
        let mut a = book.ask("a", &need(0, 50), now);
        let mut b = 0;
        for _ in 0..10 {
            now += Duration::from_secs(1);
            b = book.ask("b", &need(b, 50), now);
            a = book.ask("a", &need(a, 50), now);
        }
        assert_eq!((a, b), (10, 10));
    }

    #[test]
    fn a_single_session_goes_round() {
        let mut now = Instant::now();
        let mut book = Book::new(true, now);
        let (mut used, mut turns) = ([0_usize; 3], [0_usize; 3]);
        for _ in 0..600 {
            now += Duration::from_secs(1);
            for (worker, name) in ["a", "b", "c"].into_iter().enumerate() {
                let asked = Need { limit: 1, has: used[worker], ..need(used[worker], 5) };
                used[worker] = book.ask(name, &asked, now);
                assert!(used.iter().sum::<usize>() <= 1, "{used:?}");
                turns[worker] += used[worker];
            }
        }
        assert!(turns.iter().all(|seconds| (150..=230).contains(seconds)), "{turns:?}");
    }

    #[test]
    fn the_dead_give_back_and_a_new_keeper_learns_first() {
        let now = Instant::now();
        let mut book = Book::new(false, now);
        assert_eq!(book.ask("a", &need(5, 20), now), 5, "it may keep what it has");
        let later = now + LEARNING;
        assert_eq!(book.ask("b", &need(0, 20), later), 10);
        let much_later = later + SHARE_LIVES;
        assert_eq!(book.ask("c", &need(0, 20), much_later), 20);
        book.forget(much_later + SHARE_LIVES);
        assert!(book.sites.is_empty());
    }
}
