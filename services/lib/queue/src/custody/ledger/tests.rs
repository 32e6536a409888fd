use super::*;
use crate::custody::Origin;

const WHOLE: Pass = Pass { index: 0, of: 1 };

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn window() -> Window {
    Window { since: at(1_000), until: at(2_000) }
}

fn id(n: u128) -> QueueId {
    QueueId::new(1, n)
}

fn accepted(n: u128, recipients: &[&str], seconds: u64) -> Event {
    let recipients = recipients.iter().map(|&recipient| recipient.to_owned()).collect();
    Event::Accepted { entry: id(n).entry(0), recipients, at: at(seconds), origin: Origin::Client }
}

fn stored(n: u128) -> Event {
    Event::Stored { queue_id: id(n), admission: None }
}

fn ended(n: u128, recipient: &str, end: End, attempt: u32) -> Event {
    let recipient = recipient.to_owned();
    Event::Ended { entry: id(n).entry(0), recipient, end, at: at(1_700), attempt }
}

fn ledger(events: &[Event]) -> Ledger {
    let mut ledger = Ledger::new(window(), WHOLE);
    for (place, event) in (1..).zip(events) {
        ledger.read(Some(event), place);
    }
    ledger
}

#[test]
fn each_kind_of_end_is_counted_once() {
    let recipients = ["a@x", "b@x", "c@x", "d@x", "e@x"];
    let mut events = vec![accepted(1, &recipients, 1_500), stored(1)];
    events.extend(recipients.iter().zip(End::ALL).map(|(recipient, end)| ended(1, recipient, end, 1)));
    let tally = ledger(&events).tally();
    assert_eq!(tally, Tally { accepted: 5, ended: [1; 5], ..Tally::default() });
    assert_eq!(tally.of(End::Expired), 1);
}

#[test]
fn what_has_no_end_is_in_the_queue_or_missing() {
    let mut ledger = ledger(&[
        accepted(1, &["a@x"], 1_500),
        accepted(2, &["a@x", "b@x"], 1_600),
        stored(1),
        stored(2),
        ended(2, "b@x", End::Delivered, 1),
    ]);
    ledger.saw_in_queue(id(1).entry(0));
    let tally = ledger.tally();
    assert_eq!((tally.accepted, tally.queued, tally.missing), (3, 1, 1));
    let suspects = ledger.suspects();
    assert_eq!(suspects.len(), 1);
    assert_eq!(suspects[0].place, 2, "where it was accepted");
    let recipients = ["a@x".to_owned(), "b@x".to_owned()];
    let names: Vec<_> = ledger.names(id(2).entry(0), &recipients, &suspects).collect();
    assert_eq!(names, ["a@x"]);
}

/// The end of a recipient may be written before its acceptance: they come from two processes.
#[test]
fn the_order_of_events_does_not_matter() {
    let mut events = vec![
        accepted(1, &["a@x"], 1_500),
        stored(1),
        Event::Moved {
            from: id(1).entry(0),
            to: id(1).entry(5_000),
            recipients: vec!["a@x".to_owned()],
            at: at(1_600),
        },
    ];
    for _ in 0..2 {
        let mut ledger = ledger(&events);
        assert_eq!(ledger.tally().missing + ledger.tally().unpromised, 1);
        ledger.saw_in_queue(id(1).entry(5_000));
        assert_eq!(ledger.tally().queued, 1);
        events.rotate_right(1);
    }
    let tally = ledger(&[ended(1, "a@x", End::Failed, 3), accepted(1, &["a@x"], 1_500)]).tally();
    assert_eq!((tally.accepted, tally.of(End::Failed)), (1, 1));
}

#[test]
fn a_second_end_is_a_duplicate_and_a_repeated_attempt_explains_it() {
    let tally = ledger(&[
        accepted(1, &["a@x", "b@x"], 1_500),
        stored(1),
        ended(1, "a@x", End::Delivered, 2),
        ended(1, "a@x", End::Delivered, 2),
        ended(1, "b@x", End::Deleted, 0),
        ended(1, "b@x", End::Delivered, 1),
    ])
    .tally();
    assert_eq!((tally.duplicates, tally.repeated), (2, 1));
    assert_eq!((tally.of(End::Delivered), tally.of(End::Deleted)), (1, 1), "the first one counts");
}

#[test]
fn what_nobody_was_told_is_not_missing() {
    let tally = ledger(&[accepted(1, &["a@x"], 1_500)]).tally();
    assert_eq!((tally.accepted, tally.unpromised, tally.missing), (0, 1, 0));
}

#[test]
fn the_window_bounds_what_is_judged() {
    let tally = ledger(&[
        accepted(1, &["too-early@x"], 999),
        ended(1, "too-early@x", End::Delivered, 1),
        accepted(2, &["too-young@x"], 2_000),
        stored(2),
    ])
    .tally();
    assert_eq!(tally, Tally { accepted: 1, young: 1, ..Tally::default() });
}

/// Written twice after a lost acknowledgement, or by a report that is repeated.
#[test]
fn a_repeated_acceptance_is_one() {
    let tally = ledger(&[accepted(1, &["a@x"], 1_500), accepted(1, &["a@x"], 1_500), stored(1)]);
    assert_eq!(tally.tally().accepted, 1);
}

#[test]
fn passes_together_see_everything_once() {
    let mut total = Tally::default();
    for index in 0..3 {
        let mut ledger = Ledger::new(window(), Pass { index, of: 3 });
        ledger.read(None, 1);
        for n in 0..100 {
            ledger.read(Some(&accepted(n, &["a@x"], 1_500)), 2);
            ledger.read(Some(&stored(n)), 2);
            if n % 2 == 0 {
                ledger.saw_in_queue(id(n).entry(0));
            }
        }
        total.add(&ledger.tally());
    }
    let expected = Tally { accepted: 100, queued: 50, missing: 50, unknown_events: 1, ..Tally::default() };
    assert_eq!(total, expected);
}
