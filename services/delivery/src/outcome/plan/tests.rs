use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use hikyaku_types::{
    body::Body,
    envelope::{Lane, Transfer},
    ids::QueueId,
    outcome::{LocalError, LocalErrorKind, Phase},
    schedule::RetrySchedule,
};

use super::*;

pub(crate) fn envelope(recipients: &[&str], attempt: u32) -> Envelope {
    Envelope {
        entry: QueueId::new(0, 0).entry(0),
        destination: "example.org".parse().unwrap(),
        reverse_path: "a@example.net".parse().unwrap(),
        recipients: recipients.iter().map(|address| Recipient::new(address.parse().unwrap(), None)).collect(),
        body: Body::Inline(Bytes::new()),
        transfer: Transfer::default(),
        accepted_at: UNIX_EPOCH,
        attempt,
        first_attempt_at: None,
        delay_reported: false,
        client: None,
        lane: Lane::Fresh,
    }
}

pub(crate) fn reply(code: u16, text: &str) -> RemoteReply {
    RemoteReply {
        host: "mx.example.org".to_owned(),
        address: "192.0.2.1:25".parse().unwrap(),
        code,
        enhanced: None,
        text: text.to_owned(),
    }
}

pub(crate) fn refusal(code: u16, text: &str, at: SystemTime) -> Failure {
    crate::outcome::classify::refused(Phase::Rcpt, reply(code, text), at)
}

fn silence(at: SystemTime) -> Failure {
    crate::outcome::classify::no_reply(
        Phase::Connect,
        LocalError::new(LocalErrorKind::Os(111), "connection refused"),
        at,
    )
}

fn failed(failure: Failure) -> RecipientOutcome {
    RecipientOutcome::Failed(failure)
}

pub(crate) fn terms(schedule: &RetrySchedule, now: SystemTime) -> Terms<'_> {
    Terms { schedule, learned: None, held_for: Duration::ZERO, delay_notice_after: None, now, jitter: 0.0 }
}

#[test]
fn each_recipient_has_its_own_end() {
    let envelope = envelope(&["a@example.org", "b@example.org", "c@example.org"], 0);
    let outcomes = vec![
        RecipientOutcome::Delivered { reply: reply(250, "ok"), hop_reports: false },
        failed(refusal(550, "no", UNIX_EPOCH)),
        failed(refusal(451, "later", UNIX_EPOCH)),
    ];
    let plan = plan(&envelope, outcomes, &terms(&RetrySchedule::INTERNET, UNIX_EPOCH));
    assert_eq!(plan.delivered[0].recipient.address.local_part(), "a");
    assert_eq!(plan.bounced[0].recipient.address.local_part(), "b");
    assert!(!plan.bounced[0].expired);
    assert_eq!(plan.again[0].recipient.address.local_part(), "c");
    assert_eq!(plan.at, Some(UNIX_EPOCH + Duration::from_secs(120)));
}

#[test]
fn the_next_attempt_knows_what_happened() {
    let envelope = envelope(&["a@example.org", "b@example.org"], 0);
    let now = UNIX_EPOCH + Duration::from_secs(5);
    let schedule = RetrySchedule { retry_5xx: 2, ..RetrySchedule::INTERNET };
    let outcomes = vec![failed(refusal(451, "later", now)), failed(refusal(550, "no", now))];
    let next = plan(&envelope, outcomes, &terms(&schedule, now)).next(&envelope, now);
    assert_eq!((next.attempt, next.first_attempt_at), (1, Some(now)));
    let [a, b] = &next.recipients[..] else { panic!() };
    assert_eq!((a.refusals, a.granted_until), (0, Some(UNIX_EPOCH + schedule.give_up_temp)));
    assert_eq!((b.refusals, b.granted_until), (1, None));
    assert_eq!(a.last_failure, Some(refusal(451, "later", now)));

    let later = now + Duration::from_secs(120);
    let outcomes = vec![failed(silence(later)), failed(silence(later))];
    let last = plan(&next, outcomes, &terms(&schedule, later)).next(&next, later);
    assert_eq!((last.attempt, last.first_attempt_at), (2, Some(now)), "the first one stays the first");
    let [a, b] = &last.recipients[..] else { panic!() };
    assert_eq!(a.granted_until, Some(UNIX_EPOCH + schedule.give_up_noreply));
    assert_eq!(a.last_failure, Some(refusal(451, "later", now)), "what was said stays");
    assert_eq!(b.refusals, 1, "silence is no refusal");
}

#[test]
fn what_servers_said_never_makes_an_entry_too_large() {
    let addresses: Vec<String> = (0..1_000).map(|n| format!("r{n}@example.org")).collect();
    let envelope = envelope(&addresses.iter().map(String::as_str).collect::<Vec<_>>(), 0);
    let text = "ä".repeat(1_024);
    let outcomes = || vec![failed(refusal(451, &text, UNIX_EPOCH)); 1_000];
    let terms = terms(&RetrySchedule::INTERNET, UNIX_EPOCH);
    let next = plan(&envelope, outcomes(), &terms).next(&envelope, UNIX_EPOCH);
    let texts =
        next.recipients.iter().map(|recipient| match &recipient.last_failure.as_ref().unwrap().cause {
            Cause::Remote(reply) => reply.text.as_str(),
            Cause::Local(error) => panic!("{}", error.what),
        });
    let texts: Vec<&str> = texts.collect();
    assert!(texts.iter().all(|kept| text.starts_with(kept) && kept.len() > 250));
    assert!(texts.iter().map(|text| text.len()).sum::<usize>() <= KEPT_TEXT);
}

#[test]
fn a_few_recipients_keep_all_that_was_said() {
    let said = refusal(451, &"x".repeat(2_048), UNIX_EPOCH);
    assert_eq!(kept(said.clone(), 100), said);
}

/// SEED-186.
#[test]
fn mail_is_not_late_because_it_was_held() {
    let envelope = envelope(&["a@example.org"], 1);
    let is_late = |held_for, seconds| {
        let now = UNIX_EPOCH + Duration::from_secs(seconds);
        let delay_notice_after = Some(Duration::from_secs(100));
        let held_for = Duration::from_secs(held_for);
        let terms = Terms { held_for, delay_notice_after, ..terms(&RetrySchedule::INTERNET, now) };
        plan(&envelope, vec![failed(refusal(451, "later", now))], &terms).is_late
    };
    assert_eq!([is_late(0, 99), is_late(0, 100)], [false, true]);
    assert_eq!([is_late(50, 149), is_late(50, 150)], [false, true]);
}

/// SEED-174.
#[test]
fn a_refusal_is_repeated_where_that_was_asked_for() {
    let schedule = RetrySchedule { retry_5xx: 2, ..RetrySchedule::INTERNET };
    let mut entry = envelope(&["a@example.org"], 0);
    let (mut now, mut minutes) = (UNIX_EPOCH, vec![]);
    let bounced = loop {
        minutes.push(now.duration_since(UNIX_EPOCH).unwrap().as_secs() / 60);
        let plan = plan(&entry, vec![failed(refusal(550, "no", now))], &terms(&schedule, now));
        let Some(at) = plan.at else { break plan.bounced };
        (entry, now) = (plan.next(&entry, now), at);
    };
    assert_eq!(minutes, [0, 2, 6]);
    assert!(!bounced[0].expired);
}

/// A domain that does not exist and a server that takes no mail at all do not change by asking.
#[test]
fn what_dns_denies_is_not_repeated() {
    use hikyaku_route::plan::RouteError;
    let schedule = RetrySchedule { retry_5xx: 9, ..RetrySchedule::INTERNET };
    for error in [RouteError::NoSuchDomain, RouteError::NullMx] {
        let failure = crate::outcome::classify::no_route(&error, UNIX_EPOCH);
        let plan =
            plan(&envelope(&["a@example.org"], 0), vec![failed(failure)], &terms(&schedule, UNIX_EPOCH));
        assert_eq!((plan.bounced.len(), plan.at), (1, None));
    }
}

#[test]
fn expiry_reports_the_remote_reply_not_the_last_silence() {
    let mut envelope = envelope(&["a@example.org"], 12);
    let said = refusal(451, "later", UNIX_EPOCH);
    envelope.recipients[0].last_failure = Some(said.clone());
    let late = UNIX_EPOCH + Duration::from_secs(24 * 3600);
    let plan = plan(&envelope, vec![failed(silence(late))], &terms(&RetrySchedule::INTERNET, late));
    assert!(plan.bounced[0].expired);
    assert_eq!((&plan.bounced[0].failure, plan.bounced[0].last_attempt), (&said, late));
}

#[test]
fn custody_is_told_of_each_end_and_of_no_deferral() {
    let mut envelope = envelope(&["a@example.org", "b@example.org", "c@example.org", "d@example.org"], 3);
    envelope.recipients[2].granted_until = Some(UNIX_EPOCH);
    let late = UNIX_EPOCH + RetrySchedule::INTERNET.give_up_temp;
    let outcomes = || {
        vec![
            RecipientOutcome::Delivered { reply: reply(250, "ok"), hop_reports: false },
            failed(refusal(550, "no", late)),
            failed(refusal(451, "later", late)),
            failed(silence(late)),
        ]
    };
    let ends = |envelope: &Envelope| {
        let plan = plan(envelope, outcomes(), &terms(&RetrySchedule::INTERNET, late));
        let ends = plan.ends(envelope, late).into_iter().map(|event| {
            let Event::Ended { recipient, end, attempt: 4, .. } = event else { panic!("{event:?}") };
            (recipient, end)
        });
        ends.collect::<Vec<_>>()
    };
    let named = |end_of_failed, end_of_expired| {
        [("a", End::Delivered), ("b", end_of_failed), ("c", end_of_expired)]
            .map(|(name, end)| (format!("{name}@example.org"), end))
    };
    assert_eq!(ends(&envelope), named(End::Failed, End::Expired));
    envelope.reverse_path = ReversePath::Null;
    assert_eq!(ends(&envelope), named(End::DeadLettered, End::DeadLettered));
}
