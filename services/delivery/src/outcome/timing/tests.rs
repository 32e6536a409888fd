use std::time::UNIX_EPOCH;

use hikyaku_types::outcome::{LocalError, LocalErrorKind};

use super::*;
use crate::outcome::{
    classify,
    plan::tests::{envelope, refusal, reply, terms},
};

const INTERNET: RetrySchedule = RetrySchedule::INTERNET;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// Seconds after acceptance at which the first recipient is due.
fn due_at(entry: &Envelope, failure: &Failure, terms: &Terms<'_>) -> u64 {
    let due = due(entry, &entry.recipients[0], failure, terms).unwrap();
    due.at.duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn entry(attempt: u32) -> Envelope {
    Envelope { first_attempt_at: (attempt > 0).then_some(at(0)), ..envelope(&["a@example.org"], attempt) }
}

const GREY: &str = "Greylisted, please try again in 300 seconds";

#[test]
fn a_hint_takes_the_place_of_the_interval() {
    let now = at(0);
    for (text, jitter, expected) in [
        (GREY, 0.0, 302),
        (GREY, 1.0, 332),
        (GREY, -1.0, 332), // jitter never shortens
        ("try again in 20 seconds", 0.0, 22),
        ("try again in 1 second", 0.0, 12),
        ("try again in 2 hours", 0.0, 3602),
        ("Greylisted, try again later", 0.0, 120),
        ("Greylisted, try again later", -1.0, 108),
    ] {
        let terms = Terms { jitter, ..terms(&INTERNET, now) };
        assert_eq!(due_at(&entry(0), &refusal(451, text, now), &terms), expected, "{text} {jitter}");
    }
}

#[test]
fn only_what_was_answered_to_the_message_is_a_hint() {
    let now = at(0);
    let said = |phase| classify::refused(phase, reply(451, GREY), now);
    for (failure, expected) in [
        (said(Phase::Mail), 302),
        (said(Phase::Rcpt), 302),
        (said(Phase::Content), 302),
        (said(Phase::Greeting), 120),
        (classify::no_reply(Phase::Rcpt, LocalError::new(LocalErrorKind::Internal, GREY), now), 120),
    ] {
        assert_eq!(due_at(&entry(0), &failure, &terms(&INTERNET, now)), expected, "{failure:?}");
    }
    let refused = classify::refused(Phase::Rcpt, reply(550, GREY), now);
    let repeated = RetrySchedule { retry_5xx: 1, ..INTERNET };
    assert_eq!(due_at(&entry(0), &refused, &terms(&repeated, now)), 120, "a refusal for good");
}

#[test]
fn a_hint_never_passes_the_last_attempt() {
    let now = at(8 * 3600 - 100);
    assert_eq!(due_at(&entry(12), &refusal(451, GREY, now), &terms(&INTERNET, now)), 8 * 3600);
}

/// A server that always says "in ten seconds" is asked as often as one that says nothing, or less.
#[test]
fn a_server_that_says_a_time_again_and_again_is_asked_more_and_more_rarely() {
    let (mut entry, mut now, mut attempts) = (entry(0), at(0), 1);
    loop {
        let failure = refusal(451, "try again in 10 seconds", now);
        let Some(due) = due(&entry, &entry.recipients[0], &failure, &terms(&INTERNET, now)) else { break };
        entry.recipients[0].last_failure = Some(failure);
        entry.attempt += 1;
        (now, attempts) = (due.at, attempts + 1);
    }
    assert_eq!(now, at(8 * 3600));
    assert!((12..=20).contains(&attempts), "{attempts} attempts");
}

/// The operator's "retry now" inside the window: what is left of it is waited for.
#[test]
fn a_hint_that_counts_down_is_followed() {
    let mut entry = entry(1);
    entry.recipients[0].last_failure = Some(refusal(451, GREY, at(0)));
    let failure = refusal(451, "Greylisted, please try again in 240 seconds", at(60));
    assert_eq!(due_at(&entry, &failure, &terms(&INTERNET, at(60))), 302);
}

#[test]
fn a_clock_that_was_ahead_does_not_make_attempts_more_frequent() {
    let text = "try again in 10 seconds";
    let mut entry = entry(1);
    entry.recipients[0].last_failure = Some(refusal(451, text, at(3_600)));
    let failure = refusal(451, text, at(3_620));
    let expected = 20 + INTERNET.interval(2).as_secs();
    assert_eq!(due_at(&entry, &failure, &terms(&INTERNET, at(20))), expected);
}

#[test]
fn a_learned_time_counts_from_the_first_attempt() {
    let grey = |now| refusal(451, "Greylisted", now);
    for (attempt, seconds, learned, expected) in [
        (0, 0, 300, 302),         // longer than the interval, and close enough
        (0, 0, 14 * 60, 842),     // up to a quarter of an hour ahead
        (0, 0, 16 * 60, 120),     // not further
        (0, 0, 30, 32),           // sooner than the interval
        (1, 120, 300, 302),       // 182 s from now, where the interval is 240 s
        (1, 295, 300, 305),       // never sooner than ten seconds from now
        (1, 302, 300, 302 + 240), // it proved wrong
        (5, 3000, 5400, 5402),    // 40 minutes ahead, less than twice the interval of 3,600 s
    ] {
        let (now, learned) = (at(seconds), Some(Duration::from_secs(learned)));
        let terms = Terms { learned, ..terms(&INTERNET, now) };
        assert_eq!(due_at(&entry(attempt), &grey(now), &terms), expected, "{attempt} {seconds} {learned:?}");
    }
}

#[test]
fn a_learned_time_is_for_what_looks_like_greylisting() {
    let now = at(0);
    let terms = Terms { learned: Some(Duration::from_secs(300)), ..terms(&INTERNET, now) };
    let said = |phase, text| classify::refused(phase, reply(451, text), now);
    for (failure, expected) in [
        (said(Phase::Mail, "no"), 302),
        (said(Phase::Content, "no"), 120),
        (said(Phase::Greeting, "no"), 120),
        (said(Phase::Rcpt, "try again in 20 seconds"), 22), // the server knows better
        (classify::no_reply(Phase::Rcpt, LocalError::new(LocalErrorKind::Eof, "cut"), now), 120),
    ] {
        assert_eq!(due_at(&entry(0), &failure, &terms), expected, "{failure:?}");
    }
}

#[test]
fn all_times_follow_the_clock_rate() {
    let fast = RetrySchedule { clock_rate: 10, ..INTERNET };
    let learned = Terms { learned: Some(Duration::from_secs(300)), ..terms(&fast, at(0)) };
    assert_eq!(due_at(&entry(0), &refusal(451, GREY, at(0)), &terms(&fast, at(0))), 30);
    assert_eq!(due_at(&entry(0), &refusal(451, "no", at(0)), &learned), 30);
}

#[test]
fn recipients_that_may_come_within_a_minute_come_together() {
    let due = |seconds, is_told| Due { at: at(seconds), until: Some(at(500)), is_told };
    for (dues, expected) in [
        (vec![], None),
        (vec![due(120, false)], Some(120)),
        (vec![due(302, true), due(330, true)], Some(330)),
        (vec![due(302, true), due(363, true)], Some(302)),
        (vec![due(300, false), due(330, true)], Some(330)),
        (vec![due(120, false), due(302, true)], Some(120)),
        (vec![due(302, true), due(320, false)], Some(302)),
        (vec![due(460, true), due(500, false), Due { until: Some(at(480)), ..due(490, true) }], Some(480)),
    ] {
        assert_eq!(together(&dues, &INTERNET), expected.map(at), "{dues:?}");
    }
}

#[test]
fn refusals_are_counted_where_a_server_refused() {
    let mut recipient = entry(0).recipients.remove(0);
    recipient.refusals = 3;
    assert_eq!(refusals(&recipient, &refusal(550, "no", at(0))), Some(4));
    assert_eq!(refusals(&recipient, &refusal(451, "no", at(0))), None);
    let lacking = classify::unsupported(hikyaku_types::reply::EnhancedCode(5, 6, 7), "no".to_owned(), at(0));
    assert_eq!(refusals(&recipient, &lacking), None, "nobody was asked");
}
