//! A batch that the receiver does not take as it is, in pieces: what it takes of them it gets, and one line that it
//! never takes does not stop the others. Pure.

use std::{ops::Range, time::Duration};

/// Who is refused so often, and nothing was taken, is refused and not the lines.
const PROBES: usize = 32;
/// After so long of that it counts as the lines: no batch stops the others for ever.
const DOUBTED_FOR: Duration = Duration::from_secs(3_600);

/// As [`super::Forwarded`], without the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Taken,
    Later,
    Refused,
    Unclear,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Next,
    /// The next one in a while.
    Wait,
}

#[derive(Debug)]
pub(super) struct Pieces {
    lines: usize,
    /// What was neither taken nor given up; the next one is the last.
    open: Vec<Range<usize>>,
    /// Lines that are given up.
    lost: usize,
    /// Single lines that were refused before anything was taken.
    doubtful: usize,
    /// Unclear refusals since the last wait.
    unclear: usize,
    is_anything_taken: bool,
}

impl Pieces {
    pub(super) fn of(lines: usize) -> Self {
        let mut pieces =
            Self { lines, open: Vec::new(), lost: 0, doubtful: 0, unclear: 0, is_anything_taken: false };
        pieces.begin();
        pieces
    }

    fn begin(&mut self) {
        self.open.clear();
        self.open.push(0..self.lines);
        (self.lost, self.doubtful, self.unclear) = (0, 0, 0);
    }

    /// Lines by their numbers; `None`: all of them are taken or given up.
    pub(super) fn next(&self) -> Option<Range<usize>> {
        self.open.last().cloned()
    }

    pub(super) fn lost(&self) -> usize {
        self.lost
    }

    /// What the receiver said of [`Self::next`], so long after the first of the batch was sent.
    pub(super) fn answered(&mut self, answer: Answer, after: Duration) -> Step {
        match answer {
            Answer::Later => return Step::Wait,
            Answer::Taken => {
                self.open.pop();
                self.is_anything_taken = true;
            }
            Answer::Unclear if !self.is_anything_taken && after < DOUBTED_FOR => {
                self.doubtful += usize::from(!self.halve());
                self.unclear += 1;
                if self.open.is_empty() || self.unclear >= PROBES {
                    self.begin();
                    return Step::Wait;
                }
            }
            Answer::Refused | Answer::Unclear => self.lost += usize::from(!self.halve()),
        }
        if self.is_anything_taken {
            // So it is not us who are refused.
            self.lost += std::mem::take(&mut self.doubtful);
        } else if self.open.is_empty() && self.doubtful > 0 {
            self.begin();
            return Step::Wait;
        }
        Step::Next
    }

    /// The next one is the first half of what was the next one. False: it was a single line, and is gone.
    fn halve(&mut self) -> bool {
        let Some(piece) = self.open.pop() else { return false };
        if piece.len() <= 1 {
            return false;
        }
        let middle = piece.start + piece.len() / 2;
        self.open.extend([middle..piece.end, piece.start..middle]);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a receiver with these answers got, in its order, and how often it was asked and waited for.
    fn told(
        lines: usize,
        after: Duration,
        answer: impl Fn(&Range<usize>) -> Answer,
    ) -> (Vec<usize>, usize, usize, usize) {
        let mut pieces = Pieces::of(lines);
        let (mut taken, mut asked, mut waits) = (Vec::new(), 0, 0);
        while let Some(piece) = pieces.next() {
            let answer = answer(&piece);
            asked += 1;
            if answer == Answer::Taken {
                taken.extend(piece);
            }
            if pieces.answered(answer, after) == Step::Wait {
                waits += 1;
                if waits == 3 {
                    break;
                }
            }
        }
        (taken, pieces.lost(), asked, waits)
    }

    const NOW: Duration = Duration::ZERO;

    #[test]
    fn one_line_that_is_refused_is_lost_alone_and_the_order_stays() {
        for refusal in [Answer::Refused, Answer::Unclear] {
            for bad in [0, 1, 300, 598, 599] {
                let answer =
                    |piece: &Range<usize>| if piece.contains(&bad) { refusal } else { Answer::Taken };
                let (taken, lost, asked, waits) = told(600, NOW, answer);
                assert_eq!((lost, waits), (1, 0), "{refusal:?} of {bad}");
                assert!(taken.is_sorted() && taken.len() == 599 && !taken.contains(&bad));
                assert!(asked <= 22, "{asked}");
            }
        }
    }

    #[test]
    fn what_is_too_large_is_sent_in_smaller_pieces() {
        let answer = |piece: &Range<usize>| if piece.len() > 100 { Answer::Refused } else { Answer::Taken };
        let (taken, lost, asked, waits) = told(600, NOW, answer);
        assert_eq!((taken.len(), lost, waits), (600, 0, 0));
        assert_eq!(asked, 15);
    }

    #[test]
    fn what_may_be_taken_later_is_sent_whole_again() {
        assert_eq!(told(600, DOUBTED_FOR * 100, |_| Answer::Later), (vec![], 0, 3, 3));
    }

    #[test]
    fn lines_that_are_refused_for_ever_are_lost_and_the_next_batch_has_its_turn() {
        assert_eq!(told(4, NOW, |_| Answer::Refused), (vec![], 4, 7, 0));
        assert_eq!(told(1, NOW, |_| Answer::Refused), (vec![], 1, 1, 0));
    }

    /// A token that is not known any more, or a name that was mistyped, takes no line away; a line that a guard does not
    /// let through stops nothing.
    #[test]
    fn who_is_refused_waits_until_it_is_more_than_an_hour() {
        assert_eq!(told(600, NOW, |_| Answer::Unclear), (vec![], 0, 3 * PROBES, 3));
        assert_eq!(told(1, NOW, |_| Answer::Unclear), (vec![], 0, 3, 3));
        assert_eq!(told(4, NOW, |_| Answer::Unclear), (vec![], 0, 3 * 7, 3));
        assert_eq!(told(4, DOUBTED_FOR, |_| Answer::Unclear), (vec![], 4, 7, 0));
    }

    #[test]
    fn lines_are_lost_that_were_refused_before_others_were_taken() {
        let answer = |piece: &Range<usize>| match piece.clone().collect::<Vec<_>>()[..] {
            [0 | 1] => Answer::Unclear,
            [_] => Answer::Taken,
            _ => Answer::Unclear,
        };
        assert_eq!(told(8, NOW, answer), ((2..8).collect(), 2, 15, 0));
    }
}
