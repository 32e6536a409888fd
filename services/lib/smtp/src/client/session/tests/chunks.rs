//! BDAT (RFC 3030): what is binary goes in one chunk, and everything else by DATA.

use super::*;

const CONTENT: &str = "A: b\r\n\r\n.\n\r\0";
const CHUNK: &str = "BDAT 12 LAST\r\nA: b\r\n\r\n.\n\r\0";
const NAMED: &str =
    "MAIL FROM:<a@c.example> BODY=BINARYMIME\r\nRCPT TO:<x@m.example>\r\nRCPT TO:<y@m.example>\r\n";
const PIPELINED: &[&str] = &["PIPELINING", "CHUNKING", "BINARYMIME"];

fn binary(content: &str) -> Delivery {
    let mut delivery = delivery(&TWO, content);
    delivery.transfer.body = BodyKind::BinaryMime;
    delivery
}

#[test]
fn a_binary_message_takes_two_writes() {
    let mut bench = Bench::ready(PIPELINED);
    bench.start(binary(CONTENT));
    assert_eq!((bench.sent().as_str(), bench.writes), (NAMED, 1));
    bench.hear("250 2.1.0 ok\r\n550 5.1.1 no\r\n");
    assert!(!bench.session.has_begun_content());
    bench.reports_writes = false;
    bench.hear("250 2.1.5 ok\r\n");
    assert!(bench.session.has_begun_content());
    assert_eq!((bench.sent().as_str(), bench.writes), (CHUNK, 2));
    bench.handle(Event::WriteDone);
    assert!(bench.session.has_begun_content());
    bench.hear("250 2.0.0 kept\r\n");
    assert_eq!(bench.summary(), ["rcpt 550", "250"]);
    assert!(bench.session.is_ready());
    // The connection is used again.
    bench.start(delivery(&["z@m.example"], "x\r\n"));
    assert_eq!(bench.sent(), "MAIL FROM:<a@c.example>\r\nRCPT TO:<z@m.example>\r\nDATA\r\n");
}

#[test]
fn without_pipelining_it_is_one_by_one() {
    let mut bench = Bench::ready(&["CHUNKING", "BINARYMIME"]);
    bench.start(binary(CONTENT));
    let mut sent = vec![bench.sent()];
    for reply in ["250 ok\r\n", "250 ok\r\n", "250 ok\r\n", "250 ok\r\n"] {
        bench.hear(reply);
        sent.push(bench.sent());
    }
    assert_eq!(sent.concat(), format!("{NAMED}{CHUNK}"));
    assert_eq!(bench.summary(), ["250", "250"]);
}

#[test]
fn text_goes_by_data_all_the_same() {
    let mut bench = Bench::ready(PIPELINED);
    bench.start(delivery(&TWO, "x\r\n"));
    assert_eq!(bench.sent(), GROUP);
}

/// Nothing is sent to a server that would not understand it.
#[test]
fn a_server_that_lacks_it() {
    for keywords in [&["PIPELINING", "CHUNKING"][..], &["BINARYMIME"], &["8BITMIME"]] {
        let mut bench = Bench::ready(keywords);
        bench.start(binary(CONTENT));
        assert_eq!(bench.summary(), ["unsupported 5.6.3", "unsupported 5.6.3"]);
        assert!(bench.sent().is_empty() && bench.session.is_ready());
    }
}

#[test]
fn refusals() {
    for (keywords, replies, summary) in [
        (PIPELINED, "550 no\r\n503 -\r\n503 -\r\n", ["mail 550", "mail 550"]),
        (PIPELINED, "250 ok\r\n550 a\r\n452 b\r\n", ["rcpt 550", "rcpt 452"]),
        (PIPELINED, "250 ok\r\n250 ok\r\n550 no\r\n552 5.3.4 big\r\n", ["content 552", "rcpt 550"]),
        (&PIPELINED[1..], "550 no\r\n", ["mail 550", "mail 550"]),
        (&PIPELINED[1..], "250 ok\r\n550 a\r\n452 b\r\n", ["rcpt 550", "rcpt 452"]),
        (&PIPELINED[1..], "250 ok\r\n250 ok\r\n250 ok\r\n451 later\r\n", ["content 451", "content 451"]),
    ] {
        let mut bench = Bench::ready(keywords);
        bench.start(binary(CONTENT));
        for reply in replies.split_inclusive("\r\n") {
            bench.hear(reply);
        }
        assert_eq!(bench.summary(), summary, "{replies:?}");
        // RFC 3030 2: a server may take a failed transaction for an open one.
        assert!(bench.sent().ends_with("RSET\r\n") && !bench.session.is_ready(), "{replies:?}");
        bench.hear("250 ok\r\n");
        assert!(bench.session.is_ready(), "{replies:?}");
    }
}

/// SEED-210.
#[test]
fn a_cut_connection_says_where() {
    let mut bench = Bench::ready(PIPELINED);
    bench.start(binary(CONTENT));
    bench.hear("250 ok\r\n250 ok\r\n250 ok\r\n");
    bench.handle(Event::Closed(Cut::Closed));
    let cut = "content: connection closed by peer while waiting for BDAT reply";
    assert_eq!(bench.summary(), [cut, cut]);
}

#[test]
fn a_premature_250_is_not_a_delivery() {
    let mut bench = Bench::ready(PIPELINED);
    bench.reports_writes = false;
    bench.start(binary(&"0123456789\n".repeat(60_000)));
    bench.hear("250 ok\r\n250 ok\r\n250 ok\r\n250 fine already\r\n");
    let early = "content: unexpected 250 reply while sending content";
    assert_eq!(bench.summary(), [early, early]);

    // However small it is.
    let mut bench = Bench::ready(PIPELINED);
    bench.start(binary(CONTENT));
    bench.hear("250 ok\r\n250 ok\r\n250 ok\r\n250 one too many\r\n");
    assert_eq!(bench.summary(), [early, early]);
}

/// Every pair of cut positions in what the server says gives the same results.
#[test]
fn cuts_are_invisible() {
    let rest = "250 ok\r\n550-5.1.1 no\r\n550 5.1.1 such\r\n250 ok\r\n";
    let run = |pieces: [&str; 3]| {
        let mut bench = Bench::ready(PIPELINED);
        bench.start(binary(CONTENT));
        for piece in pieces {
            bench.hear(piece);
        }
        bench.hear("250 2.0.0 kept\r\n");
        (bench.sent(), bench.actions)
    };
    let expected = run([rest, "", ""]);
    for first in 0..=rest.len() {
        for second in first..=rest.len() {
            let got = run([&rest[..first], &rest[first..second], &rest[second..]]);
            assert_eq!(got, expected, "cut at {first} and {second}");
        }
    }
}
