use std::time::Duration;

use hikyaku_types::{envelope::Transfer, reply::EnhancedCode};
use proptest::prelude::*;

use super::*;
use crate::server::{AuthConfig, AuthOutcome, Mechanism, Outcome};

mod auth;
mod chunks;
mod limits;
mod tls;
mod xclient;

#[expect(clippy::disallowed_methods, reason = "a test needs one instant to start from")]
fn start() -> Instant {
    Instant::now()
}

/// A session with a driver that answers at once: `refused@` is refused, `later@` deferred,
/// everything else accepted and stored.
struct Bench {
    session: Session,
    now: Instant,
    /// What the client saw, one item for each write.
    writes: Vec<String>,
    stored: Vec<Transaction>,
    checks: Vec<&'static str>,
    outcomes: Vec<Outcome>,
    exchanges: Vec<(Mechanism, AuthOutcome)>,
    /// What was said in the clear is still in `writes` then.
    handshakes: usize,
    pauses: usize,
    heard: Vec<String>,
    adopted: Vec<Option<NamedAddress>>,
    closed: bool,
}

fn refuse(code: u16, enhanced: EnhancedCode) -> Reply {
    Reply::new(code, Some(enhanced), "no")
}

fn queue_id() -> QueueId {
    QueueId::new(1, 1)
}

impl Bench {
    fn unconnected(config: SessionConfig) -> Self {
        let now = start();
        Self {
            session: Session::new(Arc::new(config), false, || [7; 18], now),
            now,
            writes: Vec::new(),
            stored: Vec::new(),
            checks: Vec::new(),
            outcomes: Vec::new(),
            exchanges: Vec::new(),
            handshakes: 0,
            pauses: 0,
            heard: Vec::new(),
            adopted: Vec::new(),
            closed: false,
        }
    }

    fn new(config: SessionConfig) -> Self {
        let mut bench = Self::unconnected(config);
        bench.handle(Event::Connected(Verdict::Accept(())));
        bench.writes.clear();
        bench
    }

    /// A bench that is past EHLO.
    fn ready() -> Self {
        let mut bench = Self::new(SessionConfig::default());
        bench.say("EHLO c.example\r\n");
        bench
    }

    fn handle(&mut self, event: Event<'_>) {
        self.session.handle(event, self.now);
        self.drive();
    }

    fn drive(&mut self) {
        while let Some(action) = self.session.next_action() {
            assert!(!self.closed, "an action after close: {action:?}");
            match action {
                Action::Write(octets) => self.writes.push(String::from_utf8(octets.to_vec()).unwrap()),
                Action::Ask(question) => self.answer(question),
                Action::Store(transaction) => {
                    self.stored.push(*transaction);
                    self.session.handle(Event::Stored(Stored::Durable(queue_id())), self.now);
                }
                Action::Refused { refusal, .. } => self.checks.push(refusal.check),
                Action::Ended(outcome) => self.outcomes.push(outcome),
                Action::AuthEnded { mechanism, outcome } => self.exchanges.push((mechanism, outcome)),
                Action::StartTls => {
                    assert!(!self.session.wants_input());
                    self.handshakes += 1;
                    self.session.handle(Event::Secured, self.now);
                }
                Action::Pause => self.pauses += 1,
                Action::Heard(line) => self.heard.push(line),
                Action::Adopt(named) => {
                    self.adopted.push(named);
                    self.session.handle(Event::Connected(Verdict::Accept(())), self.now);
                }
                Action::Close => self.closed = true,
            }
        }
    }

    fn answer(&mut self, question: Question) {
        assert!(!self.session.wants_input());
        let verdict = |path: &str| {
            if path.starts_with("refused@") {
                Some(refuse(550, EnhancedCode(5, 7, 1)))
            } else if path.starts_with("later@") {
                Some(refuse(451, EnhancedCode(4, 3, 0)))
            } else {
                None
            }
        };
        let event = match question {
            Question::Authenticate { step, .. } => Event::AuthAnswered(auth::answer(step)),
            Question::Sender { reverse_path } => Event::SenderAnswered(
                verdict(&reverse_path.to_string()).map_or(Verdict::Accept(()), Verdict::Refuse),
            ),
            Question::Recipient { forward_path, .. } => {
                let accepted = AcceptedRecipient {
                    forward_path: forward_path.clone(),
                    deliver_to: "to@own.example".parse().unwrap(),
                    destination: "own.example".parse().unwrap(),
                };
                Event::RecipientAnswered(
                    verdict(&forward_path.to_string()).map_or(Verdict::Accept(accepted), Verdict::Refuse),
                )
            }
        };
        self.session.handle(event, self.now);
    }

    /// Sends and returns the codes of all replies, last lines only.
    fn say(&mut self, text: &str) -> Vec<String> {
        self.say_octets(text.as_bytes())
    }

    fn say_octets(&mut self, octets: &[u8]) -> Vec<String> {
        self.writes.clear();
        self.handle(Event::Input(octets));
        self.codes()
    }

    fn codes(&self) -> Vec<String> {
        let all = self.writes.concat();
        let last_lines = all.lines().filter(|line| line.as_bytes().get(3) == Some(&b' '));
        last_lines
            .map(|line| {
                let enhanced =
                    line[4..].split(' ').next().filter(|word| word.parse::<EnhancedCode>().is_ok());
                enhanced.map_or(line[..3].to_owned(), |word| format!("{} {word}", &line[..3]))
            })
            .collect()
    }

    fn pass(&mut self, seconds: u64) -> Vec<String> {
        self.writes.clear();
        self.now += Duration::from_secs(seconds);
        while self.session.next_deadline().is_some_and(|deadline| deadline <= self.now) && !self.closed {
            self.handle(Event::TimedOut);
        }
        self.codes()
    }
}

const TRANSACTION: &str = "MAIL FROM:<a@c.example>\r\nRCPT TO:<b@own.example>\r\nDATA\r\n";

#[test]
fn a_pipelined_group_is_answered_by_one_write() {
    let mut bench = Bench::ready();
    assert_eq!(bench.say(TRANSACTION), ["250 2.1.0", "250 2.1.5", "354"]);
    assert_eq!(bench.writes.len(), 1);
    assert_eq!(bench.say("Subject: x\r\n\r\n..y\r\n.\r\nQUIT\r\n"), ["250 2.0.0", "221 2.0.0"]);
    assert_eq!(bench.writes.len(), 1);
    assert!(bench.writes[0].starts_with(&format!("250 2.0.0 {}\r\n", queue_id())));
    assert!(bench.closed);

    let transaction = bench.stored.remove(0);
    assert_eq!(transaction.content.as_slice(), b"Subject: x\r\n\r\n.y\r\n");
    assert_eq!(transaction.client_name, "c.example");
    assert_eq!(transaction.protocol, Protocol::Esmtp);
    assert_eq!(transaction.recipients.len(), 1);
    assert_eq!(bench.outcomes, [Outcome::Accepted]);
}

/// RFC 5321 4.1.4, and nothing of one transaction is left in the next.
#[test]
fn transactions_do_not_mix() {
    let mut bench = Bench::ready();
    bench.say("MAIL FROM:<one@c.example> BODY=8BITMIME\r\nRCPT TO:<one@own.example>\r\nRSET\r\n");
    bench.say(TRANSACTION);
    bench.say("x\r\n.\r\n");
    bench.say(TRANSACTION);
    bench.say("y\r\n.\r\n");
    assert_eq!(bench.stored.len(), 2);
    for transaction in &bench.stored {
        assert_eq!(transaction.recipients.len(), 1);
        assert_eq!(transaction.recipients[0].accepted.forward_path, "b@own.example".parse().unwrap());
        assert_eq!(transaction.transfer, Transfer::PLAIN);
    }
    assert_eq!(bench.outcomes, [Outcome::Aborted, Outcome::Accepted, Outcome::Accepted]);
}

/// RFC 3461: what was asked for belongs to its own recipient, also when one between is refused.
#[test]
fn each_recipient_keeps_what_was_asked_for() {
    let mut bench = Bench::ready();
    bench.say(
        "MAIL FROM:<a@c.example> RET=HDRS ENVID=x+2By\r\nRCPT TO:<b@own.example> NOTIFY=NEVER\r\n\
         RCPT TO:<refused@x.example> NOTIFY=DELAY\r\nRCPT TO:<c@own.example>\r\n\
         RCPT TO:<d@own.example> ORCPT=rfc822;e@own.example\r\nDATA\r\nx\r\n.\r\n",
    );
    let transaction = bench.stored.remove(0);
    assert_eq!(transaction.transfer.ret, "HDRS".parse().ok());
    assert_eq!(transaction.transfer.envelope_id, "x+2By".parse().ok());
    let asked: Vec<_> = transaction
        .recipients
        .into_iter()
        .map(|recipient| (recipient.reporting.notify, recipient.reporting.original_recipient))
        .collect();
    let expected = [("NEVER".parse().ok(), None), (None, None), (None, "rfc822;e@own.example".parse().ok())];
    assert_eq!(asked, expected);
    bench.say(TRANSACTION);
    bench.say("y\r\n.\r\n");
    assert_eq!(bench.stored[0].transfer, Transfer::PLAIN, "nothing is left for the next one");
}

/// Every pair of cut positions gives the same replies, the same message and the same end.
#[test]
fn cuts_are_invisible() {
    let whole = "EHLO c\r\nMAIL FROM:<a@c.example>\r\nRCPT TO:<refused@x.example>\r\nRCPT TO:<b@own.example>\r\n\
                 DATA\r\n..x\r\n.\r\nNOPE\r\nQUIT\r\n";
    let run = |pieces: [&str; 3]| {
        let mut bench = Bench::new(SessionConfig::default());
        for piece in pieces {
            bench.handle(Event::Input(piece.as_bytes()));
        }
        (bench.writes.concat(), bench.stored, bench.checks, bench.closed)
    };
    let expected = run([whole, "", ""]);
    assert!(expected.3);
    for first in 0..=whole.len() {
        for second in first..=whole.len() {
            let got = run([&whole[..first], &whole[first..second], &whole[second..]]);
            assert_eq!(got, expected, "cut at {first} and {second}");
        }
    }
}

#[test]
fn a_question_holds_back_what_follows() {
    let mut bench = Bench::ready();
    bench.session.handle(Event::Input(b"MAIL FROM:<a@c.example>\r\nNOOP\r\n"), bench.now);
    assert!(matches!(bench.session.next_action(), Some(Action::Ask(Question::Sender { .. }))));
    assert!(bench.session.next_action().is_none());
    assert!(!bench.session.wants_input());
    assert_eq!(bench.session.next_deadline(), None, "our own time is not the client's");
    bench.writes.clear();
    bench.handle(Event::SenderAnswered(Verdict::Accept(())));
    assert_eq!(bench.codes(), ["250 2.1.0", "250 2.0.0"]);
}

#[test]
fn data_without_recipients() {
    let mut bench = Bench::ready();
    assert_eq!(bench.say("MAIL FROM:<a@c.example>\r\nDATA\r\n"), ["250 2.1.0", "503 5.5.1"]);
    assert_eq!(bench.say("RCPT TO:<refused@x.example>\r\nDATA\r\n"), ["550 5.7.1", "554 5.5.1"]);
    bench.say("QUIT\r\n");
    assert_eq!(bench.outcomes, [Outcome::Rejected]);
}

#[test]
fn a_refused_sender_may_be_followed_by_another() {
    let mut bench = Bench::ready();
    assert_eq!(bench.say("MAIL FROM:<refused@c.example>\r\n"), ["550 5.7.1"]);
    assert_eq!(bench.say("MAIL FROM:<later@c.example>\r\n"), ["451 4.3.0"]);
    assert_eq!(
        bench.say("MAIL FROM:<a@c.example>\r\nMAIL FROM:<b@c.example>\r\n"),
        ["250 2.1.0", "503 5.5.1"]
    );
    assert_eq!(bench.outcomes, [Outcome::Rejected, Outcome::Deferred]);
}

/// The smuggled commands behind a bare line end are never seen, whichever shape it has.
#[test]
fn nothing_is_smuggled_behind_a_bare_line_end() {
    for end in [
        "\n.\n",
        "\n.\r\n",
        "\r\n.\n",
        "\r.\r",
        "\r.\r\n",
        "\r\n.\r",
        "\r\n.\r\r\n",
        "\r\n\x00.\n",
        "\r\n\x00.\r\n",
    ] {
        let mut bench = Bench::ready();
        bench.say(TRANSACTION);
        let smuggled = format!("x{end}{TRANSACTION}forged\r\n.\r\n");
        assert_eq!(bench.say(&smuggled), ["554 5.6.0"], "{end:?}");
        assert!(bench.closed && bench.stored.is_empty(), "{end:?}");
        assert_eq!((bench.checks, bench.outcomes), (vec!["smtp.bare-newline"], vec![Outcome::Rejected]));
    }
    let mut bench = Bench::ready();
    assert_eq!(bench.say("NOOP\nQUIT\r\n"), ["500 5.5.2"]);
    assert!(bench.closed);
}

/// RFC 5321 3.1.
#[test]
fn a_client_that_is_turned_away_may_only_quit() {
    let mut bench = Bench::unconnected(SessionConfig::default());
    bench.handle(Event::Connected(Verdict::Refuse(refuse(554, EnhancedCode(5, 7, 1)))));
    assert_eq!(bench.codes(), ["554 5.7.1"]);
    assert_eq!(bench.say("EHLO c\r\nMAIL FROM:<>\r\n"), ["503 5.5.1", "503 5.5.1"]);
    assert_eq!(bench.say("QUIT\r\n"), ["221 2.0.0"]);
    assert!(bench.closed);

    let mut bench = Bench::unconnected(SessionConfig::default());
    bench.handle(Event::Connected(Verdict::Refuse(refuse(421, EnhancedCode(4, 3, 2)))));
    assert_eq!(bench.codes(), ["421 4.3.2"]);
    assert!(bench.closed);
}

#[test]
fn what_is_not_stored_is_not_promised() {
    let later = refuse(451, EnhancedCode(4, 3, 0));
    for (stored, code, outcome) in [
        (Stored::Refused(refuse(554, EnhancedCode(5, 4, 6))), "554 5.4.6", Outcome::Rejected),
        (Stored::Refused(later), "451 4.3.0", Outcome::Deferred),
        // A driver that calls a 250 a refusal does not get it said.
        (Stored::Refused(refuse(250, EnhancedCode(2, 0, 0))), "451 4.3.0", Outcome::Deferred),
    ] {
        let mut bench = Bench::ready();
        bench.say(TRANSACTION);
        bench.session.handle(Event::Input(b"x\r\n.\r\n"), bench.now);
        while let Some(action) = bench.session.next_action() {
            if matches!(action, Action::Store(_)) {
                bench.session.handle(Event::Stored(stored.clone()), bench.now);
            } else if let Action::Write(octets) = action {
                assert!(octets.starts_with(code.as_bytes()), "{octets:?}");
            } else if let Action::Ended(ended) = action {
                assert_eq!(ended, outcome);
            }
        }
        assert_eq!(bench.say("NOOP\r\n"), ["250 2.0.0"]);
    }
}

/// An answer that nobody asked for must not open or complete anything.
#[test]
fn stray_answers_close_the_session() {
    let strays = || {
        [
            Event::SenderAnswered(Verdict::Accept(())),
            Event::Stored(Stored::Durable(queue_id())),
            Event::Connected(Verdict::Accept(())),
        ]
    };
    for stray in strays() {
        let mut bench = Bench::ready();
        bench.writes.clear();
        bench.handle(stray);
        assert_eq!(bench.codes(), ["421 4.3.0"]);
        assert!(bench.closed);
    }
}

#[test]
fn a_client_that_leaves_in_content_leaves_nothing() {
    let mut bench = Bench::ready();
    bench.say(TRANSACTION);
    bench.say("half a mess");
    bench.handle(Event::Closed);
    assert!(bench.closed && bench.stored.is_empty());
    assert_eq!(bench.outcomes, [Outcome::Aborted]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever a client sends, no message is stored whose content has a bare line end, and every
    /// reply is well-formed.
    #[test]
    fn any_client_is_survived(
        parts in prop::collection::vec(
            prop_oneof![
                Just("EHLO c\r\n".to_owned()),
                Just("MAIL FROM:<a@c.example>\r\n".to_owned()),
                Just("MAIL FROM:<a@c.example> BODY=BINARYMIME\r\n".to_owned()),
                Just("RCPT TO:<b@own.example>\r\n".to_owned()),
                Just("DATA\r\n".to_owned()),
                Just("BDAT 3\r\n".to_owned()),
                Just("BDAT 1 LAST\r\n".to_owned()),
                Just("RSET\r\n".to_owned()),
                Just("STARTTLS\r\n".to_owned()),
                Just("AUTH PLAIN\r\n".to_owned()),
                Just("AUTH SCRAM-SHA-256 biwsbj1hQGEuZXhhbXBsZSxyPW4=\r\n".to_owned()),
                Just("AGFAYS5leGFtcGxlAHNlY3JldA==\r\n".to_owned()),
                Just("..x\r\n".to_owned()),
                Just(".\r\n".to_owned()),
                "[a-z.\r\n]{0,6}",
            ],
            0..20,
        ),
        cut in 1_usize..30,
    ) {
        let mut bench = Bench::new(auth::config());
        for piece in parts.concat().as_bytes().chunks(cut) {
            bench.handle(Event::Input(piece));
        }
        for transaction in &bench.stored {
            let text = String::from_utf8(transaction.content.as_slice().to_vec()).unwrap();
            let text = match transaction.transfer.body {
                // A header is lines, whatever stands behind it.
                BodyKind::BinaryMime => format!("\r\n{text}").split("\r\n\r\n").next().unwrap().to_owned(),
                BodyKind::SevenBit | BodyKind::EightBitMime => text,
            };
            prop_assert!(!text.replace("\r\n", "").contains(['\r', '\n']));
            prop_assert!(!transaction.recipients.is_empty());
        }
        for line in bench.writes.concat().split_terminator("\r\n") {
            prop_assert!(line[..3].parse::<u16>().is_ok() && line.len() < 512);
        }
    }
}
