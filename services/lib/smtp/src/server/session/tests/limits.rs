//! What a session may cost, and how it ends.

use super::*;

/// SEED-138: refused, and the connection stays usable.
#[test]
fn too_big_by_declaration_and_by_content() {
    let mut bench = Bench::new(SessionConfig { max_message_size: 10, ..SessionConfig::default() });
    bench.say("EHLO c\r\n");
    assert_eq!(bench.say("MAIL FROM:<a@c.example> SIZE=11\r\n"), ["552 5.3.4"]);
    assert_eq!(bench.say("MAIL FROM:<a@c.example> SIZE=10\r\nRSET\r\n"), ["250 2.1.0", "250 2.0.0"]);
    bench.say(TRANSACTION);
    assert_eq!(bench.say("123456789\r\n.\r\nNOOP\r\n"), ["552 5.3.4", "250 2.0.0"]);
    bench.say(TRANSACTION);
    assert_eq!(bench.say("12345678\r\n.\r\n"), ["250 2.0.0"]);
    assert_eq!(bench.stored.len(), 1);
    assert_eq!(bench.checks, ["smtp.size", "smtp.size"]);
}

#[test]
fn zero_is_no_size_limit() {
    let mut bench = Bench::new(SessionConfig { max_message_size: 0, ..SessionConfig::default() });
    bench.say("EHLO c\r\n");
    assert!(bench.writes[0].contains("250-SIZE 0\r\n"));
    assert_eq!(bench.say("MAIL FROM:<a@c.example> SIZE=99999999999999999999\r\n"), ["250 2.1.0"]);
}

/// SEED-139: the first recipients stay accepted.
#[test]
fn one_recipient_too_many() {
    let mut bench = Bench::new(SessionConfig { max_recipients: 2, ..SessionConfig::default() });
    bench.say("EHLO c\r\nMAIL FROM:<a@c.example>\r\n");
    let rcpt = "RCPT TO:<refused@x.example>\r\nRCPT TO:<b@own.example>\r\n".repeat(3);
    let codes = bench.say(&(rcpt + "DATA\r\n"));
    let expected = ["550 5.7.1", "250 2.1.5", "550 5.7.1", "250 2.1.5", "452 4.5.3", "452 4.5.3", "354"];
    assert_eq!(codes, expected);
    bench.say("x\r\n.\r\n");
    assert_eq!(bench.stored[0].recipients.len(), 2);
}

#[test]
fn too_many_errors_end_the_session() {
    let mut bench = Bench::ready();
    let codes = bench.say(&"NOPE\r\nDATA\r\n".repeat(20));
    assert_eq!(codes.len(), 21);
    assert_eq!(codes.last().map(String::as_str), Some("421 4.7.0"));
    assert!(bench.closed);
}

/// SEED-141.
#[test]
fn silence_ends_the_session() {
    let mut bench = Bench::ready();
    assert!(bench.pass(299).is_empty());
    bench.say("NOOP\r\n");
    assert!(bench.pass(299).is_empty());
    assert_eq!(bench.pass(1), ["421 4.4.2"]);
    assert!(bench.closed);
    assert_eq!(bench.checks, ["smtp.idle"]);
}

/// SEED-141: one octet every ten seconds.
#[test]
fn dripping_content_is_cut_by_the_total_limit() {
    let mut bench = Bench::ready();
    bench.say(TRANSACTION);
    let mut octets = 0;
    while !bench.closed {
        bench.say("x");
        octets += 1;
        bench.pass(10);
    }
    assert_eq!(octets, 180);
    assert_eq!(bench.checks, ["smtp.transaction-time"]);
    assert_eq!(bench.outcomes, [Outcome::Aborted]);
    assert!(bench.stored.is_empty());
}

/// A connection that is used is not cut after half an hour.
#[test]
fn the_total_limit_starts_again_with_each_transaction() {
    let mut bench = Bench::ready();
    for _ in 0..20 {
        bench.say(TRANSACTION);
        assert_eq!(bench.say("x\r\n.\r\n"), ["250 2.0.0"]);
        bench.pass(290);
    }
    assert!(!bench.closed);
}

#[test]
fn draining_between_transactions_and_within_content() {
    let mut bench = Bench::ready();
    bench.writes.clear();
    bench.handle(Event::Draining);
    assert_eq!(bench.codes(), ["421 4.3.2"]);
    assert!(bench.closed);

    let mut bench = Bench::ready();
    bench.say(TRANSACTION);
    bench.handle(Event::Draining);
    assert!(!bench.closed);
    assert_eq!(bench.say("x\r\n.\r\nMAIL FROM:<a@c.example>\r\n"), ["250 2.0.0", "421 4.3.2"]);
    assert!(bench.closed);
}

#[test]
fn draining_while_a_question_is_open() {
    let mut bench = Bench::ready();
    bench.session.handle(Event::Input(b"MAIL FROM:<a@c.example>\r\n"), bench.now);
    assert!(bench.session.next_action().is_some());
    bench.session.handle(Event::Draining, bench.now);
    assert!(bench.session.next_action().is_none());
    bench.writes.clear();
    bench.handle(Event::SenderAnswered(Verdict::Accept(())));
    assert_eq!(bench.codes(), ["250 2.1.0", "421 4.3.2"]);
}

/// SEED-101.
#[test]
fn seed_101_who_talks_before_the_greeting_is_closed() {
    let mut bench = Bench::unconnected(SessionConfig::default());
    bench.handle(Event::TalkedEarly);
    assert_eq!(bench.codes(), ["554 5.5.0"]);
    assert!(bench.closed);
    assert_eq!(bench.checks, ["smtp.early-talker"]);
}

/// The first five may be old addresses; 4yz says nothing about an address.
#[test]
fn who_guesses_recipients_waits() {
    let mut bench = Bench::ready();
    bench.say("MAIL FROM:<a@c.example>\r\n");
    bench.say(&"RCPT TO:<refused@x.example>\r\n".repeat(5));
    bench.say("RCPT TO:<later@own.example>\r\nRCPT TO:<b@own.example>\r\n");
    assert_eq!(bench.pauses, 0);
    let codes = bench.say("RCPT TO:<refused@x.example>\r\nRCPT TO:<b@own.example>\r\n");
    assert_eq!((codes, bench.pauses), (vec!["550 5.7.1".to_owned(), "250 2.1.5".to_owned()], 1));
    bench.say("RSET\r\nMAIL FROM:<a@c.example>\r\nRCPT TO:<refused@x.example>\r\n");
    assert_eq!(bench.pauses, 2, "the next transaction does not begin anew");
}

#[test]
fn the_banner_is_that_of_the_listener() {
    let banner = "mx.example.jp ESMTP".to_owned();
    let mut bench = Bench::unconnected(SessionConfig { banner, ..SessionConfig::default() });
    bench.handle(Event::Connected(Verdict::Accept(())));
    assert_eq!(bench.writes, ["220 mx.example.jp ESMTP\r\n"]);
    bench.say("EHLO c\r\n");
    assert!(bench.writes[0].starts_with("250-localhost\r\n"));
}

/// What has no room is read away, and the session goes on.
#[test]
fn content_without_memory_is_put_off() {
    let mut bench = Bench::ready();
    for end in ["123\r\n.\r\n", "123\r\n\r\n..\r\n.\r\n"] {
        bench.say(TRANSACTION);
        bench.say("12345678\r\n");
        assert!(bench.session.content_room() > 0);
        bench.handle(Event::NoRoom);
        assert!(bench.say("12345678\r\n").is_empty());
        assert_eq!(bench.session.content_room(), 0);
        assert_eq!(bench.say(end), ["452 4.3.1"]);
    }
    bench.say("MAIL FROM:<a@c.example>\r\nRCPT TO:<b@own.example>\r\nBDAT 6\r\n1234");
    bench.handle(Event::NoRoom);
    assert_eq!(bench.say("\r\nBDAT 2 LAST\r\n\r\n"), ["452 4.3.1", "503 5.5.1"]);
    assert_eq!(bench.outcomes, [Outcome::Deferred; 3]);
    bench.say(TRANSACTION);
    assert_eq!(bench.say("x\r\n.\r\n"), ["250 2.0.0"]);
    assert_eq!(
        (bench.stored.len(), bench.checks.as_slice()),
        (1, &["smtp.memory", "smtp.memory", "smtp.memory"][..])
    );
}
