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
/// What was handed out again in vain is tried ever less often, down to this.
const RARELY: Duration = Duration::from_secs(3_600);

/// What the consumer says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said {
    /// The last place in the stream that it has handed out.
    pub(super) place: u64,
    /// Handed out and not settled.
    pub(super) unsettled: usize,
}

/// The lane's first entry, when it is nobody's.
#[derive(Debug, Clone, Copy)]
struct Suspect {
    sequence: u64,
    /// It was seen so first, or handed out again last.
    since: Instant,
    /// How often it was handed out again.
    in_vain: u32,
}

#[derive(Debug)]
pub(super) struct Overlooked {
    looked: Instant,
    suspect: Option<Suspect>,
}

impl Overlooked {
    pub(super) fn new(now: Instant) -> Self {
        Self { looked: now, suspect: None }
    }

    /// Whether it is time to look; if so, the time of the next look begins.
    pub(super) fn is_time(&mut self, now: Instant) -> bool {
        let is_time = now.saturating_duration_since(self.looked) >= PAUSE;
        if is_time {
            self.looked = now;
        }
        is_time
    }

    /// The lane has no first entry, or it is held here.
    pub(super) fn is_none(&mut self) {
        self.suspect = None;
    }

    /// The lane's first entry is not held here, and the consumer says this. Whether the lane must be handed out again.
    pub(super) fn must_come_again(&mut self, first: u64, said: Said, now: Instant) -> bool {
        let begun = Suspect { sequence: first, since: now, in_vain: 0 };
        let suspect =
            *self.suspect.insert(self.suspect.filter(|known| known.sequence == first).unwrap_or(begun));
        // What it has not handed out yet it would hand out at once, because there is room.
        let is_waited_for = first <= said.place && said.unsettled > 0;
        let patience = if is_waited_for { LATE } else { SOON };
        let patience = patience.saturating_mul(2_u32.saturating_pow(suspect.in_vain)).min(RARELY);
        now.saturating_duration_since(suspect.since) >= patience
    }

    /// The lane was handed out again. That may have been in vain.
    pub(super) fn came_again(&mut self, now: Instant) {
        if let Some(suspect) = &mut self.suspect {
            (suspect.since, suspect.in_vain) = (now, suspect.in_vain + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks each five seconds from 0 on, for ten minutes; the seconds at which the lane is handed out again.
    fn taken_back(look: impl Fn(u64) -> Option<(u64, Said)>) -> Vec<u64> {
        let start = Instant::now();
        let mut overlooked = Overlooked::new(start);
        let mut looks = |second: &u64| {
            let now = start + Duration::from_secs(*second);
            let Some((first, said)) = look(*second) else {
                overlooked.is_none();
                return false;
            };
            let must = overlooked.must_come_again(first, said, now);
            if must {
                overlooked.came_again(now);
            }
            must
        };
        (0..600).step_by(5).filter(|second| looks(second)).collect()
    }

    const NOTHING_UNSETTLED: Said = Said { place: 90, unsettled: 0 };
    const SOME_UNSETTLED: Said = Said { place: 90, unsettled: 3 };

    #[test]
    fn what_the_consumer_calls_settled_and_the_stream_has_comes_soon_and_then_less_often() {
        assert_eq!(taken_back(|_| Some((7, NOTHING_UNSETTLED))), [10, 30, 70, 150, 310]);
    }

    #[test]
    fn what_may_be_waited_for_comes_late() {
        assert_eq!(taken_back(|_| Some((7, SOME_UNSETTLED))), [100, 300]);
    }

    #[test]
    fn what_is_not_handed_out_though_there_is_room_comes_soon() {
        assert_eq!(taken_back(|_| Some((91, SOME_UNSETTLED)))[0], 10);
    }

    #[test]
    fn another_one_has_its_own_time() {
        let seconds = taken_back(|second| Some((second / 100, NOTHING_UNSETTLED)));
        assert_eq!(seconds[..6], [10, 30, 70, 110, 130, 170]);
    }

    #[test]
    fn a_lane_that_moves_is_left_alone() {
        assert!(taken_back(|second| Some((second, NOTHING_UNSETTLED))).is_empty());
        assert!(taken_back(|second| (second % 10 == 0).then_some((7, NOTHING_UNSETTLED))).is_empty());
    }

    #[test]
    fn it_is_asked_now_and_then() {
        let start = Instant::now();
        let mut overlooked = Overlooked::new(start);
        let asked = (0..20).filter(|second| overlooked.is_time(start + Duration::from_secs(*second)));
        assert_eq!(asked.collect::<Vec<_>>(), [5, 10, 15]);
    }
}
