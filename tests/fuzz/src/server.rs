//! A server session with a driver that answers at once: `refused@` is refused, `later@` deferred, everybody
//! else may send, and everybody's password is `secret`.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use hikyaku_smtp::{
    server::{
        AcceptedRecipient, Action, AuthAnswer, AuthConfig, AuthOutcome, AuthStep, Event, Mechanism, Outcome,
        Question, Session, SessionConfig, Stored, Transaction, Verdict,
    },
    wire::{chunk::ChunkDecoder, xclient::NamedAddress},
};
use hikyaku_types::{
    envelope::BodyKind,
    ids::QueueId,
    origin::Listener,
    reply::{EnhancedCode, Reply},
};
use secrecy::ExposeSecret as _;

use crate::{input::Input, reference};

/// What a stream may hold beside octets of the client: between reads, something else happens.
pub(crate) const HANDSHAKE: u8 = 0x16;
pub(crate) const DRAIN: u8 = 0x17;
pub(crate) const SILENCE: u8 = 0x18;

pub(crate) const PASSWORD: &str = "secret";
pub(crate) const SALT: &[u8] = b"salt";
pub(crate) const PROOF: [u8; 2] = [0, 0];
pub(crate) const EXPORTER: [u8; 32] = [2; 32];
pub(crate) const NONCE: [u8; 18] = [7; 18];
/// Of a setting with narrow limits.
const NARROW: u64 = 64;
const FEW: usize = 2;

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Setting {
    pub(crate) is_submission: bool,
    pub(crate) starttls: bool,
    pub(crate) is_secure: bool,
    pub(crate) auth: bool,
    pub(crate) is_narrow: bool,
    pub(crate) has_default_domain: bool,
    /// The peer is a proxy that may say who its client is.
    pub(crate) may_name_client: bool,
    /// Logins can be bound to a connection over TLS (RFC 9266).
    pub(crate) is_bound: bool,
}

impl Setting {
    pub(crate) fn of(input: &Input<'_>) -> Self {
        Self {
            is_submission: input.flag(0),
            starttls: input.flag(1),
            is_secure: input.flag(2),
            auth: input.flag(3),
            is_narrow: input.flag(4),
            has_default_domain: input.flag(5),
            may_name_client: input.flag(6),
            is_bound: input.flag(7),
        }
    }

    /// The flags that choose it.
    pub(crate) fn flags(self) -> u8 {
        let flags = [
            self.is_submission,
            self.starttls,
            self.is_secure,
            self.auth,
            self.is_narrow,
            self.has_default_domain,
            self.may_name_client,
            self.is_bound,
        ];
        flags.into_iter().enumerate().map(|(bit, is_set)| u8::from(is_set) << bit).sum()
    }

    fn config(self) -> SessionConfig {
        let shipped = SessionConfig::default();
        let (size, few, errors) = match self.is_narrow {
            true => (NARROW, FEW, 3),
            false => (1 << 20, shipped.max_recipients, shipped.max_errors),
        };
        SessionConfig {
            hostname: "gw.example".to_owned(),
            listener: if self.is_submission { Listener::Submission } else { Listener::Relay },
            starttls: self.starttls,
            auth: AuthConfig { offered: self.auth, cram_md5: true, scram: true },
            default_domain: "test.jp".parse().ok().filter(|_| self.has_default_domain),
            max_message_size: size,
            max_recipients: few,
            max_errors: errors,
            ..shipped
        }
    }
}

/// All that came of a session.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) said: Vec<u8>,
    pub(crate) stored: Vec<Transaction>,
    pub(crate) checks: Vec<&'static str>,
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) exchanges: Vec<(Mechanism, AuthOutcome)>,
    /// Logins that were asked about and given.
    pub(crate) logins: Vec<String>,
    pub(crate) identities: Vec<String>,
    /// Whom the peer named as its client.
    pub(crate) named: Vec<Option<NamedAddress>>,
    pub(crate) pauses: usize,
    /// What somebody who watches is shown.
    pub(crate) heard: Vec<String>,
    pub(crate) is_closed: bool,
}

pub(crate) struct Server {
    session: Session,
    setting: Setting,
    now: Instant,
    is_secure: bool,
    wants_handshake: bool,
    pub(crate) seen: Seen,
}

fn refuse(code: u16, status: EnhancedCode) -> Reply {
    Reply::new(code, Some(status), "no")
}

impl Server {
    pub(crate) fn new(setting: Setting) -> Self {
        let now = Instant::now();
        let mut session = Session::new(Arc::new(setting.config()), setting.is_secure, || NONCE, now);
        session.tell_lines(true);
        if setting.may_name_client {
            session.let_peer_name_its_client();
        }
        if setting.is_secure && setting.is_bound {
            session.bind_to(EXPORTER);
        }
        let mut server = Self {
            session,
            setting,
            now,
            is_secure: setting.is_secure,
            wants_handshake: false,
            seen: Seen::default(),
        };
        server.handle(Event::Connected(Verdict::Accept(())));
        server
    }

    /// Plays a stream to its end, each of its flights in these pieces.
    pub(crate) fn play(setting: Setting, stream: &[u8], pieces: impl Fn(&[u8]) -> Vec<&[u8]>) -> Seen {
        let mut server = Self::new(setting);
        for flight in stream.split_inclusive(|octet| (HANDSHAKE..=SILENCE).contains(octet)) {
            let (octets, mark) = match flight.split_last() {
                Some((mark @ HANDSHAKE..=SILENCE, octets)) => (octets, *mark),
                Some(_) | None => (flight, 0),
            };
            for piece in pieces(octets) {
                server.say(piece);
            }
            match mark {
                HANDSHAKE => server.secure(),
                DRAIN => server.handle(Event::Draining),
                SILENCE => server.be_silent(),
                _ => {}
            }
        }
        server.end()
    }

    /// What the client sends. A driver reads only while it is asked to.
    pub(crate) fn say(&mut self, octets: &[u8]) {
        if self.session.wants_input() {
            self.handle(Event::Input(octets));
        }
    }

    pub(crate) fn secure(&mut self) {
        if std::mem::take(&mut self.wants_handshake) {
            self.is_secure = true;
            if self.setting.is_bound {
                self.session.bind_to(EXPORTER);
            }
            self.handle(Event::Secured);
        }
    }

    fn be_silent(&mut self) {
        if let Some(deadline) = self.session.next_deadline() {
            self.now = deadline.max(self.now) + Duration::from_secs(1);
            self.handle(Event::TimedOut);
        }
    }

    pub(crate) fn end(mut self) -> Seen {
        self.handle(Event::Closed);
        assert!(self.seen.is_closed, "a client that is gone keeps a session");
        self.check();
        self.seen
    }

    fn handle(&mut self, event: Event<'_>) {
        self.session.handle(event, self.now);
        while let Some(action) = self.session.next_action() {
            assert!(!self.seen.is_closed, "an action behind the end: {action:?}");
            match action {
                Action::Write(octets) => self.seen.said.extend_from_slice(&octets),
                Action::Ask(question) => {
                    assert!(!self.session.wants_input());
                    let answer = self.answer(question);
                    self.session.handle(answer, self.now);
                }
                Action::Store(transaction) => {
                    self.seen.stored.push(*transaction);
                    let id = QueueId::new(1, self.seen.stored.len() as u128);
                    self.session.handle(Event::Stored(Stored::Durable(id)), self.now);
                }
                Action::StartTls => {
                    assert!(!self.session.wants_input() && !self.is_secure && self.setting.starttls);
                    self.wants_handshake = true;
                }
                Action::Adopt(named) => {
                    assert!(self.setting.may_name_client && !self.session.wants_input());
                    self.seen.named.push(named);
                    // The peer's word counts as much as a proof.
                    self.seen.identities.extend(self.session.identity().map(ToString::to_string));
                    self.session.handle(Event::Connected(Verdict::Accept(())), self.now);
                }
                Action::Pause => self.seen.pauses += 1,
                Action::Heard(line) => self.seen.heard.push(line),
                Action::Refused { refusal, .. } => {
                    assert!(refusal.code >= 400 && !refusal.check.is_empty());
                    self.seen.checks.push(refusal.check);
                }
                Action::Ended(outcome) => self.seen.outcomes.push(outcome),
                Action::AuthEnded { mechanism, outcome } => self.seen.exchanges.push((mechanism, outcome)),
                Action::Close => self.seen.is_closed = true,
            }
        }
        assert!(!self.seen.is_closed || !self.session.wants_input());
    }

    fn answer(&mut self, question: Question) -> Event<'static> {
        let refusal = |path: &str| match path.split_once('@') {
            Some(("refused", _)) => Some(refuse(550, EnhancedCode(5, 7, 1))),
            Some(("later", _)) => Some(refuse(451, EnhancedCode(4, 3, 0))),
            Some(_) | None => None,
        };
        match question {
            Question::Authenticate { mechanism, step } => {
                assert!(self.setting.auth, "{mechanism:?} was not offered");
                Event::AuthAnswered(self.authenticate(step))
            }
            Question::Sender { reverse_path } => {
                assert!(!self.setting.is_submission || !self.seen.identities.is_empty());
                let refusal = refusal(&reverse_path.to_string());
                Event::SenderAnswered(refusal.map_or(Verdict::Accept(()), Verdict::Refuse))
            }
            Question::Recipient { forward_path, .. } => {
                let accepted = AcceptedRecipient {
                    deliver_to: "to@own.example".parse().unwrap(),
                    destination: "own.example".parse().unwrap(),
                    forward_path,
                };
                let refusal = refusal(&accepted.forward_path.to_string());
                Event::RecipientAnswered(refusal.map_or(Verdict::Accept(accepted), Verdict::Refuse))
            }
        }
    }

    fn authenticate(&mut self, step: AuthStep) -> AuthAnswer {
        let (login, is_right, server_signature) = match step {
            AuthStep::Password { login, password } => {
                assert!(self.is_secure, "a password in the clear");
                assert!(!password.expose_secret().is_empty());
                (login, password.expose_secret() == PASSWORD, None)
            }
            AuthStep::CramMd5 { login, challenge, digest } => {
                assert!(challenge.ends_with("@gw.example>"));
                (login, digest == [0x11; 16], None)
            }
            AuthStep::ScramStart { login } => {
                self.seen.logins.push(login.to_string());
                return AuthAnswer::Challenge { salt: SALT.to_vec(), iterations: 4096 };
            }
            AuthStep::ScramFinish { login, auth_message, client_proof } => {
                // RFC 5802 3: the bare first message, our own, and the last one without its proof.
                assert!(auth_message.starts_with("n=") && auth_message.contains(",s=c2FsdA==,i=4096,c="));
                (login, client_proof == PROOF, Some(b"signature".to_vec()))
            }
        };
        let shown = login.to_string();
        self.seen.logins.push(shown.clone());
        if login.local_part() == "later" {
            return AuthAnswer::Refused(refuse(454, EnhancedCode(4, 7, 0)));
        }
        if !is_right {
            return AuthAnswer::Refused(refuse(535, EnhancedCode(5, 7, 8)));
        }
        self.seen.identities.push(shown);
        AuthAnswer::Accepted { identity: login, server_signature }
    }

    /// What holds of every session.
    fn check(&self) {
        let seen = &self.seen;
        let identity = self.session.identity().map(ToString::to_string);
        assert!(
            identity.is_none_or(|identity| seen.identities.contains(&identity)),
            "a name that nobody gave"
        );
        for transaction in &seen.stored {
            self.check_transaction(transaction);
        }
        let text = str::from_utf8(&seen.said).expect("replies are UTF-8");
        assert!(text.ends_with("\r\n") && !text.replace("\r\n", "").contains(['\r', '\n', '\0']));
        let mut promised = 0;
        for line in text.split_terminator("\r\n") {
            let (code, rest) = line.split_at(3);
            let code: u16 = code.parse().expect("a reply begins with its code");
            assert!((200..600).contains(&code) && rest.starts_with([' ', '-']), "{line}");
            // RFC 5321 4.5.3.1.5; a challenge is as long as what the client made it from.
            assert!(line.len() <= 510 || code == 334, "{line}");
            promised += usize::from(is_promise(line));
        }
        assert_eq!(promised, seen.stored.len(), "250 for content and what was stored: {text}");
        let accepted = seen.outcomes.iter().filter(|outcome| **outcome == Outcome::Accepted).count();
        assert_eq!(accepted, seen.stored.len());
    }

    fn check_transaction(&self, transaction: &Transaction) {
        let content = transaction.content.as_slice();
        match transaction.transfer.body {
            BodyKind::SevenBit | BodyKind::EightBitMime => assert!(reference::is_text(content)),
            // Its header is lines, whatever stands behind it.
            BodyKind::BinaryMime => {
                let mut decoder = ChunkDecoder::new(u64::MAX, true);
                assert!(decoder.feed(content, &mut Vec::new()).is_ok() && decoder.end().is_ok());
            }
        }
        let (most, largest) = match self.setting.is_narrow {
            true => (FEW, NARROW as usize),
            false => (1000, 1 << 20),
        };
        assert!((1..=most).contains(&transaction.recipients.len()));
        assert!(content.len() <= largest);
        assert!(!transaction.client_name.is_empty() && transaction.client_name.is_ascii());
        assert!(!transaction.client_name.contains(|c: char| c.is_control()));
        let identity = transaction.identity.as_ref().map(ToString::to_string);
        assert!(!self.setting.is_submission || identity.is_some(), "a submission of nobody");
        assert!(identity.is_none_or(|identity| self.seen.identities.contains(&identity)));
        assert!(!transaction.is_secure || self.is_secure);
        for recipient in &transaction.recipients {
            let path = recipient.accepted.forward_path.to_string();
            assert_eq!(path.parse(), Ok(recipient.accepted.forward_path.clone()));
            assert!(!path.starts_with("refused@") && !path.starts_with("later@"));
        }
        let prefixed = transaction.content.clone().with_prefix(b"Received: x\r\n");
        assert!(prefixed.strip_prefix(b"Received: x\r\n") == Some(content));
    }
}

/// 250 with a queue id.
fn is_promise(line: &str) -> bool {
    line.strip_prefix("250 2.0.0 ").is_some_and(|rest| rest != "ok")
}
