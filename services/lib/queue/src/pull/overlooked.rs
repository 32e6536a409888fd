//! An entry that stands in a lane while nobody is ever handed it. Brokers that lost each other can leave a consumer so:
//! it calls settled what was not, or a leader of it (2.15.1) counts entries as handed out that it sends to nobody, for as
//! long as it leads. The stream is what counts, so now and then its first entry is compared with what is held here.

use std::time::{Duration, Instant};

use crate::topology::ACK_WAIT;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(5);
/// The consumer has handed out nothing that is not settled: what stands before its place is overlooked, if the
/// stream has had time to remove what was settled.
const SOON: Duration = Duration::from_secs(10);
/// It waits for the end of something, maybe of this: a lease, and the longest time for which one is given back.
const LATE: Duration = Duration::from_secs(ACK_WAIT.as_secs() + 60 + 10);

/// What the consumer says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said {
    /// The last place in the stream that it has handed out.
    pub(super) place: u64,
    /// Handed out and not settled.
    pub(super) unsettled: usize,
}

#[derive(Debug)]
pub(super) struct Overlooked {
    looked: Instant,
    /// The lane's first entry, if it is nobody's, and since when it is.
    suspect: Option<(u64, Instant)>,
    /// What stands before was handed out again once, and would stand for ever if nobody can read it.
    from: u64,
}

impl Overlooked {
    pub(super) fn new(now: Instant) -> Self {
        Self { looked: now, suspect: None, from: 1 }
    }

    pub(super) fn is_time(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.looked) >= PAUSE
    }

    /// The first entry from here on is looked at.
    pub(super) fn from(&self) -> u64 {
        self.from
    }

    /// There is none, or it is held here.
    pub(super) fn clear(&mut self, now: Instant) {
        (self.looked, self.suspect) = (now, None);
    }

    /// The lane's first entry is not held here, and the consumer says this. Whether the lane must be handed out again.
    pub(super) fn must_come_again(&mut self, first: u64, said: Said, now: Instant) -> bool {
        self.looked = now;
        let since = match self.suspect {
            Some((suspect, since)) if suspect == first => since,
            Some(_) | None => {
                self.suspect = Some((first, now));
                now
            }
        };
        // What it has not handed out yet it would hand out at once, because there is room.
        let is_waited_for = first <= said.place && said.unsettled > 0;
        now.saturating_duration_since(since) >= if is_waited_for { LATE } else { SOON }
    }

    /// It has been handed out again.
    pub(super) fn came_again(&mut self, first: u64, now: Instant) {
        self.clear(now);
        self.from = first + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks each five seconds from 0 on; when the lane is handed out again, if it is within four minutes.
    fn taken_back(look: impl Fn(u64) -> Option<(u64, Said)>) -> Option<u64> {
        let start = Instant::now();
        let mut overlooked = Overlooked::new(start);
        (0..240).step_by(5).find(|second| {
            let now = start + Duration::from_secs(*second);
            match look(*second) {
                None => {
                    overlooked.clear(now);
                    false
                }
                Some((first, said)) => overlooked.must_come_again(first, said, now),
            }
        })
    }

    const NOTHING_UNSETTLED: Said = Said { place: 90, unsettled: 0 };
    const SOME_UNSETTLED: Said = Said { place: 90, unsettled: 3 };

    #[test]
    fn what_the_consumer_calls_settled_and_the_stream_has_comes_soon() {
        assert_eq!(taken_back(|_| Some((7, NOTHING_UNSETTLED))), Some(10));
    }

    #[test]
    fn what_may_be_waited_for_comes_late() {
        assert_eq!(taken_back(|_| Some((7, SOME_UNSETTLED))), Some(100));
    }

    #[test]
    fn what_is_not_handed_out_though_there_is_room_comes_soon() {
        assert_eq!(taken_back(|_| Some((91, SOME_UNSETTLED))), Some(10));
    }

    #[test]
    fn a_lane_that_moves_is_left_alone() {
        assert_eq!(taken_back(|second| Some((second, NOTHING_UNSETTLED))), None);
        assert_eq!(taken_back(|second| (second % 10 == 0).then_some((7, NOTHING_UNSETTLED))), None);
    }

    #[test]
    fn what_came_again_in_vain_is_passed_over() {
        let start = Instant::now();
        let mut overlooked = Overlooked::new(start);
        assert_eq!(overlooked.from(), 1);
        overlooked.came_again(7, start);
        assert_eq!(overlooked.from(), 8);
        assert!(!overlooked.must_come_again(8, NOTHING_UNSETTLED, start), "it has its own time");
    }

    #[test]
    fn it_is_asked_now_and_then() {
        let start = Instant::now();
        let overlooked = Overlooked::new(start);
        assert!(!overlooked.is_time(start + Duration::from_secs(4)));
        assert!(overlooked.is_time(start + Duration::from_secs(5)));
    }
}
