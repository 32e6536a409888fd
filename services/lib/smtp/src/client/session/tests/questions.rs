use super::*;

fn asking(keywords: &[&str]) -> Bench {
    let mut bench = Bench::ready(keywords);
    bench.session.ask("x@m.example".parse().unwrap(), bench.now).unwrap();
    bench.drive();
    bench
}

/// SEED-064: nothing is handed over, with PIPELINING neither.
#[test]
fn seed_064_a_question_ends_before_data() {
    for (reply, result) in
        [("250 ok\r\n", "250"), ("550 5.1.1 no\r\n", "rcpt 550"), ("451 4.7.1 later\r\n", "rcpt 451")]
    {
        let mut bench = asking(&["PIPELINING"]);
        assert_eq!(bench.sent(), "MAIL FROM:<>\r\n");
        bench.hear("250 ok\r\n");
        assert_eq!(bench.sent(), "RCPT TO:<x@m.example>\r\n");
        bench.hear(reply);
        assert_eq!(bench.sent(), "RSET\r\n");
        assert_eq!(bench.summary(), [result]);
        assert!(!bench.session.is_ready(), "only when RSET was answered");
        bench.hear("250 ok\r\n");
        assert!(bench.session.is_ready());

        // The next is a message again.
        bench.actions.clear();
        bench.start(delivery(&["z@m.example"], "x\r\n"));
        assert_eq!(bench.sent(), "MAIL FROM:<a@c.example>\r\nRCPT TO:<z@m.example>\r\nDATA\r\n");
    }
}

#[test]
fn a_question_without_an_answer_says_where_it_was_lost() {
    for (replies, result) in [
        ("550 5.7.1 no null sender\r\n", "mail 550"),
        ("250 ok\r\n421 bye\r\n", "rcpt 421"),
        ("250 ok\r\n354 go\r\n", "rcpt: unexpected 354 reply while waiting for RCPT reply"),
    ] {
        let mut bench = asking(&[]);
        bench.hear(replies);
        assert_eq!(bench.summary(), [result]);
    }
    let mut bench = asking(&[]);
    bench.handle(Event::Closed(Cut::Closed));
    assert_eq!(bench.summary(), ["mail: connection closed by peer while waiting for MAIL reply"]);
}

#[test]
fn a_question_needs_what_its_address_needs() {
    let mut bench = Bench::ready(&[]);
    bench.session.ask("用户@m.example".parse().unwrap(), bench.now).unwrap();
    bench.drive();
    assert_eq!(bench.summary(), ["unsupported 5.6.7"]);
    assert!(bench.session.is_ready());
}
