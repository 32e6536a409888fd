//! Deadlines, and writes that are reported late.

use super::*;

#[test]
fn each_step_has_its_own_time() {
    let steps: [(&str, u64, &str); 4] = [
        ("", 300, "mail: timed out while waiting for MAIL reply"),
        ("250 ok\r\n", 300, "rcpt: timed out while waiting for RCPT reply"),
        ("250 ok\r\n250 ok\r\n", 120, "content: timed out while waiting for DATA reply"),
        (
            "250 ok\r\n250 ok\r\n354 go\r\n",
            600,
            "content: timed out while waiting for the reply to the final dot",
        ),
    ];
    for (replies, seconds, summary) in steps {
        let mut bench = Bench::ready(&["PIPELINING"]);
        assert_eq!(bench.session.next_deadline(), None, "idle");
        bench.start(delivery(&["x@m.example"], "x\r\n"));
        bench.now += Duration::from_secs(10);
        bench.hear(replies);
        let since = if replies.is_empty() { bench.now - Duration::from_secs(10) } else { bench.now };
        let deadline = bench.session.next_deadline().unwrap();
        assert_eq!(deadline, since + Duration::from_secs(seconds));
        bench.now = deadline - Duration::from_millis(1);
        bench.handle(Event::TimedOut);
        assert!(bench.actions.is_empty(), "too soon");
        bench.now = deadline;
        bench.handle(Event::TimedOut);
        assert_eq!(bench.summary(), [summary]);
    }
}

/// SEED-154: a server that takes a little at a time is not served for ever.
#[test]
fn seed_154_a_message_has_a_time_in_all() {
    let mut bench = Bench::ready(&["PIPELINING"]);
    bench.reports_writes = false;
    bench.start(delivery(&["x@m.example"], &"0123456789abcdef\r\n".repeat(400_000)));
    let begun = bench.now;
    bench.handle(Event::WriteDone);
    bench.sent();
    bench.hear("250 ok\r\n250 ok\r\n354 go\r\n");
    for _ in 0..10 {
        bench.now += Duration::from_secs(179);
        bench.handle(Event::WriteDone);
        assert!(bench.actions.is_empty(), "each piece is in time");
    }
    let deadline = bench.session.next_deadline().unwrap();
    assert_eq!(deadline, begun + Duration::from_secs(1_800));
    bench.now = deadline;
    bench.handle(Event::TimedOut);
    assert_eq!(bench.summary(), ["content: took longer than 1800 s in all, while sending content"]);
}

/// SEED-154: another time holds from the next message on.
#[test]
fn seed_154_times_change_between_messages() {
    let mut bench = Bench::ready(&["PIPELINING"]);
    bench.session.set_timeouts(Timeouts { mail: Duration::from_secs(1_200), ..Timeouts::default() });
    bench.start(delivery(&["x@m.example"], "x\r\n"));
    assert_eq!(bench.session.next_deadline().unwrap(), bench.now + Duration::from_secs(1_200));
}

#[test]
fn half_a_reply_does_not_buy_time() {
    let mut bench = Bench::ready(&["PIPELINING"]);
    bench.start(delivery(&["x@m.example"], "x\r\n"));
    let deadline = bench.session.next_deadline();
    bench.now += Duration::from_secs(200);
    bench.hear("250-2.1");
    assert_eq!(bench.session.next_deadline(), deadline);
}

#[test]
fn content_is_handed_out_piece_by_piece() {
    let mut bench = Bench::ready(&["PIPELINING"]);
    bench.reports_writes = false;
    let content = "0123456789abcdef\r\n".repeat(40_000);
    bench.start(delivery(&["x@m.example"], &content));
    bench.handle(Event::WriteDone);
    bench.sent();
    bench.hear("250 ok\r\n250 ok\r\n354 go\r\n");
    let mut pieces = 0;
    while bench.sent.len() < content.len() + 3 {
        let before = bench.sent.len();
        bench.now += Duration::from_secs(179);
        bench.handle(Event::TimedOut);
        bench.handle(Event::WriteDone);
        assert!(bench.sent.len() > before);
        pieces += 1;
    }
    assert!(pieces > 1);
    assert_eq!(bench.sent(), content + ".\r\n");
    bench.handle(Event::WriteDone);
    bench.hear("250 ok\r\n");
    assert_eq!(bench.summary(), ["250"]);
}

/// The report of an earlier write is not that of the content, and who answers content before its end has
/// answered something else: a server that is one reply ahead would have everything delivered.
#[test]
fn a_reply_too_many_is_not_the_one_to_the_content() {
    let mut bench = Bench::ready(&["PIPELINING"]);
    bench.reports_writes = false;
    bench.start(delivery(&["x@m.example"], "x\r\n"));
    bench.hear("250 ok\r\n250 ok\r\n354 go\r\n");
    bench.handle(Event::WriteDone); // of the group
    bench.hear("250 early\r\n");
    assert_eq!(bench.summary(), ["content: unexpected 250 reply while sending content"]);
    assert_eq!(bench.actions.last(), Some(&Action::Close));

    let mut bench = Bench::ready(&["PIPELINING"]);
    bench.start(delivery(&["x@m.example"], "x\r\n"));
    bench.hear("250 ok\r\n250 ok\r\n354 go\r\n250 ok\r\n");
    assert_eq!(bench.summary(), ["content: unexpected 250 reply while sending content"]);

    let mut bench = Bench::ready(&["PIPELINING"]);
    bench.start(delivery(&["x@m.example"], "x\r\n"));
    bench.hear("250 ok\r\n250 ok\r\n354 go\r\n");
    bench.hear("250 ok\r\n");
    bench.handle(Event::Closed(Cut::Closed));
    assert_eq!(bench.summary(), ["250"], "said before it left");
}
