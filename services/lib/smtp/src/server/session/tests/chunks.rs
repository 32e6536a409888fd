//! BDAT (RFC 3030).

use super::*;

const NAMED: &str = "MAIL FROM:<a@c.example>\r\nRCPT TO:<b@own.example>\r\n";

/// Past RCPT, with messages of at most so many octets.
fn named(max_message_size: u64) -> Bench {
    let mut bench = Bench::new(SessionConfig { max_message_size, ..SessionConfig::default() });
    bench.say("EHLO c.example\r\n");
    bench.say(NAMED);
    bench
}

#[test]
fn chunks_are_taken_as_they_are() {
    let mut bench = Bench::ready();
    let group = format!("{NAMED}BDAT 5\r\nA: b\rBDAT 7\r\n\n\r\n.\r\n\0BDAT 0 LAST\r\nNOOP\r\n");
    let replies = ["250 2.1.0", "250 2.1.5", "250 2.0.0", "250 2.0.0", "250 2.0.0", "250 2.0.0"];
    assert_eq!(bench.say(&group), replies);
    assert_eq!(bench.stored[0].content.as_slice(), b"A: b\r\n\r\n.\r\n\0");
    assert_eq!(bench.say(NAMED), ["250 2.1.0", "250 2.1.5"]);
    assert_eq!(bench.say("BDAT 0 LAST\r\n"), ["250 2.0.0"]);
    assert!(bench.stored[1].content.is_empty());
    assert_eq!(bench.outcomes, [Outcome::Accepted, Outcome::Accepted]);
}

/// RFC 3030 2: the octets of what is refused are read away, and what follows is a command.
#[test]
fn a_chunk_out_of_order() {
    let quit = "BDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\n";
    let mut bench = Bench::new(SessionConfig::default());
    assert_eq!(bench.say(quit), ["503 5.5.1", "503 5.5.1"]);
    bench.say("EHLO c.example\r\n");
    assert_eq!(bench.say(quit), ["503 5.5.1", "503 5.5.1"]);
    bench.say("MAIL FROM:<a@c.example>\r\n");
    assert_eq!(bench.say(quit), ["503 5.5.1", "503 5.5.1"]);
    bench.say("RCPT TO:<refused@x.example>\r\n");
    assert_eq!(bench.say(quit), ["554 5.5.1", "554 5.5.1"]);
    assert!(!bench.closed && bench.stored.is_empty());
}

/// RFC 3030 4.2: a client may send all of them before it reads the first reply, and needs that one.
#[test]
fn chunks_behind_a_refused_one_are_no_further_errors() {
    let mut bench = named(10);
    let said = bench.say(&format!("BDAT 11\r\n12345678901{}NOOP\r\n", "BDAT 1\r\nx".repeat(50)));
    assert_eq!((said.len(), said[0].as_str(), said[50].as_str()), (52, "552 5.3.4", "503 5.5.1"));
    assert!(!bench.closed);
    let said = bench.say(&"BDAT 1\r\nx".repeat(50));
    assert_eq!(said.last().map(String::as_str), Some("421 4.7.0"), "here nothing was refused");
}

#[test]
fn what_may_stand_between_chunks() {
    let mut bench = named(0);
    assert_eq!(bench.say("BDAT 1\r\nx"), ["250 2.0.0"]);
    for line in ["DATA", "MAIL FROM:<a@c.example>", "RCPT TO:<b@own.example>", "STARTTLS"] {
        assert!(bench.say(&format!("{line}\r\n"))[0].starts_with("50"), "{line}");
    }
    assert_eq!(bench.say("NOOP\r\nRSET\r\nBDAT 4 LAST\r\nQUIT"), ["250 2.0.0", "250 2.0.0", "503 5.5.1"]);
    assert_eq!((&bench.outcomes[..], bench.stored.len()), (&[Outcome::Aborted][..], 0));
    bench.say(NAMED);
    bench.say("BDAT 1 LAST\r\ny");
    assert_eq!(bench.stored[0].content.as_slice(), b"y", "nothing is left of what was reset");
}

/// SEED-138: over all chunks, and with those that were pipelined behind.
#[test]
fn too_big_in_chunks() {
    let mut bench = named(10);
    let replies = bench.say("BDAT 6\r\n012345BDAT 5\r\n67890BDAT 4 LAST\r\nQUITNOOP\r\n");
    assert_eq!(replies, ["250 2.0.0", "552 5.3.4", "503 5.5.1", "250 2.0.0"]);
    assert_eq!((&bench.checks[..], &bench.outcomes[..]), (&["smtp.size"][..], &[Outcome::Rejected][..]));
    bench.say(NAMED);
    assert_eq!(bench.say("BDAT 10 LAST\r\n0123456789"), ["250 2.0.0"], "the limit itself is allowed");
}

/// Chunks that are refused take no memory, whatever size they have.
#[test]
fn a_chunk_that_is_far_too_big_is_read_away_in_no_room() {
    let mut bench = named(1000);
    assert!(bench.say(&format!("BDAT {}\r\n", 1 << 26)).is_empty());
    for _ in 0..(1 << 10) - 1 {
        assert!(bench.say_octets(&[b'x'; 1 << 16]).is_empty());
        let incoming = bench.session.content.as_mut().unwrap();
        assert_eq!(incoming.content.buffer().capacity(), 0);
    }
    assert_eq!(bench.say_octets(&[b'x'; 1 << 16]), ["552 5.3.4"]);
    assert_eq!(bench.say("NOOP\r\n"), ["250 2.0.0"]);
}

#[test]
fn a_chunk_without_end_ends_the_session() {
    for size in ["1073741825", "18446744073709551616", "99999999999999999999"] {
        for before in ["", NAMED] {
            let mut bench = Bench::new(SessionConfig { max_message_size: 1000, ..SessionConfig::default() });
            bench.say("EHLO c.example\r\n");
            bench.say(before);
            assert_eq!(bench.say(&format!("BDAT {size} LAST\r\nQUIT\r\n")), ["552 5.3.4"], "{size}");
            assert!(bench.closed);
        }
    }
}

/// Nobody knows where the next command would be.
#[test]
fn a_chunk_of_unknown_size_ends_the_session() {
    for argument in ["", " x", " 1 FIRST", " 999999999999999999999"] {
        let mut bench = named(0);
        assert_eq!(bench.say(&format!("BDAT{argument}\r\nQUIT\r\n")), ["501 5.5.4"], "{argument:?}");
        assert!(bench.closed);
    }
}

/// A next hop may get it by DATA.
#[test]
fn nothing_is_smuggled_in_chunks() {
    for content in ["\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "a\r", "a\n", "\r\r\n", "\0.\r\n", "a\r\n\0.\0"] {
        for cut in 0..=content.len() {
            let (first, second) = content.split_at(cut);
            let mut bench = named(0);
            let group =
                format!("BDAT {}\r\n{first}BDAT {} LAST\r\n{second}NOOP\r\n", first.len(), second.len());
            let replies = bench.say(&group);
            assert!(replies.contains(&"554 5.6.0".to_owned()), "{content:?}: {replies:?}");
            assert_eq!(replies.last().map(String::as_str), Some("250 2.0.0"));
            assert!(!bench.closed && bench.stored.is_empty(), "{content:?}");
            assert_eq!(
                (bench.checks[0], &bench.outcomes[..]),
                ("smtp.bare-newline", &[Outcome::Rejected][..])
            );
        }
    }
}

/// RFC 3030 3.
#[test]
fn a_binary_body_is_anything() {
    let mut bench = Bench::ready();
    let binary = "MAIL FROM:<a@c.example> BODY=BINARYMIME\r\nRCPT TO:<b@own.example>\r\n";
    assert_eq!(bench.say(&format!("{binary}DATA\r\n")), ["250 2.1.0", "250 2.1.5", "503 5.5.1"]);
    assert_eq!(bench.say("BDAT 7\r\nA: b\r\n\rBDAT 9 LAST\r\n\n\n.\r.\n\0\n\r"), ["250 2.0.0", "250 2.0.0"]);
    assert_eq!(bench.stored[0].content.as_slice(), b"A: b\r\n\r\n\n.\r.\n\0\n\r");
    assert_eq!(bench.stored[0].transfer.body, BodyKind::BinaryMime);
    // Its header is not.
    bench.say(binary);
    assert_eq!(bench.say("BDAT 14 LAST\r\nA: b\nB: c\r\n\r\nx"), ["554 5.6.0"]);
    // What was declared is gone with its transaction.
    bench.say(NAMED);
    assert_eq!(bench.say("DATA\r\n"), ["354"]);
}

/// SEED-141: as within DATA.
#[test]
fn time_is_short_for_chunks_too() {
    let mut bench = named(0);
    bench.say("BDAT 5\r\nab");
    assert_eq!(bench.pass(301), ["421 4.4.2"]);
    let mut bench = named(0);
    bench.say("BDAT 5\r\nabcde");
    assert_eq!(bench.pass(301), ["421 4.4.2"]);
    let mut bench = named(0);
    bench.say("BDAT 500000\r\n");
    let replies: Vec<String> = (0..12)
        .flat_map(|_| {
            bench.say("x");
            bench.pass(200)
        })
        .collect();
    assert_eq!(replies, ["421 4.4.2"], "octet by octet");
    assert!(bench.closed && bench.stored.is_empty());
}

/// A message whose content comes in is waited for; one that was refused is not.
#[test]
fn draining_waits_for_the_last_chunk() {
    let mut bench = named(0);
    bench.say("BDAT 2\r\na");
    bench.handle(Event::Draining);
    assert_eq!(bench.say("bBDAT 1 LAST\r\nc"), ["250 2.0.0", "250 2.0.0", "421 4.3.2"]);
    assert_eq!((bench.stored.len(), bench.closed), (1, true));
    let mut bench = Bench::ready();
    bench.say("BDAT 2\r\na");
    bench.writes.clear();
    bench.handle(Event::Draining);
    assert_eq!(bench.codes(), ["421 4.3.2"]);
}

/// Every pair of cut positions gives the same replies, the same message and the same end.
#[test]
fn cuts_are_invisible() {
    let whole = "EHLO c\r\nBDAT 3\r\nab\nMAIL FROM:<a@c.example>\r\nRCPT TO:<b@own.example>\r\nBDAT 4\r\n.\r\n\r\
                 BDAT 0\r\nNOOP\r\nBDAT 2 LAST\r\n\nxBDAT 1\r\n.QUIT\r\n";
    let run = |pieces: [&str; 3]| {
        let mut bench = Bench::new(SessionConfig::default());
        for piece in pieces {
            bench.handle(Event::Input(piece.as_bytes()));
        }
        (bench.writes.concat(), bench.stored, bench.checks, bench.closed)
    };
    let expected = run([whole, "", ""]);
    assert!(expected.3);
    assert_eq!(expected.1[0].content.as_slice(), b".\r\n\r\nx");
    for first in 0..=whole.len() {
        for second in first..=whole.len() {
            let got = run([&whole[..first], &whole[first..second], &whole[second..]]);
            assert_eq!(got, expected, "cut at {first} and {second}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// However content is cut into chunks, and those into reads, it arrives as it was.
    #[test]
    fn any_chunks_make_the_same_message(
        lines in prop::collection::vec("[.a-c]{0,6}", 0..12),
        sizes in prop::collection::vec(0_usize..9, 0..12),
        cut in 1_usize..40,
    ) {
        let content: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        let (mut rest, mut wire) = (&content[..], String::new());
        for size in sizes {
            let (chunk, behind) = rest.split_at(size.min(rest.len()));
            wire += &format!("BDAT {}\r\n{chunk}", chunk.len());
            rest = behind;
        }
        wire += &format!("BDAT {} LAST\r\n{rest}", rest.len());
        let mut bench = named(0);
        for piece in wire.as_bytes().chunks(cut) {
            bench.handle(Event::Input(piece));
        }
        prop_assert_eq!(bench.stored.len(), 1);
        prop_assert_eq!(bench.stored[0].content.as_slice(), content.as_bytes());
        prop_assert!(bench.checks.is_empty());
    }
}
