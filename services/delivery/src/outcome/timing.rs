//! When the next attempt is. Pure. The schedule's interval, unless there is better knowledge: what
//! the server said itself, or how long the site is known to greylist.

use std::time::{Duration, SystemTime};

use hikyaku_types::{
    envelope::{Envelope, Recipient},
    outcome::{Cause, Failure, FailureClass, Phase},
    schedule::{History, Next, RetrySchedule},
};

use crate::outcome::hint::{self, hint};

/// Clocks differ, and a window is over only behind its end.
const MARGIN: Duration = Duration::from_secs(2);
/// Recipients that may come this little apart come together.
const TOGETHER: Duration = Duration::from_secs(60);
/// So far ahead a learned time is waited for, also when that is longer than the interval.
const LEARNED_AHEAD: Duration = Duration::from_secs(15 * 60);

/// What decides beside the failures themselves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms<'a> {
    pub(crate) schedule: &'a RetrySchedule,
    /// How long after its first attempt this site is known to let a greylisted message in.
    pub(crate) learned: Option<Duration>,
    /// For how long operators kept the entry.
    pub(crate) held_for: Duration,
    /// How long after acceptance the sender is told that mail is late.
    pub(crate) delay_notice_after: Option<Duration>,
    pub(crate) now: SystemTime,
    /// In [-1, 1], drawn by the caller.
    pub(crate) jitter: f64,
}

/// When one recipient is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) at: SystemTime,
    /// The last attempt; `None` for a refusal that is repeated a few times.
    pub(crate) until: Option<SystemTime>,
    /// The time comes from the remote site.
    pub(crate) is_told: bool,
}

/// How often the recipient was refused for good, this failure included. `None`: it is none that
/// may be repeated, because it does not come from a server that was asked for this recipient.
pub(crate) fn refusals(recipient: &Recipient, failure: &Failure) -> Option<u32> {
    let is_repeatable = failure.class == FailureClass::Perm && reply_to_transaction(failure).is_some();
    is_repeatable.then(|| recipient.refusals.saturating_add(1))
}

/// `None`: it is given up.
pub(crate) fn due(
    envelope: &Envelope,
    recipient: &Recipient,
    failure: &Failure,
    terms: &Terms<'_>,
) -> Option<Due> {
    let history = History {
        // Clocks stand still while mail is held (SEED-186).
        accepted_at: envelope.accepted_at + terms.held_for,
        finished: envelope.attempt + 1,
        refusals: refusals(recipient, failure),
        granted_until: recipient.granted_until,
    };
    match terms.schedule.next(failure.class, &history, terms.now, terms.jitter) {
        Next::GiveUp => None,
        Next::Retry { at, until } => {
            let told = hinted(recipient, failure, history.finished, terms)
                .or_else(|| learned(envelope, failure, history.finished, terms));
            let at = told.unwrap_or(at);
            Some(Due { at: until.map_or(at, |until| at.min(until)), until, is_told: told.is_some() })
        }
    }
}

/// The time for all recipients of an entry: the earliest, moved by up to a minute when then all
/// that were told a time are let in. Never behind anybody's last attempt.
pub(crate) fn together(dues: &[Due], schedule: &RetrySchedule) -> Option<SystemTime> {
    let earliest = dues.iter().map(|due| due.at).min()?;
    let last_told = dues.iter().filter(|due| due.is_told).map(|due| due.at).max().unwrap_or(earliest);
    let at = if last_told <= earliest + schedule.paced(TOGETHER) { last_told } else { earliest };
    let limit = dues.iter().filter_map(|due| due.until).min();
    Some(limit.map_or(at, |limit| at.min(limit)))
}

/// The server's own words. One that says a time again and again is asked at intervals that double
/// like any other's: "in ten seconds" must not become thousands of attempts.
fn hinted(recipient: &Recipient, failure: &Failure, finished: u32, terms: &Terms<'_>) -> Option<SystemTime> {
    let schedule = terms.schedule;
    let told = hint_of(failure)?;
    let wait = schedule.paced(told + margin(told, terms));
    let before = recipient.last_failure.as_ref().filter(|before| hint_of(before).is_some());
    let interval = schedule.interval(finished);
    let least = before.map_or(Duration::ZERO, |before| match terms.now.duration_since(before.at) {
        Ok(waited) => (waited * 2).min(interval),
        // The clock was ahead then: nobody knows how long it was.
        Err(_) => interval,
    });
    Some(terms.now + wait.max(least))
}

/// What we know of the site. Once that time is over it has proved wrong, and the interval counts.
fn learned(envelope: &Envelope, failure: &Failure, finished: u32, terms: &Terms<'_>) -> Option<SystemTime> {
    let (schedule, now) = (terms.schedule, terms.now);
    let learned = terms.learned?;
    let may_be_greylisting =
        temporary_reply(failure).is_some() && matches!(failure.phase, Phase::Mail | Phase::Rcpt);
    let first = envelope.first_attempt_at.unwrap_or(now);
    let open = first + schedule.paced(learned + margin(learned, terms));
    if !may_be_greylisting || open <= now {
        return None;
    }
    let wait = open.duration_since(now).unwrap_or_default().max(schedule.paced(hint::SHORTEST));
    let ahead = (schedule.interval(finished) * 2).max(schedule.paced(LEARNED_AHEAD));
    (wait <= ahead).then(|| now + wait)
}

/// Jitter only lengthens here: too early is a wasted attempt.
fn margin(told: Duration, terms: &Terms<'_>) -> Duration {
    MARGIN + told.mul_f64(terms.schedule.shift(terms.jitter).abs())
}

fn hint_of(failure: &Failure) -> Option<Duration> {
    hint(temporary_reply(failure)?)
}

fn temporary_reply(failure: &Failure) -> Option<&str> {
    reply_to_transaction(failure).filter(|_| failure.class == FailureClass::Temp)
}

/// What the server answered to this message, not to the connection.
fn reply_to_transaction(failure: &Failure) -> Option<&str> {
    match (&failure.cause, failure.phase) {
        (Cause::Remote(reply), Phase::Mail | Phase::Rcpt | Phase::Content) => Some(&reply.text),
        (Cause::Remote(_), Phase::Dns | Phase::Connect | Phase::Tls | Phase::Greeting | Phase::Auth) => None,
        (Cause::Local(_), _) => None,
    }
}

#[cfg(test)]
mod tests;
