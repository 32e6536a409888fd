use std::time::Duration;

use hikyaku_types::{
    envelope::{BodyKind, Transfer},
    outcome::Phase,
    reply::EnhancedCode,
    reporting::Reporting,
};
use proptest::prelude::*;

use super::*;
use crate::client::{Cut, DeliveryRecipient, FailureKind, SessionFailure, StartTls, Timeouts};

mod chunks;
mod cuts;
mod ends;
mod opening;
mod questions;
mod timing;

#[expect(clippy::disallowed_methods, reason = "a test needs one instant to start from")]
fn start() -> Instant {
    Instant::now()
}

/// A session whose writes are done as soon as they are handed out.
struct Bench {
    session: ClientSession,
    now: Instant,
    sent: String,
    writes: usize,
    /// Of each write, what it is.
    parts: Vec<Part>,
    /// Everything but writes.
    actions: Vec<Action>,
    /// Report writes at once; otherwise the test does.
    reports_writes: bool,
}

fn to(address: &str) -> DeliveryRecipient {
    DeliveryRecipient { address: address.parse().unwrap(), reporting: Reporting::default() }
}

fn delivery(recipients: &[&str], content: &str) -> Delivery {
    Delivery {
        reverse_path: "a@c.example".parse().unwrap(),
        recipients: recipients.iter().map(|recipient| to(recipient)).collect(),
        transfer: Transfer { body: BodyKind::EightBitMime, ..Transfer::PLAIN },
        content: vec![Bytes::copy_from_slice(content.as_bytes())],
        size: content.len() as u64,
    }
}

impl Bench {
    fn new() -> Self {
        Self::with(|_| {})
    }

    /// In the clear and without a login, unless `change` says so.
    fn with(change: impl FnOnce(&mut ClientConfig)) -> Self {
        let now = start();
        let mut config = ClientConfig {
            helo_name: "gw.example".into(),
            is_secure: false,
            starttls: StartTls::Never,
            login: None,
            timeouts: Timeouts::default(),
        };
        change(&mut config);
        let session = ClientSession::new(config, now);
        let (sent, parts, actions) = (String::new(), Vec::new(), Vec::new());
        Self { session, now, sent, writes: 0, parts, actions, reports_writes: true }
    }

    /// Past EHLO, with these keywords.
    fn ready(keywords: &[&str]) -> Self {
        let mut bench = Self::new();
        bench.hear("220 mx.example ESMTP\r\n");
        let mut lines = vec!["mx.example"];
        lines.extend(keywords);
        let last = lines.pop().unwrap_or_default();
        let offer: String = lines.iter().map(|line| format!("250-{line}\r\n")).collect();
        bench.hear(&format!("{offer}250 {last}\r\n"));
        assert!(bench.session.is_ready());
        bench.sent.clear();
        bench.writes = 0;
        bench.actions.clear();
        bench
    }

    fn start(&mut self, delivery: Delivery) {
        self.session.start(delivery, self.now).unwrap();
        self.drive();
    }

    fn handle(&mut self, event: Event<'_>) {
        self.session.handle(event, self.now);
        self.drive();
    }

    fn hear(&mut self, text: &str) {
        self.handle(Event::Input(text.as_bytes()));
    }

    fn drive(&mut self) {
        while let Some(action) = self.session.next_action() {
            assert_ne!(self.actions.last(), Some(&Action::Close), "{action:?}");
            if let Action::Write(octets, part) = action {
                self.parts.push(part);
                self.sent += str::from_utf8(&octets).unwrap();
                self.writes += 1;
                if self.reports_writes {
                    self.session.handle(Event::WriteDone, self.now);
                }
            } else {
                self.actions.push(action);
            }
        }
    }

    fn sent(&mut self) -> String {
        std::mem::take(&mut self.sent)
    }

    fn results(&mut self) -> Vec<RecipientResult> {
        let done = self.actions.iter().find_map(|action| match action {
            Action::Done(result) => Some(result.recipients.clone()),
            Action::Write(..) | Action::StartTls | Action::Ready | Action::Failed(_) | Action::Close => None,
        });
        done.expect("the delivery is not done")
    }

    /// Results in a form that is short to write: `250`, `rcpt 550`, `mail: words`.
    fn summary(&mut self) -> Vec<String> {
        self.results()
            .into_iter()
            .map(|result| match result {
                RecipientResult::Accepted(reply) => reply.code.to_string(),
                RecipientResult::Refused { phase, reply } => format!("{} {}", phase.name(), reply.code),
                RecipientResult::NoReply { phase, what, .. } => format!("{}: {what}", phase.name()),
                RecipientResult::Unsupported { status, .. } => format!("unsupported {status}"),
            })
            .collect()
    }

    fn failure(&self) -> &SessionFailure {
        match &self.actions[..] {
            [Action::Failed(failure), Action::Close] => failure,
            actions => panic!("{actions:?}"),
        }
    }
}

const GROUP: &str = "MAIL FROM:<a@c.example>\r\nRCPT TO:<x@m.example>\r\nRCPT TO:<y@m.example>\r\nDATA\r\n";
const TWO: [&str; 2] = ["x@m.example", "y@m.example"];

/// RFC 3461 5.2.1: with and without pipelining, and nowhere where it is not offered.
#[test]
fn what_was_asked_for_stands_with_its_own_recipient() {
    let asking = || {
        let mut delivery = delivery(&TWO, "x\r\n");
        delivery.transfer.envelope_id = "QQ1".parse().ok();
        delivery.recipients[1].reporting.notify = "SUCCESS".parse().ok();
        delivery.recipients[1].reporting.original_recipient = "rfc822;z@far.example".parse().ok();
        delivery
    };
    let parameters = " NOTIFY=SUCCESS ORCPT=rfc822;z@far.example";
    for (keywords, of_mail, of_second) in [
        (&["PIPELINING", "DSN"][..], " ENVID=QQ1", parameters),
        (&["DSN"], " ENVID=QQ1", parameters),
        (&["SIZES"], "", ""),
    ] {
        let mut bench = Bench::ready(keywords);
        bench.start(asking());
        bench.hear("250 ok\r\n250 ok\r\n");
        bench.hear("250 ok\r\n");
        let expected = format!(
            "MAIL FROM:<a@c.example>{of_mail}\r\nRCPT TO:<x@m.example>\r\n\
             RCPT TO:<y@m.example>{of_second}\r\nDATA\r\n"
        );
        assert_eq!(bench.sent(), expected);
    }
}

#[test]
fn a_pipelined_delivery_takes_two_writes() {
    let mut bench = Bench::ready(&["PIPELINING"]);
    bench.start(delivery(&TWO, "Subject: x\r\n\r\n.y\r\n"));
    assert_eq!((bench.sent().as_str(), bench.writes), (GROUP, 1));
    bench.hear("250 2.1.0 ok\r\n250 2.1.5 ok\r\n250 2.1.5 ok\r\n354 go\r\n");
    assert_eq!((bench.sent().as_str(), bench.writes), ("Subject: x\r\n\r\n..y\r\n.\r\n", 2));
    bench.hear("250 2.0.0 kept as 1\r\n");
    assert_eq!(bench.summary(), ["250", "250"]);
    let reply = RawReply { code: 250, enhanced: Some(EnhancedCode(2, 0, 0)), text: "kept as 1".into() };
    assert_eq!(bench.results()[0], RecipientResult::Accepted(reply));
    assert!(bench.session.is_ready());

    // The connection is used again, without RSET.
    bench.actions.clear();
    bench.start(delivery(&["z@m.example"], "x\r\n"));
    assert_eq!(bench.sent(), "MAIL FROM:<a@c.example>\r\nRCPT TO:<z@m.example>\r\nDATA\r\n");
}

#[test]
fn without_pipelining_it_is_one_by_one() {
    let mut bench = Bench::ready(&["8BITMIME", "SIZE 1000"]);
    bench.start(delivery(&TWO, "x"));
    for (reply, next) in [
        ("250 ok\r\n", "RCPT TO:<x@m.example>\r\n"),
        ("550 5.1.1 no\r\n", "RCPT TO:<y@m.example>\r\n"),
        ("250 ok\r\n", "DATA\r\n"),
        ("354 go\r\n", "x\r\n.\r\n"),
        ("250 ok\r\n", ""),
    ] {
        if next == "RCPT TO:<x@m.example>\r\n" {
            assert_eq!(bench.sent(), "MAIL FROM:<a@c.example> SIZE=1 BODY=8BITMIME\r\n");
        }
        bench.hear(reply);
        assert_eq!(bench.sent(), next);
    }
    assert_eq!(bench.summary(), ["rcpt 550", "250"]);
}

#[test]
fn a_server_that_only_knows_helo() {
    let mut bench = Bench::new();
    bench.hear("220 old.example SMTP\r\n");
    assert_eq!(bench.sent(), "EHLO gw.example\r\n");
    bench.hear("502 what?\r\n");
    assert_eq!(bench.sent(), "HELO gw.example\r\n");
    bench.hear("250 old.example\r\n");
    assert_eq!(bench.actions, [Action::Ready]);
    bench.start(delivery(&["x@m.example"], "x\r\n"));
    assert_eq!(bench.sent(), "MAIL FROM:<a@c.example>\r\n");
}

/// Which replies to a pipelined group give which results, and what is said next.
#[test]
fn pipelined_refusals() {
    let reset = "RSET\r\n";
    for (replies, summary, next) in [
        ("550 no\r\n503 -\r\n503 -\r\n503 -\r\n", ["mail 550", "mail 550"], reset),
        ("451 later\r\n503 -\r\n503 -\r\n554 -\r\n", ["mail 451", "mail 451"], reset),
        ("250 ok\r\n550 a\r\n452 b\r\n554 none\r\n", ["rcpt 550", "rcpt 452"], reset),
        ("250 ok\r\n250 ok\r\n452 b\r\n451 not now\r\n", ["content 451", "rcpt 452"], reset),
        // RFC 2920 3.1: a server that wants content for nobody gets an empty one.
        ("250 ok\r\n550 a\r\n550 b\r\n354 go\r\n", ["rcpt 550", "rcpt 550"], ".\r\n"),
        ("550 no\r\n250 ok\r\n250 ok\r\n354 go\r\n", ["mail 550", "mail 550"], ".\r\n"),
    ] {
        let mut bench = Bench::ready(&["PIPELINING"]);
        bench.start(delivery(&TWO, "x\r\n"));
        bench.sent();
        bench.hear(replies);
        assert_eq!(bench.sent(), next, "{replies:?}");
        assert!(!bench.session.is_ready());
        bench.hear("250 ok\r\n");
        assert_eq!(bench.summary(), summary, "{replies:?}");
        assert!(bench.session.is_ready(), "{replies:?}");
    }
}

#[test]
fn the_final_reply_is_for_all_that_were_accepted() {
    let mut bench = Bench::ready(&["PIPELINING"]);
    bench.start(delivery(&TWO, "x\r\n"));
    bench.hear("250 ok\r\n250 ok\r\n550 no\r\n354 go\r\n");
    bench.hear("554 5.6.0 spam\r\n");
    assert_eq!(bench.summary(), ["content 554", "rcpt 550"]);
    assert!(bench.session.is_ready());
}

#[test]
fn a_421_is_a_reply_and_the_end() {
    for (replies, summary) in [
        ("421 4.7.0 go away\r\n", ["mail 421", "mail 421"]),
        ("250 ok\r\n550 no\r\n421 bye\r\n", ["rcpt 550", "rcpt 421"]),
        ("250 ok\r\n250 ok\r\n421 bye\r\n", ["rcpt 421", "rcpt 421"]),
        ("250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n421 bye\r\n", ["content 421", "content 421"]),
    ] {
        let mut bench = Bench::ready(&["PIPELINING"]);
        bench.start(delivery(&TWO, "x\r\n"));
        bench.hear(replies);
        assert_eq!(bench.summary(), summary, "{replies:?}");
        assert_eq!(bench.actions.last(), Some(&Action::Close));
    }
}

/// SEED-210: the step at which the peer fell silent, in words.
#[test]
fn a_cut_connection_says_where() {
    for (replies, summary) in [
        ("", "mail: connection closed by peer while waiting for MAIL reply"),
        ("250 ok\r\n", "rcpt: connection closed by peer while waiting for RCPT reply"),
        ("250 ok\r\n250 ok\r\n", "content: connection closed by peer while waiting for DATA reply"),
        (
            "250 ok\r\n250 ok\r\n354 go\r\n",
            "content: connection closed by peer while waiting for the reply to the final dot",
        ),
    ] {
        let mut bench = Bench::ready(&["PIPELINING"]);
        bench.start(delivery(&["x@m.example"], "x\r\n"));
        bench.hear(replies);
        bench.handle(Event::Closed(Cut::Closed));
        assert_eq!(bench.summary(), [summary]);
        assert_eq!(bench.actions.last(), Some(&Action::Close));
    }
}

/// A result that was given is not taken back by what happens later.
#[test]
fn a_cut_leaves_given_results_alone() {
    let mut bench = Bench::ready(&["PIPELINING"]);
    bench.start(delivery(&TWO, "x\r\n"));
    bench.hear("250 ok\r\n550 no\r\n");
    bench.handle(Event::Closed(Cut::Os(Some(104), "connection reset by peer".to_owned())));
    let cut = "rcpt: connection reset by peer while waiting for RCPT reply";
    assert_eq!(bench.summary(), ["rcpt 550", cut]);
}

/// A 250 that comes before the content is complete is no promise.
#[test]
fn a_premature_250_is_not_a_delivery() {
    let mut bench = Bench::ready(&["PIPELINING"]);
    bench.reports_writes = false;
    bench.start(delivery(&["x@m.example"], &"0123456789abcdef\r\n".repeat(40_000)));
    bench.hear("250 ok\r\n250 ok\r\n354 go\r\n250 fine already\r\n");
    assert_eq!(bench.summary(), ["content: unexpected 250 reply while sending content"]);
}

#[test]
fn a_refusal_within_the_content_ends_the_session() {
    let mut bench = Bench::ready(&["PIPELINING"]);
    bench.reports_writes = false;
    bench.start(delivery(&["x@m.example"], &"0123456789abcdef\r\n".repeat(40_000)));
    bench.hear("250 ok\r\n250 ok\r\n354 go\r\n552 5.3.4 too big\r\n");
    assert_eq!(bench.summary(), ["content 552"]);
    assert_eq!(bench.actions.last(), Some(&Action::Close));
}

#[test]
fn nonsense_is_not_a_reply() {
    for (nonsense, words) in [
        ("hello\r\n", "mail: reply line does not begin with a reply code while waiting for MAIL reply"),
        ("354 go\r\n", "mail: unexpected 354 reply while waiting for MAIL reply"),
    ] {
        let mut bench = Bench::ready(&["PIPELINING"]);
        bench.start(delivery(&["x@m.example"], "x\r\n"));
        bench.hear(nonsense);
        assert_eq!(bench.summary(), [words]);
    }
}

#[test]
fn what_the_server_lacks_is_known_before_anything_is_sent() {
    let mut bench = Bench::ready(&["SIZE 2"]);
    bench.start(delivery(&["x@m.example"], "xyz\r\n"));
    assert_eq!(bench.summary(), ["unsupported 5.3.4"]);
    bench.actions.clear();
    bench.start(delivery(&["用户@m.example"], ""));
    assert_eq!(bench.summary(), ["unsupported 5.6.7"]);
    assert!(bench.sent().is_empty() && bench.session.is_ready());
}

/// Every pair of cut positions in what the server says gives the same results.
#[test]
fn cuts_are_invisible() {
    let whole = "220-a\r\n220 b\r\n250-m\r\n250 PIPELINING\r\n";
    let rest = "250 ok\r\n550-5.1.1 no\r\n550 5.1.1 such\r\n250 ok\r\n354 go\r\n";
    let run = |pieces: [&str; 3]| {
        let mut bench = Bench::new();
        bench.hear(whole);
        bench.start(delivery(&TWO, "x\r\n"));
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Whatever a server says, each recipient has one result, and none is delivered unless as
    /// many 2yz came as that takes.
    #[test]
    fn any_server_is_survived(
        replies in prop::collection::vec(
            prop_oneof![
                4 => Just("250 ok\r\n"), 2 => Just("354 go\r\n"), 1 => Just("550 no\r\n"),
                1 => Just("451 later\r\n"), 1 => Just("421 bye\r\n"), 1 => Just("what\r\n"),
            ],
            0..10,
        ),
        pipelined: bool,
        binary: bool,
    ) {
        let first = if pipelined { "PIPELINING" } else { "HELP" };
        let mut bench = Bench::ready(&[first, "CHUNKING", "BINARYMIME"]);
        let mut delivery = delivery(&TWO, "x\r\n");
        if binary {
            delivery.transfer.body = BodyKind::BinaryMime;
        }
        bench.start(delivery);
        for reply in &replies {
            bench.hear(reply);
        }
        bench.handle(Event::Closed(Cut::Closed));
        let summary = bench.summary();
        prop_assert_eq!(summary.len(), 2);
        if summary.iter().any(|result| result == "250") {
            prop_assert!(replies.iter().filter(|reply| reply.starts_with("250")).count() >= 3);
            prop_assert!(binary || replies.contains(&"354 go\r\n"));
        }
    }
}
