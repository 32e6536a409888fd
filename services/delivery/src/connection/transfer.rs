//! Socket <-> protocol. It moves octets and watches the clock; what they mean is the
//! protocol's to say.

use std::{
    collections::VecDeque,
    io::{ErrorKind, IoSlice},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use bytes::{Buf as _, Bytes, BytesMut};
use hikyaku_smtp::client::{
    Action, ClientConfig, ClientSession, Cut, Delivery, DeliveryRecipient, DeliveryResult, Event,
    FailureKind, RawReply, RecipientResult, SessionFailure, Timeouts,
};
use hikyaku_types::{
    address::Mailbox,
    domain::Domain,
    envelope::{Envelope, Recipient},
    outcome::{Cause, Failure, FailureClass, Phase, RecipientOutcome, RemoteReply},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{connection::dial::describe, outcome::classify};

/// Replies are short.
const READ_BUFFER: usize = 4 * 1024;
/// What is kept of a reply: a hostile one must not make an envelope too large for the broker.
const MAX_REPLY_TEXT: usize = 2 * 1024;
/// While the gate is closed it is asked again so often.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Pieces that one call hands to the kernel.
const MAX_SLICES: usize = 16;

pub(crate) struct RemoteSession {
    stream: TcpStream,
    session: ClientSession,
    outgoing: VecDeque<Bytes>,
    incoming: BytesMut,
    /// The peer may have the message. Behind a pointer, so that it can be asked while the message is sent.
    content_begun: Arc<AtomicBool>,
    pub(crate) host: String,
    pub(crate) address: SocketAddr,
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
    Done(DeliveryResult),
    Failed(SessionFailure),
    Closed,
    Fenced,
}

impl RemoteSession {
    /// Greeting and EHLO on a new connection.
    pub(crate) async fn open(
        stream: TcpStream,
        host: String,
        address: SocketAddr,
        own_name: &Domain,
    ) -> Result<Self, Failure> {
        let config = ClientConfig { helo_name: own_name.to_string(), timeouts: Timeouts::default() };
        let mut remote = Self {
            stream,
            session: ClientSession::new(config, Instant::now()),
            outgoing: VecDeque::new(),
            incoming: BytesMut::with_capacity(READ_BUFFER),
            content_begun: Arc::default(),
            host,
            address,
        };
        match remote.turn(|| Gate::Open).await {
            // What came in one packet with the answer to EHLO may have ended the session already.
            Turn::Ready if !remote.session.is_ready() => Err(remote.until_lost().await),
            Turn::Ready => Ok(remote),
            Turn::Failed(failure) => Err(remote.failure(failure)),
            // Not before a delivery was begun, or after a failure was told.
            Turn::Done(_) | Turn::Closed | Turn::Fenced => {
                let what = remote.named("connection closed");
                Err(classify::no_reply(Phase::Greeting, what, SystemTime::now()))
            }
        }
    }

    /// One message, with at most so many recipients in a transaction (SEED-156).
    pub(crate) async fn deliver_in_parts(
        &mut self,
        envelope: &Envelope,
        content: Vec<Bytes>,
        recipients: usize,
        gate: impl Fn() -> Gate,
    ) -> Delivered {
        self.content_begun.store(false, Ordering::SeqCst);
        if envelope.recipients.len() <= recipients {
            return self.deliver(envelope, content, gate).await;
        }
        let mut all = Vec::with_capacity(envelope.recipients.len());
        for part in envelope.recipients.chunks(recipients.max(1)) {
            let part = Envelope { recipients: part.to_vec(), ..envelope.clone() };
            // What one part met does not hinder the next, if the session bears it.
            if !all.is_empty() && !self.is_usable().await {
                let what = self.named("the session ended before this transaction");
                let failure = classify::no_reply(Phase::Mail, what, SystemTime::now());
                all.extend(vec![RecipientOutcome::Failed(failure); part.recipients.len()]);
                continue;
            }
            match self.deliver(&part, content.clone(), &gate).await {
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
        content: Vec<Bytes>,
        gate: impl Fn() -> Gate,
    ) -> Delivered {
        let delivery = Delivery {
            reverse_path: envelope.reverse_path.clone(),
            recipients: envelope.recipients.iter().map(addressed).collect(),
            transfer: envelope.transfer.clone(),
            size: envelope.body.size(),
            content,
        };
        if self.session.start(delivery, Instant::now()).is_ok() {
            loop {
                match self.turn(&gate).await {
                    Turn::Done(result) => {
                        let outcome = |result| self.outcome(result);
                        return Delivered::Ended(result.recipients.into_iter().map(outcome).collect());
                    }
                    Turn::Fenced => return Delivered::Fenced,
                    Turn::Ready => {}
                    Turn::Failed(_) | Turn::Closed => break,
                }
            }
        }
        // The peer left between two messages: this one was not begun.
        let what = self.named("connection closed by peer before MAIL");
        let failure = classify::no_reply(Phase::Mail, what, SystemTime::now());
        Delivered::Ended(vec![RecipientOutcome::Failed(failure); envelope.recipients.len()])
    }

    /// Whether mail for this address would be taken; nothing is handed over.
    pub(crate) async fn ask(&mut self, address: Mailbox) -> RecipientOutcome {
        if self.session.ask(address, Instant::now()).is_ok() {
            loop {
                match self.turn(|| Gate::Open).await {
                    Turn::Done(result) => {
                        if let Some(result) = result.recipients.into_iter().next() {
                            return self.outcome(result);
                        }
                        break;
                    }
                    Turn::Ready => {}
                    Turn::Failed(_) | Turn::Closed | Turn::Fenced => break,
                }
            }
        }
        let what = self.named("connection closed by peer before MAIL");
        RecipientOutcome::Failed(classify::no_reply(Phase::Mail, what, SystemTime::now()))
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
                Turn::Failed(_) | Turn::Closed | Turn::Fenced => return false,
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
                Turn::Closed | Turn::Fenced => {
                    let what = self.named("connection closed by peer before MAIL");
                    return classify::no_reply(Phase::Greeting, what, SystemTime::now());
                }
            }
        }
    }

    /// Without a word; the peer sees the end of the connection.
    pub(crate) async fn hang_up(&mut self) {
        let _ = self.stream.shutdown().await; // it may be gone already
    }

    pub(crate) async fn quit(mut self) {
        self.session.quit(Instant::now());
        self.until_lost().await;
    }

    /// Moves octets until the protocol has something to say. Safe to drop while it waits.
    async fn turn(&mut self, gate: impl Fn() -> Gate) -> Turn {
        loop {
            while let Some(action) = self.session.next_action() {
                match action {
                    Action::Write(octets) => self.outgoing.push_back(octets),
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
            let gate = if self.outgoing.is_empty() { Gate::Open } else { gate() };
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
        let (mut reader, mut writer) = self.stream.split();
        let outgoing = &self.outgoing;
        let writing = async {
            if outgoing.is_empty() || gate != Gate::Open {
                return std::future::pending().await;
            }
            let slices: Vec<IoSlice<'_>> =
                outgoing.iter().take(MAX_SLICES).map(|piece| IoSlice::new(piece)).collect();
            writer.write_vectored(&slices).await
        };
        let look_again = async {
            match gate {
                Gate::Closed => tokio::time::sleep(LOOK_AGAIN).await,
                Gate::Open | Gate::Lost => std::future::pending().await,
            }
        };
        let incoming = &mut self.incoming;
        tokio::select! {
            read = reader.read_buf(incoming) => match read {
                Ok(0) => self.session.handle(Event::Closed(Cut::Closed), Instant::now()),
                Ok(_) => {
                    let octets = self.incoming.split();
                    self.session.handle(Event::Input(&octets), Instant::now());
                }
                Err(error) => self.session.handle(Event::Closed(cut(&error)), Instant::now()),
            },
            written = writing => match written {
                Ok(count) => self.written(count),
                Err(error) => {
                    self.outgoing.clear();
                    self.session.handle(Event::Closed(cut(&error)), Instant::now());
                }
            },
            () = timer => self.session.handle(Event::TimedOut, Instant::now()),
            () = look_again => {}
        }
        self.incoming.reserve(READ_BUFFER);
    }

    fn written(&mut self, mut count: usize) {
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

    fn outcome(&self, result: RecipientResult) -> RecipientOutcome {
        let now = SystemTime::now();
        RecipientOutcome::Failed(match result {
            RecipientResult::Accepted(reply) => {
                let hop_reports = self.session.capabilities().dsn;
                return RecipientOutcome::Delivered { reply: self.reply(reply), hop_reports };
            }
            RecipientResult::Refused { phase, reply } => classify::refused(phase, self.reply(reply), now),
            RecipientResult::NoReply { phase, silence: _, what } => {
                classify::no_reply(phase, self.named(&what), now)
            }
            RecipientResult::Unsupported { status, what } => {
                classify::unsupported(status, self.named(&what), now)
            }
        })
    }

    fn failure(&self, failure: SessionFailure) -> Failure {
        let now = SystemTime::now();
        match failure.kind {
            FailureKind::Remote(reply) => classify::refused(failure.phase, self.reply(reply), now),
            FailureKind::NoReply { silence: _, what } => {
                classify::no_reply(failure.phase, self.named(&what), now)
            }
        }
    }

    fn reply(&self, reply: RawReply) -> RemoteReply {
        let mut text = reply.text;
        if text.len() > MAX_REPLY_TEXT {
            text.truncate(text.floor_char_boundary(MAX_REPLY_TEXT));
        }
        let (host, address) = (self.host.clone(), self.address);
        RemoteReply { host, address, code: reply.code, enhanced: reply.enhanced, text }
    }

    fn named(&self, what: &str) -> String {
        format!("{}[{}]: {what}", self.host, self.address)
    }
}

/// RFC 3461 5.2.1: a relay that has changed the address says what it was, when nobody has said it.
fn addressed(recipient: &Recipient) -> DeliveryRecipient {
    let mut reporting = recipient.reporting.clone();
    reporting.original_recipient = recipient.original_recipient();
    DeliveryRecipient { address: recipient.address.clone(), reporting }
}

fn cut(error: &std::io::Error) -> Cut {
    if error.kind() == ErrorKind::ConnectionReset { Cut::Reset } else { Cut::Other(describe(error)) }
}
