//! Plays every transcript of `tests/dialogs` against the session, in memory.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a failed test")]

use std::{fs, io, net::IpAddr, path::Path, sync::Arc, time::Instant};

use hikyaku_smtp::server::{
    AcceptedRecipient, Action, AuthAnswer, AuthConfig, AuthStep, Event, Question, Session, SessionConfig,
    Stored, Transaction, Verdict,
};
use hikyaku_types::{
    address::{ForwardPath, Mailbox},
    ids::QueueId,
    origin::Listener,
    reply::{EnhancedCode, Reply},
};

use proptest::prelude::*;

#[path = "support/dialog.rs"]
mod dialog;

use dialog::{Dialog, Setting, Tls, Wire, transcripts};
use secrecy::ExposeSecret as _;

/// A session behind a table policy: own mailboxes are accepted, others only from relay clients.
struct InMemory {
    session: Session,
    now: Instant,
    setting: Setting,
    said: Vec<u8>,
    stored: Vec<Transaction>,
    /// What is for the log and the metrics.
    noted: Vec<String>,
}

impl InMemory {
    #[expect(clippy::disallowed_methods, reason = "a test needs one instant to start from")]
    fn new(setting: &Setting) -> Self {
        let shipped = SessionConfig::default();
        let config = SessionConfig {
            hostname: "gw.example".to_owned(),
            banner: "gw.example ESMTP".to_owned(),
            max_message_size: setting.max_size.unwrap_or(shipped.max_message_size),
            max_recipients: setting.max_recipients.unwrap_or(shipped.max_recipients),
            max_errors: setting.max_errors.unwrap_or(shipped.max_errors),
            listener: if setting.is_submission { Listener::Submission } else { Listener::Relay },
            starttls: setting.tls == Tls::OnDemand,
            auth: AuthConfig { offered: setting.auth, cram_md5: setting.cram_md5, scram: true },
            default_domain: setting.default_domain.as_deref().and_then(|domain| domain.parse().ok()),
            ..shipped
        };
        let now = Instant::now();
        let mut session = Session::new(Arc::new(config), setting.tls == Tls::Implicit, || [1; 18], now);
        if setting.tls == Tls::Implicit {
            session.bind_to([2; 32]);
        }
        let (said, stored, noted) = (Vec::new(), Vec::new(), Vec::new());
        let mut wire = Self { session, now, setting: setting.clone(), said, stored, noted };
        wire.session.handle(Event::Connected(Verdict::Accept(())), now);
        wire.drive();
        wire
    }

    fn drive(&mut self) {
        while let Some(action) = self.session.next_action() {
            match action {
                Action::Write(octets) => self.said.extend_from_slice(&octets),
                Action::Ask(question) => {
                    let event = self.answer(question);
                    self.session.handle(event, self.now);
                }
                Action::Store(transaction) => {
                    self.stored.push(*transaction);
                    let stored = Stored::Durable(QueueId::new(1, self.stored.len() as u128));
                    self.session.handle(Event::Stored(stored), self.now);
                }
                // `secure` does the handshake.
                Action::StartTls => {}
                noted @ (Action::Pause
                | Action::Heard(_)
                | Action::Adopt(_)
                | Action::Refused { .. }
                | Action::Ended(_)
                | Action::AuthEnded { .. }
                | Action::Close) => self.noted.push(format!("{noted:?}")),
            }
        }
    }

    /// Digests and proofs are never right here: what they are made of is different each time.
    fn authenticate(&self, step: AuthStep) -> AuthAnswer {
        match step {
            AuthStep::Password { login, password } => {
                let account = (login.to_string(), password.expose_secret().to_owned());
                match self.setting.accounts.contains(&account) {
                    true => AuthAnswer::Accepted { identity: login, server_signature: None },
                    false => refused_login(),
                }
            }
            AuthStep::ScramStart { .. } => AuthAnswer::Challenge { salt: vec![1; 16], iterations: 4096 },
            AuthStep::CramMd5 { .. } | AuthStep::ScramFinish { .. } => refused_login(),
        }
    }

    fn answer(&self, question: Question) -> Event<'static> {
        let refuse = |detail, text: &str| Reply::new(550, Some(detail), text);
        match question {
            Question::Authenticate { step, .. } => Event::AuthAnswered(self.authenticate(step)),
            Question::Sender { reverse_path } => {
                let is_refused = self.setting.refused_senders.contains(&reverse_path.to_string());
                Event::SenderAnswered(match is_refused {
                    true => Verdict::Refuse(refuse(EnhancedCode(5, 7, 1), "sender refused")),
                    false => Verdict::Accept(()),
                })
            }
            Question::Recipient { forward_path, .. } => {
                let mailbox = match &forward_path {
                    ForwardPath::Postmaster => "postmaster@gw.example".parse(),
                    ForwardPath::Mailbox(mailbox) => Ok(mailbox.clone()),
                };
                let deliver_to = mailbox.unwrap();
                let is_postmaster = deliver_to.local_part().eq_ignore_ascii_case("postmaster");
                let known = self.setting.knows(&deliver_to.to_string()).map(|known| known || is_postmaster);
                let may_relay = self.setting.client_may_relay()
                    || self.session.identity().is_some()
                    || forward_path == ForwardPath::Postmaster;
                Event::RecipientAnswered(match known {
                    None if !may_relay => Verdict::Refuse(refuse(EnhancedCode(5, 7, 1), "relaying denied")),
                    None | Some(true) => accept(forward_path, deliver_to),
                    Some(false) => Verdict::Refuse(refuse(EnhancedCode(5, 1, 1), "no such mailbox")),
                })
            }
        }
    }
}

fn refused_login() -> AuthAnswer {
    AuthAnswer::Refused(Reply::new(535, Some(EnhancedCode(5, 7, 8)), "no"))
}

fn accept(forward_path: ForwardPath, deliver_to: Mailbox) -> Verdict<AcceptedRecipient> {
    let destination = "[192.0.2.25]:25".parse().unwrap();
    Verdict::Accept(AcceptedRecipient { forward_path, deliver_to, destination })
}

impl Wire for InMemory {
    fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        self.session.handle(Event::Input(octets), self.now);
        self.drive();
        Ok(())
    }

    fn secure(&mut self) -> io::Result<()> {
        self.session.bind_to([2; 32]);
        self.session.handle(Event::Secured, self.now);
        self.drive();
        Ok(())
    }

    /// In memory the session is either closed or waiting for the client: it has said it all.
    fn receive(&mut self) -> io::Result<Vec<u8>> {
        if self.said.is_empty() && self.session.wants_input() {
            return Err(io::Error::other("the server waits for the client"));
        }
        Ok(std::mem::take(&mut self.said))
    }
}

#[test]
fn every_transcript_comes_out_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/dialogs");
    let transcripts = transcripts(&folder);
    assert!(transcripts.len() >= 15, "only {} transcripts", transcripts.len());
    let mut problems = Vec::new();
    for path in transcripts {
        let name = path.strip_prefix(&folder).unwrap().display().to_string();
        let outcome = Dialog::parse(&fs::read_to_string(&path).unwrap()).and_then(|dialog| {
            let mut wire = InMemory::new(&dialog.setting);
            dialog.run(&mut wire)?;
            let stored = wire.stored.iter().map(|transaction| transaction.content.as_slice());
            let shown: Vec<_> = stored.clone().map(String::from_utf8_lossy).collect();
            if stored.eq(dialog.messages.iter()) { Ok(()) } else { Err(format!("stored {shown:?}")) }
        });
        problems.extend(outcome.err().map(|problem| format!("{name}: {problem}")));
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

/// All that came of a conversation: replies, what was handed on, what was noted.
type Outcome = (Vec<u8>, Vec<Transaction>, Vec<String>);

/// The client's side of a transcript, each flight in the pieces that `cut` makes of it.
fn outcome(dialog: &Dialog, cut: impl Fn(usize, &[u8]) -> Vec<&[u8]>) -> Outcome {
    let mut wire = InMemory::new(&dialog.setting);
    for (number, flight) in dialog.flights().iter().enumerate() {
        if number > 0 {
            wire.secure().unwrap();
        }
        for piece in cut(number, flight) {
            // A driver reads only while it is asked to.
            if wire.session.wants_input() {
                wire.send(piece).unwrap();
            }
        }
    }
    (wire.said, wire.stored, wire.noted)
}

fn all() -> Vec<(String, Dialog)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/dialogs");
    let read = |path: &std::path::PathBuf| Dialog::parse(&fs::read_to_string(path).unwrap()).unwrap();
    transcripts(&folder).iter().map(|path| (path.display().to_string(), read(path))).collect()
}

/// One cut, at each place of each transcript.
#[test]
fn no_cut_of_a_transcript_is_seen() {
    for (name, dialog) in all() {
        let whole = outcome(&dialog, |_, flight| vec![flight]);
        for (number, flight) in dialog.flights().iter().enumerate() {
            for at in 1..flight.len() {
                let cut = outcome(&dialog, |of, flight| match of == number {
                    true => vec![&flight[..at], &flight[at..]],
                    false => vec![flight],
                });
                assert!(cut == whole, "{name}: flight {number} cut at {at}");
            }
        }
        let octets = outcome(&dialog, |_, flight| flight.chunks(1).collect());
        assert!(octets == whole, "{name}: octet by octet");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50))]

    /// Any number of cuts.
    #[test]
    fn no_cuts_of_a_transcript_are_seen(sizes in prop::collection::vec(1_usize..60, 1..12)) {
        for (name, dialog) in all() {
            let whole = outcome(&dialog, |_, flight| vec![flight]);
            let cut = outcome(&dialog, |_, flight| {
                let (mut rest, mut pieces, mut sizes) = (flight, Vec::new(), sizes.iter().cycle());
                while !rest.is_empty() {
                    let size = sizes.next().map_or(1, |size| (*size).min(rest.len()));
                    let (piece, behind) = rest.split_at(size);
                    pieces.push(piece);
                    rest = behind;
                }
                pieces
            });
            prop_assert!(cut == whole, "{name} cut by {sizes:?}");
        }
    }
}

#[test]
fn a_transcript_that_is_not_followed_fails() {
    for (text, problem) in [
        ("S: 221\n", "line 1: expected \"221\""),
        ("S: 220\nC: NOOP\nS: 250 2.1.0\n", "line 3: expected \"250 2.1.0\""),
        ("S: 220\nC: QUIT\nS: 221 2.0.0\nS: 250\n", "line 4: the server says nothing more"),
        ("S: 220\nclosed\n", "line 2: the server waits"),
        ("S: 220\nS+ 220 x\n", "line 2: no line"),
        ("S: 220\nC: NOOP\nC: NOOP\nS: 250 2.0.0\n", "the server said more"),
    ] {
        let dialog = Dialog::parse(text).unwrap();
        let outcome = dialog.run(&mut InMemory::new(&dialog.setting));
        assert!(outcome.is_err_and(|outcome| outcome.starts_with(problem)), "{text:?}");
    }
    for text in ["nonsense\n", "max-size: many\n", "C: \\q\n", "C: \\{x}\n", "relay: 10.0.0.0\n"] {
        assert!(Dialog::parse(text).is_err(), "{text:?}");
    }
}

#[test]
fn the_setting_is_read() {
    let text = "own: example.org\nknown: u@example.org\nclient: 192.0.2.9\nrelay: 192.0.2.8/29\n";
    let mut setting = Dialog::parse(text).unwrap().setting;
    assert!(setting.client_may_relay());
    setting.client = Some(IpAddr::from([192, 0, 2, 16]));
    assert!(!setting.client_may_relay());
    assert_eq!(setting.knows("u@example.org"), Some(true));
    assert_eq!(setting.knows("v@example.org"), Some(false));
    assert_eq!(setting.knows("u@example.com"), None);
}
