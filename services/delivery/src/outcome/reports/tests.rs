use std::time::Duration;

use hikyaku_types::{
    body::{Body, BodyRef},
    outcome::RecipientOutcome,
    schedule::RetrySchedule,
    shard::ShardId,
};

use super::*;
use crate::outcome::{
    plan::{
        plan,
        tests::{envelope, refusal, reply, terms},
    },
    timing::Terms,
};

const HOUR: Duration = Duration::from_secs(3600);
const START: SystemTime = UNIX_EPOCH;

/// What happens to the recipients of an entry, and what they asked for: `""` is no NOTIFY.
fn entry(asked: &[&str]) -> Envelope {
    let addresses: Vec<String> = (0..asked.len()).map(|index| format!("r{index}@example.org")).collect();
    let mut entry = envelope(&addresses.iter().map(String::as_str).collect::<Vec<_>>(), 3);
    for (recipient, notify) in entry.recipients.iter_mut().zip(asked) {
        recipient.reporting.notify = notify.parse().ok();
    }
    entry
}

fn refused() -> RecipientOutcome {
    RecipientOutcome::Failed(refusal(550, "no", START))
}

fn put_off() -> RecipientOutcome {
    RecipientOutcome::Failed(refusal(451, "later", START))
}

fn taken(hop_reports: bool) -> RecipientOutcome {
    RecipientOutcome::Delivered { reply: reply(250, "ok"), hop_reports }
}

fn after(now: SystemTime) -> Terms<'static> {
    static SCHEDULE: RetrySchedule = RetrySchedule::INTERNET;
    Terms { delay_notice_after: Some(4 * HOUR), ..terms(&SCHEDULE, now) }
}

/// `failed r0 r2`, one line for each report.
fn told(entry: &Envelope, outcomes: Vec<RecipientOutcome>, now: SystemTime) -> Vec<String> {
    let plan = plan(entry, outcomes, &after(now));
    let line = |report: DueReport<'_>| {
        let names =
            report.recipients.iter().map(|reported| reported.recipient.address.local_part().to_owned());
        [report.kind.name().to_owned()].into_iter().chain(names).collect::<Vec<_>>().join(" ")
    };
    due(entry, &plan, now).into_iter().map(line).collect()
}

#[test]
fn failures_are_told_to_those_who_want_to_hear() {
    let entry = entry(&["", "NEVER", "SUCCESS,DELAY", "FAILURE"]);
    assert_eq!(told(&entry, vec![refused(); 4], START), ["failed r0 r3"]);
    assert!(told(&self::entry(&["NEVER", "SUCCESS"]), vec![refused(); 2], START).is_empty());
}

#[test]
fn a_delay_is_told_after_four_hours() {
    let entry = entry(&["", "NEVER", "SUCCESS,FAILURE", "DELAY"]);
    let all = || vec![put_off(); 4];
    assert!(told(&entry, all(), START + 4 * HOUR - Duration::from_secs(1)).is_empty());
    assert_eq!(told(&entry, all(), START + 4 * HOUR), ["delayed r0 r3"]);
}

/// The entry remembers it, also when nobody wanted to hear.
#[test]
fn a_delay_is_told_once() {
    let (now, later) = (START + 4 * HOUR, START + 5 * HOUR);
    for asked in ["", "NEVER"] {
        let entry = entry(&[asked]);
        let first = plan(&entry, vec![put_off()], &after(now));
        let next = first.next(&entry, now);
        assert!(next.delay_reported);
        assert!(told(&next, vec![put_off()], later).is_empty());
        assert!(plan(&next, vec![put_off()], &after(later)).next(&next, later).delay_reported);
    }
    let early = plan(&entry(&[""]), vec![put_off()], &after(START));
    assert!(!early.next(&entry(&[""]), START).delay_reported);
    let never = Terms { delay_notice_after: None, ..after(now) };
    assert!(!plan(&entry(&[""]), vec![put_off()], &never).is_late);
}

#[test]
fn the_delay_notice_follows_the_clock_rate() {
    let fast = RetrySchedule { clock_rate: 3600, ..RetrySchedule::INTERNET };
    let is_late = |seconds| {
        let now = START + Duration::from_secs(seconds);
        let terms = Terms { delay_notice_after: Some(4 * HOUR), ..terms(&fast, now) };
        plan(&entry(&[""]), vec![put_off()], &terms).is_late
    };
    assert_eq!((is_late(3), is_late(4)), (false, true));
}

/// RFC 3461 5.2.2 and 5.2.1: a hop that was told reports itself.
#[test]
fn a_success_is_told_where_nobody_else_will() {
    let entry = entry(&["SUCCESS", "SUCCESS", "", "NEVER"]);
    let outcomes = vec![taken(false), taken(true), taken(false), taken(false)];
    assert_eq!(told(&entry, outcomes, START), ["relayed r0"]);
}

#[test]
fn each_kind_has_its_own_report() {
    let entry = entry(&["", "", "SUCCESS"]);
    let outcomes = vec![refused(), put_off(), taken(false)];
    let lines = told(&entry, outcomes, START + 5 * HOUR);
    assert_eq!(lines, ["failed r0", "delayed r1", "relayed r2"]);
}

/// SEED-191.
#[test]
fn nothing_is_told_to_nobody() {
    let mut entry = entry(&["", "", "SUCCESS"]);
    entry.reverse_path = ReversePath::Null;
    assert!(told(&entry, vec![refused(), put_off(), taken(false)], START + 5 * HOUR).is_empty());
}

#[test]
fn a_report_has_the_same_id_each_time_and_no_other_has_it() {
    let entry = entry(&["", "", "SUCCESS"]);
    let ids = |entry: &Envelope| -> Vec<QueueId> {
        let outcomes = vec![refused(), put_off(), taken(false)];
        let plan = plan(entry, outcomes, &after(START + 5 * HOUR));
        due(entry, &plan, START).iter().map(|report| report.id(entry)).collect()
    };
    let mut all = ids(&entry);
    assert_eq!(all, ids(&entry));
    all.extend(ids(&Envelope { attempt: 4, ..entry.clone() }));
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 6);
}

/// RFC 3461 4.3, SEED-193.
#[test]
fn what_is_returned() {
    let sized = |size| Body::Stored(BodyRef { shard: ShardId::new(0), sequences: vec![], size });
    for (kind, ret, size, whole) in [
        (Kind::Failed, "", 10, true),
        (Kind::Failed, "FULL", 10, true),
        (Kind::Failed, "HDRS", 10, false),
        (Kind::Failed, "FULL", WHOLE_ORIGINAL_LIMIT, true),
        (Kind::Failed, "FULL", WHOLE_ORIGINAL_LIMIT + 1, false),
        (Kind::Delayed, "FULL", 10, false),
        (Kind::Relayed, "FULL", 10, false),
    ] {
        let mut entry = Envelope { body: sized(size), ..entry(&[""]) };
        entry.transfer.ret = ret.parse().ok();
        let to = &"a@example.net".parse().unwrap();
        let report = DueReport { kind, to, recipients: Vec::new() };
        assert_eq!(report.returns_whole(&entry), whole, "{kind:?} {ret} {size}");
        // RFC 3030 3: a report travels by DATA.
        entry.transfer.body = BodyKind::BinaryMime;
        assert!(!report.returns_whole(&entry));
    }
}
