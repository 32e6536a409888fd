//! How long a server greylists, learned from its answers: a retry before that time is in vain,
//! and one long after it is late. Only a help to the schedule, so it is kept in memory.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use hikyaku_types::{
    envelope::Envelope,
    outcome::{Cause, Failure, FailureClass, Phase, RecipientOutcome, RemoteReply},
};

/// Servers of which something is known; when there are more, all is learned anew.
const MAX_SERVERS: usize = 20_000;
/// What administrators write into greylisting programs, in seconds.
const USUAL: [u64; 9] = [30, 60, 120, 180, 240, 300, 600, 900, 1_800];
/// Between their clock and ours.
const MARGIN: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(crate) struct Greylists(Mutex<HashMap<String, Greylist>>);

impl Greylists {
    /// Learns from an attempt, and says for how long after the first one its server still refuses.
    /// `clock_rate`: the clocks run so many times faster than the times that are spoken of.
    pub(crate) fn learn(
        &self,
        envelope: &Envelope,
        outcomes: &[RecipientOutcome],
        now: SystemTime,
        clock_rate: u32,
    ) -> Option<Duration> {
        let (server, passed) = outcomes.iter().find_map(|outcome| answer(envelope, outcome))?;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_SERVERS && !known.contains_key(server) {
            known.clear();
        }
        let greylist = known.entry(server.to_owned()).or_default();
        if let Some(first) = envelope.first_attempt_at {
            let age = now.duration_since(first).unwrap_or_default() * clock_rate;
            if passed { greylist.passed(age) } else { greylist.refused(age) }
        }
        greylist.known()
    }
}

/// The server that answered, and whether it took the recipient after it had put it off before.
fn answer<'a>(envelope: &Envelope, outcome: &'a RecipientOutcome) -> Option<(&'a str, bool)> {
    match outcome {
        RecipientOutcome::Delivered { reply: RemoteReply { host, .. }, .. } if envelope.attempt > 0 => {
            Some((host, true))
        }
        RecipientOutcome::Delivered { .. } => None,
        RecipientOutcome::Failed(Failure {
            phase: Phase::Rcpt,
            class: FailureClass::Temp,
            cause: Cause::Remote(RemoteReply { host, .. }),
            ..
        }) => Some((host, false)),
        RecipientOutcome::Failed(_) => None,
    }
}

/// Ages of entries, counted from their first attempt.
#[derive(Debug, Default)]
struct Greylist {
    /// The oldest that was put off.
    refused: Duration,
    /// The youngest that was taken.
    passed: Option<Duration>,
}

impl Greylist {
    fn refused(&mut self, age: Duration) {
        // It was no greylisting, or the server has changed its mind.
        if self.passed.is_some_and(|passed| passed <= age) {
            *self = Self::default();
        }
        self.refused = self.refused.max(age);
    }

    fn passed(&mut self, age: Duration) {
        if age <= self.refused {
            self.refused = Duration::ZERO;
        }
        self.passed = Some(self.passed.map_or(age, |passed| passed.min(age)));
    }

    /// The first usual time that was not refused yet; once there is none, the time that passed.
    fn known(&self) -> Option<Duration> {
        let passed = self.passed?;
        let usual = USUAL.map(|seconds| Duration::from_secs(seconds) + MARGIN);
        usual.into_iter().find(|time| *time > self.refused && *time < passed).or(Some(passed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A window of 300 s is found from attempts at 0, 120 and 360 s.
    #[test]
    fn the_window_is_found() {
        let mut greylist = Greylist::default();
        assert_eq!(greylist.known(), None);
        greylist.refused(seconds(120));
        greylist.passed(seconds(360));
        let mut tries = Vec::new();
        for _ in 0..6 {
            let next = greylist.known().unwrap();
            tries.push(next.as_secs());
            if next < seconds(300) { greylist.refused(next) } else { greylist.passed(next) }
        }
        assert_eq!(tries, [125, 185, 245, 305, 305, 305]);
    }

    #[test]
    fn a_server_that_changes_its_mind_is_learned_anew() {
        let mut greylist = Greylist::default();
        greylist.passed(seconds(60));
        greylist.refused(seconds(600));
        assert_eq!(greylist.known(), None);
        greylist.passed(seconds(400));
        assert!(greylist.known().is_some());
    }
}
