//! A client session and its driver. What a server says comes in flights: the driver acts between them, as it
//! does between two packets, so that how a flight is cut can make no difference.

use std::time::{Duration, Instant};

use bytes::Bytes;
use hikyaku_smtp::{
    client::{
        Action, ClientConfig, ClientSession, Cut, Delivery, DeliveryRecipient, DeliveryResult, Event, Login,
        RawReply, RecipientResult, SessionFailure, StartTls, Timeouts,
    },
    wire::{
        command::{Allowed, Command},
        counted::Counted,
        stuffing::Stuffing,
    },
};
use hikyaku_types::reply::EnhancedCode;

/// Between two flights of a server, the handshake too.
pub(crate) const NEXT: u8 = 0x17;
/// Time passes until the session gives up what it waits for.
pub(crate) const SILENCE: u8 = 0x18;

pub(crate) struct Client {
    session: ClientSession,
    now: Instant,
    is_secure: bool,
    /// Deliveries to come, the last one first.
    waiting: Vec<Delivery>,
    /// As it leaves, by either way.
    content: Vec<[Vec<u8>; 2]>,
    wants_handshake: bool,
    /// Of which delivery the content has left, the first one is 1; and when the server spoke last.
    written: usize,
    written_before: usize,
    pub(crate) seen: Seen,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) said: Vec<u8>,
    pub(crate) results: Vec<DeliveryResult>,
    pub(crate) failures: Vec<SessionFailure>,
    /// Deliveries that were begun.
    pub(crate) begun: usize,
    /// Those whose content was written to its end.
    pub(crate) written: usize,
    pub(crate) is_closed: bool,
}

impl Client {
    pub(crate) fn new(
        starttls: StartTls,
        login: Option<Login>,
        is_secure: bool,
        deliveries: Vec<Delivery>,
    ) -> Self {
        let now = Instant::now();
        let timeouts = Timeouts::default();
        let config = ClientConfig { helo_name: "gw.example".into(), is_secure, starttls, login, timeouts };
        let content = deliveries.iter().map(|delivery| {
            let by_data = Stuffing::new(delivery.content.clone()).flatten().collect();
            [by_data, Counted::new(delivery.content.clone()).flatten().collect()]
        });
        let content = content.collect();
        let session = ClientSession::new(config, now);
        let waiting = deliveries.into_iter().rev().collect();
        Self {
            session,
            now,
            is_secure,
            waiting,
            content,
            wants_handshake: false,
            written: 0,
            written_before: 0,
            seen: Seen::default(),
        }
    }

    /// Plays what a server says to its end, each flight in these pieces.
    pub(crate) fn play(mut self, stream: &[u8], pieces: impl Fn(&[u8]) -> Vec<&[u8]>) -> Seen {
        for flight in stream.split_inclusive(|octet| (NEXT..=SILENCE).contains(octet)) {
            let (octets, is_silence) = match flight.split_last() {
                Some((&NEXT, octets)) => (octets, false),
                Some((&SILENCE, octets)) => (octets, true),
                Some(_) | None => (flight, false),
            };
            self.written_before = self.written;
            for piece in pieces(octets) {
                self.session.handle(Event::Input(piece), self.now);
            }
            self.act();
            if is_silence {
                let deadline = self.session.next_deadline();
                self.now = deadline.unwrap_or(self.now).max(self.now) + Duration::from_secs(1);
                self.session.handle(Event::TimedOut, self.now);
                self.act();
            }
        }
        self.end()
    }

    pub(crate) fn hear(&mut self, octets: &[u8]) {
        self.written_before = self.written;
        self.session.handle(Event::Input(octets), self.now);
        self.act();
    }

    pub(crate) fn end(mut self) -> Seen {
        self.session.handle(Event::Closed(Cut::Closed), self.now);
        self.act();
        self.check();
        self.seen
    }

    /// Performs what the session wants, until it waits for the server.
    fn act(&mut self) {
        loop {
            while let Some(action) = self.session.next_action() {
                assert!(!self.seen.is_closed, "an action behind the end: {action:?}");
                self.perform(action);
            }
            if std::mem::take(&mut self.wants_handshake) {
                self.is_secure = true;
                self.session.handle(Event::Secured, self.now);
            } else if self.session.is_ready()
                && let Some(delivery) = self.waiting.pop()
            {
                self.seen.begun += 1;
                self.session.start(delivery, self.now).expect("it is ready");
            } else {
                break;
            }
        }
        assert_eq!(self.session.is_closed(), self.seen.is_closed);
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Write(octets, _) => {
                self.check_write(&octets);
                self.seen.said.extend_from_slice(&octets);
                self.session.handle(Event::WriteDone, self.now);
            }
            Action::StartTls => {
                assert!(!self.is_secure, "TLS within TLS");
                self.wants_handshake = true;
            }
            Action::Ready => {}
            Action::Done(result) => {
                let is_accepted = result.recipients.iter().any(is_accepted);
                // Who answers content that has not gone has answered something else.
                assert!(!is_accepted || self.written_before == self.seen.begun, "accepted too early");
                self.seen.results.push(result);
            }
            Action::Failed(failure) => self.seen.failures.push(failure),
            Action::Close => self.seen.is_closed = true,
        }
    }

    /// Octets that leave are the content that is under way, or commands and nothing else.
    fn check_write(&mut self, octets: &Bytes) {
        let under_way = self.seen.begun.checked_sub(1).and_then(|last| self.content.get(last));
        if under_way.is_some_and(|ways| ways.iter().any(|way| way == octets)) {
            self.seen.written += 1;
            self.written = self.seen.begun;
            return;
        }
        // RFC 2920 3.1: an empty content for nobody.
        if &octets[..] == b".\r\n" {
            return;
        }
        let text = str::from_utf8(octets).expect("commands are UTF-8");
        assert!(text.ends_with("\r\n"));
        for line in text.split_terminator("\r\n") {
            assert!(!line.contains(['\r', '\n', '\0']), "{line:?}");
            let is_response =
                line.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"+/=".contains(&octet));
            let allowed = Allowed { smtputf8: true, requiretls: true, xclient: false, auth: true };
            let command = Command::parse(line.as_bytes(), allowed);
            assert!(command.is_ok() || (self.is_secure && is_response), "{line:?}: {command:?}");
            let is_login = matches!(command, Ok(Command::Auth { .. }));
            assert!(self.is_secure || !is_login, "a login in the clear");
        }
    }

    /// What holds of every session.
    fn check(&self) {
        let seen = &self.seen;
        assert!(seen.is_closed, "a server that is gone keeps a session");
        assert!(seen.results.len() == seen.begun, "a delivery has one end");
        assert!(seen.failures.len() <= 1);
        for result in seen.results.iter().flat_map(|result| &result.recipients) {
            match result {
                RecipientResult::Accepted(reply) => {
                    assert!((200..300).contains(&reply.code));
                    is_harmless(reply);
                }
                RecipientResult::Refused { reply, .. } => {
                    assert!((300..600).contains(&reply.code));
                    is_harmless(reply);
                }
                RecipientResult::NoReply { what, .. } => assert!(!what.is_empty()),
                RecipientResult::Unsupported { status, .. } => assert!(status.0 >= 4),
            }
        }
    }
}

fn is_accepted(result: &RecipientResult) -> bool {
    matches!(result, RecipientResult::Accepted(_))
}

/// Nothing of a reply can be taken for something else in a log or a report.
fn is_harmless(reply: &RawReply) {
    assert!(!reply.text.contains(|c: char| c.is_control() && c != '\n'), "{reply:?}");
    assert!(reply.text.len() <= 8192 + 4096);
    if let Some(EnhancedCode(class, ..)) = reply.enhanced {
        assert_eq!(u16::from(class), reply.code / 100);
    }
}

/// A message for so many recipients.
pub(crate) fn delivery(recipients: usize, content: &[u8]) -> Delivery {
    let to = |n| DeliveryRecipient {
        address: format!("u{n}@m.example").parse().unwrap(),
        reporting: Default::default(),
    };
    Delivery {
        reverse_path: "a@c.example".parse().unwrap(),
        recipients: (0..recipients).map(to).collect(),
        transfer: Default::default(),
        content: vec![Bytes::copy_from_slice(content)],
        size: content.len() as u64,
    }
}
