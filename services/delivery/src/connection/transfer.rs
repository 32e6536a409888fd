//! Socket <-> protocol. It moves octets and watches the clock; what they mean is the
//! protocol's to say.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use bytes::{Buf as _, Bytes};
use hikyaku_runtime::tls::{ClientStream, TlsConnector, Trust};
use hikyaku_smtp::client::{
    Action, ClientConfig, ClientSession, Delivery, DeliveryRecipient, DeliveryResult, Event, FailureKind,
    SessionFailure, Silence, Timeouts,
};
use hikyaku_types::{
    address::Mailbox,
    envelope::{Envelope, Recipient},
    outcome::{Cause, Failure, FailureClass, LocalError, LocalErrorKind, Phase, RecipientOutcome},
    reply::EnhancedCode,
};
use tokio::io::AsyncWriteExt as _;

use crate::{
    connection::{
        fitting::{self, Fitted},
        host::{Host, Quiet},
        local_error,
        octets::{self, Moved},
        security::{Channel, Security},
        watching::Watching,
    },
    history::Ending,
    outcome::classify,
};

/// RFC 3463: conversion required but not supported.
const NOT_CONVERTIBLE: EnhancedCode = EnhancedCode(5, 6, 3);
/// Replies are short.
const READ_BUFFER: usize = 4 * 1024;
/// While the gate is closed it is asked again so often.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// For the last octets of TLS; nobody is waited for.
const FAREWELL: Duration = Duration::from_secs(1);

pub(crate) struct RemoteSession {
    stream: ClientStream,
    session: ClientSession,
    outgoing: VecDeque<Bytes>,
    /// TLS may hold back what it was given.
    is_unflushed: bool,
    incoming: Box<[u8]>,
    /// The peer may have the message. Behind a pointer, so that it can be asked while the message is sent.
    content_begun: Arc<AtomicBool>,
    /// Messages that were begun, each part of one counted.
    transactions: u32,
    channel: Channel,
    /// What was asked for when it was opened.
    pub(crate) security: Security,
    pub(crate) host: Host,
    opened_at: Instant,
    /// When the last octet went either way.
    moved_at: Instant,
    /// Octets of content, of the message that is under way.
    sent: u64,
    /// Octets that came since the last one was sent.
    heard: u64,
    /// It was opened for mail that must stay protected (RFC 8689), which the server has promised.
    pub(crate) keeps_require_tls: bool,
    watching: Watching,
}

/// Why there is no session.
pub(crate) enum Unopened {
    Failed(Failure),
    /// The handshake failed, for this reason.
    NoTls(LocalError),
}

pub(crate) enum Delivered {
    /// One outcome for each recipient.
    Ended(Vec<RecipientOutcome>),
    /// It was given up, because somebody else may own the entry by now.
    Fenced,
    /// It was given up before its content, because somebody else waits for the shard.
    Left,
}

/// Whether the next octet may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    Open,
    /// Not now: whether the entry is still ours is not known.
    Closed,
    /// Never: somebody else has the entry.
    Lost,
}

/// What ends a turn of the driver.
enum Turn {
    Ready,
    StartTls,
    Done(DeliveryResult),
    Failed(SessionFailure),
    Closed,
    Fenced,
}

impl RemoteSession {
    /// Greeting, TLS and login on a new connection. `tls` is how a handshake is done.
    pub(crate) async fn open(
        stream: ClientStream,
        host: Host,
        (channel, security): (Channel, Security),
        config: ClientConfig,
        tls: Option<(&TlsConnector, Trust)>,
        watching: Watching,
    ) -> Result<Self, Unopened> {
        let mut remote = Self {
            stream,
            session: ClientSession::new(config, Instant::now()),
            outgoing: VecDeque::new(),
            is_unflushed: false,
            incoming: vec![0; READ_BUFFER].into(),
            content_begun: Arc::default(),
            transactions: 0,
            channel,
            security,
            host,
            opened_at: Instant::now(),
            moved_at: Instant::now(),
            sent: 0,
            heard: 0,
            keeps_require_tls: false,
            watching,
        };
        let mut is_new = false;
        loop {
            match remote.turn(|| Gate::Open).await {
                Turn::StartTls => {
                    // A reply to what was not yet said is nobody's word.
                    let Some((connector, trust)) = tls.as_ref().filter(|_| remote.outgoing.is_empty()) else {
                        let what = remote.host.named("STARTTLS was answered before it was said");
                        let error = LocalError::new(LocalErrorKind::Protocol, what);
                        let failure = classify::no_reply(Phase::Tls, error, SystemTime::now());
                        return Err(Unopened::Failed(failure));
                    };
                    let secured = connector.secure(remote.stream, &remote.host.name, trust).await;
                    let (stream, secured) =
                        secured.map_err(|error| Unopened::NoTls(local_error::of_handshake(&error)))?;
                    remote.stream = stream;
                    remote.watching.note(|| format!("TLS {} {}", secured.version, secured.cipher));
                    remote.channel.secured = Some(secured);
                    is_new = true;
                    remote.session.handle(Event::Secured, Instant::now());
                }
                // What came in one packet with the answer to EHLO may have ended the session already.
                Turn::Ready if !remote.session.is_ready() => {
                    return Err(Unopened::Failed(remote.until_lost().await));
                }
                Turn::Ready => return Ok(remote),
                // In TLS 1.3 a server that likes nothing of it says so when we have finished already.
                Turn::Failed(failure) => {
                    return Err(match remote.cut_in_greeting(&failure).filter(|_| is_new) {
                        Some(cut) => Unopened::NoTls(cut),
                        None => Unopened::Failed(remote.failure(failure)),
                    });
                }
                // Not before a delivery was begun, or after a failure was told.
                Turn::Done(_) | Turn::Closed | Turn::Fenced => {
                    let error = remote.host.left("connection closed");
                    let failure = classify::no_reply(Phase::Greeting, error, SystemTime::now());
                    return Err(Unopened::Failed(failure));
                }
            }
        }
    }

    /// RFC 8689.
    pub(crate) fn offers_require_tls(&self) -> bool {
        self.session.capabilities().require_tls
    }

    /// The message as this peer takes it.
    pub(crate) async fn fitted(
        &self,
        envelope: &Envelope,
        content: Vec<Bytes>,
        encodes: bool,
    ) -> Result<Fitted, RecipientOutcome> {
        let fitted = fitting::fitted(envelope, content, &self.session.capabilities(), encodes).await;
        fitted.map_err(|why| {
            let what = self.host.named(&format!("the server takes 7 bits only, and {why}"));
            RecipientOutcome::Failed(classify::unsupported(NOT_CONVERTIBLE, what, SystemTime::now()))
        })
    }

    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// From the next message on.
    pub(crate) fn set_timeouts(&mut self, timeouts: Timeouts) {
        self.session.set_timeouts(timeouts);
    }

    /// Whether a message to so many may still be begun. RFC 9422 4.1: the peer may have said how many
    /// transactions it takes; a first message is begun whatever it has said.
    pub(crate) fn has_room_for(&self, recipients: usize, at_once: usize) -> bool {
        let Some(limit) = self.session.capabilities().limits.transactions else { return true };
        let parts = recipients.div_ceil(self.recipients_at_once(at_once));
        let left = limit.saturating_sub(self.transactions) as usize;
        self.transactions == 0 || parts.max(1) <= left
    }

    /// RFC 9422 4.2: the smaller limit counts, ours or that of the peer.
    fn recipients_at_once(&self, ours: usize) -> usize {
        let theirs = self.session.capabilities().limits.recipients;
        theirs.map_or(ours, |theirs| ours.min(theirs as usize)).max(1)
    }

    fn quiet(&self) -> Quiet {
        Quiet { bytes: self.heard, elapsed: self.moved_at.elapsed() }
    }

    fn failure(&self, failure: SessionFailure) -> Failure {
        self.host.failure(failure, self.quiet())
    }

    fn cut_in_greeting(&self, failure: &SessionFailure) -> Option<LocalError> {
        let FailureKind::NoReply { silence, what } = &failure.kind else { return None };
        let is_cut = matches!(silence, Silence::Closed | Silence::Os(_));
        (failure.phase == Phase::Greeting && is_cut).then(|| self.host.silent(*silence, what, self.quiet()))
    }

    /// How far a message of this size has come by now.
    pub(crate) fn ending(&self, size: u64) -> Ending {
        let (waited, lasted) = (self.moved_at.elapsed(), self.opened_at.elapsed());
        Ending { waited, lasted, sent: self.sent, size }
    }

    /// One message, with at most so many recipients in a transaction (SEED-156).
    pub(crate) async fn deliver_in_parts(
        &mut self,
        envelope: &Envelope,
        message: Fitted,
        recipients: usize,
        gate: impl Fn() -> Gate,
    ) -> Delivered {
        self.content_begun.store(false, Ordering::SeqCst);
        self.sent = 0;
        let recipients = self.recipients_at_once(recipients);
        if envelope.recipients.len() <= recipients {
            return self.deliver(envelope, message, gate).await;
        }
        let mut all = Vec::with_capacity(envelope.recipients.len());
        for part in envelope.recipients.chunks(recipients) {
            let part = Envelope { recipients: part.to_vec(), ..envelope.clone() };
            // What one part met does not hinder the next, if the session bears it.
            let goes_on = all.is_empty() || (self.has_room_for(1, 1) && self.is_usable().await);
            if !goes_on {
                let error = self.host.left("the session ended before this transaction");
                let failure = classify::no_reply(Phase::Mail, error, SystemTime::now());
                all.extend(vec![RecipientOutcome::Failed(failure); part.recipients.len()]);
                continue;
            }
            match self.deliver(&part, message.clone(), &gate).await {
                Delivered::Ended(outcomes) => all.extend(outcomes),
                // What earlier parts delivered is to be recorded.
                Delivered::Fenced if all.is_empty() => return Delivered::Fenced,
                Delivered::Fenced => {
                    let failure =
                        classify::our_fault("the relay lost the entry".to_owned(), SystemTime::now());
                    all.extend(vec![RecipientOutcome::Failed(failure); part.recipients.len()]);
                }
                Delivered::Left => return Delivered::Left, // never: only who drops this says so
            }
        }
        Delivered::Ended(all)
    }

    /// One message. Before each octet that is sent, `gate` is asked.
    async fn deliver(
        &mut self,
        envelope: &Envelope,
        Fitted { content, size, transfer }: Fitted,
        gate: impl Fn() -> Gate,
    ) -> Delivered {
        let delivery = Delivery {
            reverse_path: envelope.reverse_path.clone(),
            recipients: envelope.recipients.iter().map(addressed).collect(),
            transfer,
            size,
            content,
        };
        self.transactions += 1;
        self.watching.look();
        self.watching.note(|| format!("{}, attempt {}", envelope.entry, envelope.attempt + 1));
        if self.session.start(delivery, Instant::now()).is_ok() {
            loop {
                match self.turn(&gate).await {
                    Turn::Done(result) => {
                        self.watching.note(|| format!("[{} octets of content were written]", self.sent));
                        let hop_reports = self.session.capabilities().dsn;
                        let quiet = self.quiet();
                        let outcome = |result| self.host.outcome(result, hop_reports, quiet);
                        return Delivered::Ended(result.recipients.into_iter().map(outcome).collect());
                    }
                    Turn::Fenced => return Delivered::Fenced,
                    Turn::Ready => {}
                    Turn::Failed(_) | Turn::Closed | Turn::StartTls => break,
                }
            }
        }
        // The peer left between two messages: this one was not begun.
        let error = self.host.left("connection closed by peer before MAIL");
        let failure = classify::no_reply(Phase::Mail, error, SystemTime::now());
        Delivered::Ended(vec![RecipientOutcome::Failed(failure); envelope.recipients.len()])
    }

    /// Whether mail for this address would be taken; nothing is handed over.
    pub(crate) async fn ask(&mut self, address: Mailbox) -> RecipientOutcome {
        if self.session.ask(address, Instant::now()).is_ok() {
            loop {
                match self.turn(|| Gate::Open).await {
                    Turn::Done(result) => {
                        if let Some(result) = result.recipients.into_iter().next() {
                            return self.host.outcome(result, false, self.quiet());
                        }
                        break;
                    }
                    Turn::Ready => {}
                    Turn::Failed(_) | Turn::Closed | Turn::Fenced | Turn::StartTls => break,
                }
            }
        }
        let error = self.host.left("connection closed by peer before MAIL");
        RecipientOutcome::Failed(classify::no_reply(Phase::Mail, error, SystemTime::now()))
    }

    /// Becomes true when the peer may have the message that is under way.
    pub(crate) fn content_begun(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.content_begun)
    }

    /// Whether the peer ended a session that is over before it had accepted a sender.
    pub(crate) fn ended_before_mail(&self, outcomes: &[RecipientOutcome]) -> bool {
        let before_mail = |outcome: &RecipientOutcome| match outcome {
            RecipientOutcome::Delivered { .. } => false,
            RecipientOutcome::Failed(failure) => {
                let ended = match &failure.cause {
                    Cause::Remote(reply) => reply.code == 421,
                    Cause::Local(_) => failure.class == FailureClass::NoReply,
                };
                failure.phase == Phase::Mail && ended
            }
        };
        self.session.is_closed() && outcomes.iter().all(before_mail)
    }

    /// Whether the session can take another message, once it has cleared up after the last.
    pub(crate) async fn is_usable(&mut self) -> bool {
        loop {
            if self.session.is_ready() {
                return true;
            }
            match self.turn(|| Gate::Open).await {
                Turn::Ready | Turn::Done(_) => {}
                Turn::Failed(_) | Turn::Closed | Turn::Fenced | Turn::StartTls => return false,
            }
        }
    }

    /// Returns when the peer has ended an idle session, with what it said or did.
    pub(crate) async fn until_lost(&mut self) -> Failure {
        loop {
            match self.turn(|| Gate::Open).await {
                Turn::Ready | Turn::Done(_) => {}
                // Nothing was asked, so a 5yz says "not this host", as in a greeting.
                Turn::Failed(failure) => {
                    return self.failure(SessionFailure { phase: Phase::Greeting, ..failure });
                }
                Turn::Closed | Turn::Fenced | Turn::StartTls => {
                    let error = self.host.left("connection closed by peer before MAIL");
                    return classify::no_reply(Phase::Greeting, error, SystemTime::now());
                }
            }
        }
    }

    /// Without a word; the peer sees the end of the connection.
    pub(crate) async fn hang_up(&mut self) {
        // It may be gone already.
        let _ = tokio::time::timeout(FAREWELL, self.stream.shutdown()).await;
    }

    pub(crate) async fn quit(mut self) {
        self.session.quit(Instant::now());
        self.until_lost().await;
        self.hang_up().await;
    }

    /// Moves octets until the protocol has something to say. Safe to drop while it waits.
    async fn turn(&mut self, gate: impl Fn() -> Gate) -> Turn {
        loop {
            while let Some(action) = self.session.next_action() {
                match action {
                    Action::Write(octets, part) => {
                        self.watching.said(&octets, part);
                        self.outgoing.push_back(octets);
                    }
                    Action::StartTls => return Turn::StartTls,
                    Action::Ready => return Turn::Ready,
                    Action::Done(result) => return Turn::Done(result),
                    Action::Failed(failure) => return Turn::Failed(failure),
                    Action::Close => return Turn::Closed,
                }
            }
            if self.session.is_closed() {
                return Turn::Closed;
            }
            if self.session.has_begun_content() {
                self.content_begun.store(true, Ordering::SeqCst);
            }
            let has_to_write = self.is_unflushed || !self.outgoing.is_empty();
            let gate = if has_to_write { gate() } else { Gate::Open };
            if gate == Gate::Lost {
                return Turn::Fenced;
            }
            self.wait(gate).await;
        }
    }

    async fn wait(&mut self, gate: Gate) {
        let deadline = self.session.next_deadline();
        let timer = async {
            match deadline {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        let look_again = async {
            match gate {
                Gate::Closed => tokio::time::sleep(LOOK_AGAIN).await,
                Gate::Open | Gate::Lost => std::future::pending().await,
            }
        };
        let Self { stream, incoming, outgoing, is_unflushed, .. } = self;
        let may_write = gate == Gate::Open;
        let moving =
            poll_fn(|cx| octets::poll_move(stream, incoming, outgoing, may_write, *is_unflushed, cx));
        let now = Instant::now;
        tokio::select! {
            moved = moving => match moved {
                Moved::Read(count) => {
                    self.moved_at = now();
                    self.heard = self.heard.saturating_add(u64::try_from(count).unwrap_or_default());
                    let octets = self.incoming.get(..count).unwrap_or_default();
                    self.watching.heard(octets, self.session.is_logging_in());
                    self.session.handle(Event::Input(octets), now());
                }
                Moved::Written(count) => self.written(count),
                Moved::Flushed => self.is_unflushed = false,
                Moved::Broken(cut) => {
                    self.watching.note(|| "the connection ended".to_owned());
                    self.outgoing.clear();
                    self.session.handle(Event::Closed(cut), now());
                }
            },
            () = timer => {
                self.watching.note(|| "the time for an answer is over".to_owned());
                self.session.handle(Event::TimedOut, now());
            }
            () = look_again => {}
        }
    }

    fn written(&mut self, mut count: usize) {
        self.is_unflushed = matches!(self.stream, ClientStream::Secure(_));
        self.moved_at = Instant::now();
        self.heard = 0;
        if self.content_begun.load(Ordering::SeqCst) {
            self.sent = self.sent.saturating_add(u64::try_from(count).unwrap_or_default());
        }
        while let Some(piece) = self.outgoing.front_mut() {
            if piece.len() > count {
                piece.advance(count);
                return;
            }
            count -= piece.len();
            self.outgoing.pop_front();
            self.session.handle(Event::WriteDone, Instant::now());
        }
    }
}

/// RFC 3461 5.2.1: a relay that has changed the address says what it was, when nobody has said it.
fn addressed(recipient: &Recipient) -> DeliveryRecipient {
    let mut reporting = recipient.reporting.clone();
    reporting.original_recipient = recipient.original_recipient();
    DeliveryRecipient { address: recipient.address.clone(), reporting }
}
