//! Events to signals, signals through the table, effects to actions.
//!
//! Not here: reading (`reading.rs`), BDAT (`chunks.rs`), AUTH (`authenticating.rs`) and the order of commands (`state.rs`).
//!
//! While the session waits for its driver it keeps what the client has already sent; the driver
//! does not read more, so that is at most one read. Replies are gathered until the session needs
//! the client again: a pipelined group is answered by one write (RFC 2920 3.2).

use std::{collections::VecDeque, fmt, mem, sync::Arc, time::Instant};

use bytes::Bytes;
use hikyaku_types::{address::Mailbox, envelope::BodyKind, ids::QueueId, origin::Listener, reply::Reply};

use super::{
    action::{Action, Question},
    auth::{AuthStep, Exchange, Exporter, Means},
    content::Content,
    draft::{Chunk, Client, Decoder, Draft, Incoming},
    event::{AcceptedRecipient, Addressee, Event, Protocol, Stored, Transaction, Verdict},
    limits::SessionConfig,
    replies::{self, Context},
    state::{Effect, Say, Signal, State},
};
use crate::wire::{chunk::ChunkDecoder, data::DataDecoder, line::LineSplitter, xclient::NamedAddress};

mod authenticating; // AUTH: responses and answers -> signals
mod chunks; // BDAT: octets by number -> signals
mod reading; // octets of the client -> signals

/// Refused recipients of a session that anybody may have: old lists, spelling.
const MISTAKES: u32 = 5;

pub struct Session {
    config: Arc<SessionConfig>,
    state: State,
    actions: VecDeque<Action>,
    /// Replies not handed out yet.
    replies: String,
    lines: LineSplitter,
    /// An unfinished line, or what was pipelined behind a question.
    held: Vec<u8>,
    client: Option<Client>,
    is_secure: bool,
    may_name_client: bool,
    tells_lines: bool,
    exporter: Option<Exporter>,
    nonce: fn() -> [u8; 18],
    exchange: Option<Exchange>,
    auth_failures: u32,
    /// What comes next may be a secret, or content: the client has said AUTH or DATA.
    may_not_be_shown: bool,
    identity: Option<Mailbox>,
    draft: Draft,
    content: Option<Incoming>,
    chunk: Option<Chunk>,
    /// A chunk was refused, and no other command has come since: further ones were sent before that was known.
    is_behind_refused_chunk: bool,
    errors: u32,
    refused_recipients: u32,
    is_draining: bool,
    /// Start of the client's silence.
    idle_since: Instant,
    /// Start of the connection or of the transaction.
    busy_since: Instant,
}

/// What an event brought along.
#[derive(Debug, Default)]
struct Given {
    reply: Option<Reply>,
    queue_id: Option<QueueId>,
    /// What stands behind 334.
    challenge: String,
    /// What is to be asked.
    step: Option<AuthStep>,
    /// Who is behind the peer.
    named: Option<NamedAddress>,
}

impl From<Reply> for Given {
    fn from(reply: Reply) -> Self {
        Self { reply: Some(reply), ..Self::default() }
    }
}

impl Session {
    /// `nonce` makes octets that nobody has seen before, for challenges. With `is_secure` TLS is
    /// on from the start (RFC 8314 3).
    pub fn new(config: Arc<SessionConfig>, is_secure: bool, nonce: fn() -> [u8; 18], now: Instant) -> Self {
        Self {
            config,
            state: State::Connecting,
            actions: VecDeque::new(),
            replies: String::new(),
            lines: LineSplitter::default(),
            held: Vec::new(),
            client: None,
            is_secure,
            may_name_client: false,
            tells_lines: false,
            exporter: None,
            nonce,
            exchange: None,
            auth_failures: 0,
            may_not_be_shown: false,
            identity: None,
            draft: Draft::EMPTY,
            content: None,
            chunk: None,
            is_behind_refused_chunk: false,
            errors: 0,
            refused_recipients: 0,
            is_draining: false,
            idle_since: now,
            busy_since: now,
        }
    }

    /// The peer is a proxy of ours, which may say who its client is (XCLIENT).
    pub fn let_peer_name_its_client(&mut self) {
        self.may_name_client = true;
    }

    /// Somebody watches, or nobody does any more.
    pub fn tell_lines(&mut self, wanted: bool) {
        self.tells_lines = wanted;
    }

    /// The keying material of the connection (RFC 9266), to which logins can be bound.
    pub fn bind_to(&mut self, exporter: [u8; 32]) {
        self.exporter = Some(exporter);
    }

    fn means(&self) -> Means {
        Means { is_secure: self.is_secure, is_bound: self.exporter.is_some() }
    }

    pub fn handle(&mut self, event: Event<'_>, now: Instant) {
        match event {
            Event::Connected(verdict) => self.connected(verdict, now),
            Event::TalkedEarly => self.answered(Signal::TalkedEarly, Given::default(), now),
            Event::Input(input) => {
                self.idle_since = now;
                self.input(input);
            }
            Event::NoRoom => {
                if let Some(incoming) = &mut self.content {
                    incoming.is_unkept = true;
                    incoming.drop_content();
                }
            }
            Event::Secured => self.secured(now),
            Event::AuthAnswered(answer) => self.auth_answered(answer, now),
            Event::SenderAnswered(verdict) => self.sender_answered(verdict, now),
            Event::RecipientAnswered(verdict) => self.recipient_answered(verdict, now),
            Event::Stored(stored) => self.stored(stored, now),
            Event::TimedOut => self.timed_out(now),
            Event::Draining => {
                self.is_draining = true;
                self.signal(Signal::Drain);
            }
            Event::Closed => self.signal(Signal::PeerClosed),
        }
        self.resume();
        self.flush();
    }

    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// False while a question is open or a message is being stored: reading on would only fill
    /// memory.
    pub fn wants_input(&self) -> bool {
        !self.state.is_waiting() && self.state != State::Closed
    }

    /// When to send [`Event::TimedOut`]; none while the session waits for its driver.
    pub fn next_deadline(&self) -> Option<Instant> {
        let idle = self.idle_since + self.config.idle_timeout;
        let busy = self.busy_since + self.config.transaction_timeout;
        self.wants_input().then(|| idle.min(busy))
    }

    /// Octets of memory that the content takes which comes in.
    pub fn content_room(&self) -> usize {
        self.content.as_ref().map_or(0, |incoming| incoming.content.room())
    }

    /// What the client called itself, once it did.
    pub fn client_name(&self) -> Option<&str> {
        self.client.as_ref().map(|client| client.name.as_str())
    }

    /// Who the client is, once it has proved it.
    pub fn identity(&self) -> Option<&Mailbox> {
        self.identity.as_ref()
    }

    /// True until the client has proved who it is, on a listener that wants to know.
    fn lacks_identity(&self) -> bool {
        self.config.listener == Listener::Submission && self.identity.is_none()
    }

    fn connected(&mut self, verdict: Verdict<()>, now: Instant) {
        self.busy_since = now;
        match verdict {
            Verdict::Accept(()) => self.answered(Signal::Admitted, Given::default(), now),
            Verdict::Refuse(reply) => {
                let reply = refusal(reply);
                // RFC 5321 3.1 knows 554 and 421; after another 4yz there is nothing to wait for.
                let signal = if reply.code() >= 500 { Signal::Barred } else { Signal::Dismissed };
                self.answered(signal, reply.into(), now);
            }
        }
    }

    /// RFC 3207 4.2: what was said in the clear, by whomever, counts for nothing, and neither do
    /// commands that came before the handshake.
    fn secured(&mut self, now: Instant) {
        if self.state == State::Securing {
            self.held.clear();
            self.client = None;
            self.identity = None;
            self.is_secure = true;
        }
        self.answered(Signal::Secured, Given::default(), now);
    }

    fn sender_answered(&mut self, verdict: Verdict<()>, now: Instant) {
        match verdict {
            Verdict::Accept(()) => {
                self.busy_since = now;
                self.answered(Signal::SenderAccepted, Given::default(), now);
            }
            Verdict::Refuse(reply) => self.refused(reply, now),
        }
    }

    fn recipient_answered(&mut self, verdict: Verdict<AcceptedRecipient>, now: Instant) {
        let asked = self.draft.asked.take();
        match verdict {
            Verdict::Accept(accepted) => {
                let reporting = asked.map(|(_, reporting)| reporting).unwrap_or_default();
                self.draft.recipients.push(Addressee { accepted, reporting });
                self.answered(Signal::RecipientAccepted, Given::default(), now);
            }
            Verdict::Refuse(reply) => {
                self.guessed(&reply);
                self.refused(reply, now);
            }
        }
    }

    /// Who is wrong about recipients again and again finds out slowly.
    fn guessed(&mut self, reply: &Reply) {
        if reply.code() >= 500 {
            self.refused_recipients += 1;
        }
        if self.refused_recipients > MISTAKES {
            self.actions.push_back(Action::Pause);
        }
    }

    fn stored(&mut self, stored: Stored, now: Instant) {
        self.busy_since = now;
        match stored {
            Stored::Durable(queue_id) => {
                let given = Given { queue_id: Some(queue_id), ..Given::default() };
                self.answered(Signal::Durable, given, now);
            }
            Stored::Refused(reply) => self.refused(reply, now),
        }
    }

    fn refused(&mut self, reply: Reply, now: Instant) {
        let reply = refusal(reply);
        let signal = match reply.code() {
            421 => Signal::Dismissed,
            ..500 => Signal::Deferred,
            _ => Signal::Rejected,
        };
        self.answered(signal, reply.into(), now);
    }

    /// The time that we took is not the client's silence.
    fn answered(&mut self, signal: Signal, given: Given, now: Instant) {
        self.idle_since = now;
        self.apply(signal, given);
    }

    fn timed_out(&mut self, now: Instant) {
        if now >= self.busy_since + self.config.transaction_timeout {
            self.signal(Signal::TransactionTooLong);
        } else if now >= self.idle_since + self.config.idle_timeout {
            self.signal(Signal::IdleTooLong);
        }
    }

    fn signal(&mut self, signal: Signal) {
        self.apply(signal, Given::default());
    }

    fn apply(&mut self, signal: Signal, mut given: Given) {
        let (next, effects) = self.state.on(signal);
        let ended = self.state.ended(signal, next);
        self.state = next;
        self.actions.extend(ended.map(Action::Ended));
        if !next.is_in_exchange() {
            self.exchange_ended(signal);
        }
        for effect in effects {
            self.perform(*effect, &mut given);
        }
        if ended.is_some() {
            self.draft = Draft::EMPTY;
        }
        if !next.is_taking_content() {
            self.content = None;
        }
    }

    fn perform(&mut self, effect: Effect, given: &mut Given) {
        match effect {
            Effect::Reply(say) => self.say(say, given),
            Effect::Secure => {
                self.hand_out();
                self.actions.push_back(Action::StartTls);
            }
            Effect::AskIdentity => self.ask_identity(given.step.take()),
            Effect::AskSender => {
                let reverse_path = self.draft.reverse_path.clone();
                self.actions.push_back(Action::Ask(Question::Sender { reverse_path }));
            }
            Effect::AskRecipient => {
                let Some((forward_path, _)) = self.draft.asked.clone() else { return };
                let reverse_path = self.draft.reverse_path.clone();
                self.actions.push_back(Action::Ask(Question::Recipient { reverse_path, forward_path }));
            }
            Effect::OpenContent => {
                self.open(Decoder::Data(DataDecoder::new(self.config.size_limit())));
            }
            Effect::OpenChunks => {
                self.open(Decoder::Chunks(ChunkDecoder::new(self.config.size_limit(), self.is_binary())));
            }
            Effect::Store => self.store(),
            Effect::Adopt => self.actions.push_back(Action::Adopt(given.named.take())),
            Effect::Close => {
                self.hand_out();
                self.actions.push_back(Action::Close);
            }
        }
    }

    fn is_binary(&self) -> bool {
        self.draft.transfer.body == BodyKind::BinaryMime
    }

    fn open(&mut self, decoder: Decoder) {
        let content = Content::with_room_for(self.draft.declared_size);
        self.content = Some(Incoming { decoder, content, is_unkept: false });
    }

    fn say(&mut self, say: Say, given: &Given) {
        let is_repeated = self.is_behind_refused_chunk && say == Say::BadSequence;
        if let Some(refusal) = say.refusal().filter(|_| !is_repeated) {
            self.report(refusal);
        }
        let context = Context {
            config: &self.config,
            has_extensions: self.client.as_ref().is_some_and(|client| client.protocol == Protocol::Esmtp),
            given: given.reply.as_ref(),
            queue_id: given.queue_id,
            means: self.means(),
            may_name_client: self.may_name_client,
            challenge: &given.challenge,
        };
        replies::render(say, &context, &mut self.replies);
        if say.is_protocol_error() && !is_repeated {
            self.count_error();
        }
    }

    fn store(&mut self) {
        let (Some(incoming), Some(client)) = (self.content.take(), &self.client) else { return };
        let draft = mem::replace(&mut self.draft, Draft::EMPTY);
        self.actions.push_back(Action::Store(Box::new(Transaction {
            client_name: client.name.clone(),
            protocol: client.protocol,
            is_secure: self.is_secure,
            identity: self.identity.clone(),
            reverse_path: draft.reverse_path,
            transfer: draft.transfer,
            recipients: draft.recipients,
            content: incoming.content,
        })));
    }

    /// Hands the gathered replies out, unless more of them will follow without the client.
    fn flush(&mut self) {
        if !self.state.is_waiting() {
            self.hand_out();
        }
    }

    fn hand_out(&mut self) {
        if !self.replies.is_empty() {
            let replies = mem::take(&mut self.replies);
            self.actions.push_back(Action::Write(Bytes::from(replies)));
        }
    }
}

/// What a client has sent may be a password.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("state", &self.state).finish_non_exhaustive()
    }
}

/// A refusal that says 250 would be a promise that nobody made.
fn refusal(reply: Reply) -> Reply {
    if reply.code() >= 400 { reply } else { replies::not_stored() }
}

#[cfg(test)]
mod tests;
