//! Events to signals, signals through the table, effects to actions.

use std::{collections::VecDeque, time::Instant};

use bytes::Bytes;
use hikyaku_types::{address::Mailbox, envelope::BodyKind};

use super::{
    active::Active,
    cause::Cause,
    commands,
    delivery::{Delivery, DeliveryResult, RecipientResult, Silence},
    event::{Action, Event, NotReady, Part},
    exchange::Exchange,
    limits::{ClientConfig, Timeouts},
    opening::{self, Opening},
    outgoing::Outgoing,
    state::{Effect, Signal, State},
};
use crate::wire::{
    counted::Counted,
    ehlo::Capabilities,
    reply::{RawReply, ReplyReader},
    stuffing::Stuffing,
};

#[derive(Debug)]
pub struct ClientSession {
    config: ClientConfig,
    state: State,
    offer: Capabilities,
    /// TLS is on.
    is_secure: bool,
    /// What the server said to STARTTLS instead of 220.
    refusal: Option<RawReply>,
    /// AUTH that is under way or done.
    exchange: Option<Exchange>,
    replies: ReplyReader,
    actions: VecDeque<Action>,
    active: Option<Active>,
    /// Writes handed out and not reported as done.
    unwritten: usize,
    /// Content that was not handed out yet.
    content: Option<Outgoing>,
    deadline: Option<Instant>,
    /// Of the message that is under way.
    message_deadline: Option<Instant>,
}

impl ClientSession {
    /// For a connection that has just been made: the server speaks first.
    pub fn new(config: ClientConfig, now: Instant) -> Self {
        let deadline = Some(now + config.timeouts.greeting);
        let is_secure = config.is_secure;
        Self {
            config,
            state: State::Greeting,
            offer: Capabilities::default(),
            is_secure,
            refusal: None,
            exchange: None,
            replies: ReplyReader::default(),
            actions: VecDeque::new(),
            active: None,
            unwritten: 0,
            content: None,
            deadline,
            message_deadline: None,
        }
    }

    pub fn is_ready(&self) -> bool {
        self.state == State::Ready
    }

    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// What the server says now may repeat a secret.
    pub fn is_logging_in(&self) -> bool {
        self.state == State::Auth
    }

    /// The server may have the message from now on.
    pub fn has_begun_content(&self) -> bool {
        self.state.is_sending() || matches!(self.state, State::FinalDot | State::ChunkSent | State::MootDot)
    }

    /// What the server offered; nothing before its reply to EHLO, and nothing after HELO.
    pub fn capabilities(&self) -> Capabilities {
        self.offer
    }

    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When to send [`Event::TimedOut`]; none while idle and when closed.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// From the next message on.
    pub fn set_timeouts(&mut self, timeouts: Timeouts) {
        self.config.timeouts = timeouts;
    }

    /// Begins a delivery. It ends by [`Action::Done`]; the next can begin at [`Action::Ready`].
    pub fn start(&mut self, delivery: Delivery, now: Instant) -> Result<(), NotReady> {
        if !self.is_ready() {
            return Err(NotReady);
        }
        if let Some((status, what)) = commands::unsupported(&delivery, self.offer) {
            let result = RecipientResult::Unsupported { status, what };
            self.finish_at_once(vec![result; delivery.recipients.len()]);
        } else if delivery.recipients.is_empty() {
            self.finish_at_once(Vec::new());
        } else {
            self.active = Some(Active::new(delivery));
            self.message_deadline = Some(now + self.config.timeouts.message);
            self.apply(Signal::Start { pipelined: self.offer.pipelining }, &Cause::Us, now);
        }
        Ok(())
    }

    /// Asks whether mail for this address would be taken, and hands nothing over. It ends like a delivery:
    /// [`RecipientResult::Accepted`] holds the reply to RCPT.
    pub fn ask(&mut self, address: Mailbox, now: Instant) -> Result<(), NotReady> {
        if !self.is_ready() {
            return Err(NotReady);
        }
        let question = Active::question(address);
        if let Some((status, what)) = commands::unsupported(question.delivery(), self.offer) {
            self.finish_at_once(vec![RecipientResult::Unsupported { status, what }]);
        } else {
            self.active = Some(question);
            self.message_deadline = Some(now + self.config.timeouts.message);
            // DATA must not be in the same write.
            self.apply(Signal::Start { pipelined: false }, &Cause::Us, now);
        }
        Ok(())
    }

    fn finish_at_once(&mut self, recipients: Vec<RecipientResult>) {
        self.actions.extend([Action::Done(DeliveryResult { recipients }), Action::Ready]);
    }

    /// Ends the session: politely when it is idle, at once otherwise. A delivery under way ends
    /// without a reply.
    pub fn quit(&mut self, now: Instant) {
        let words = format!("given up {}", self.state.while_doing());
        self.apply(Signal::Quit, &Cause::Silence(Silence::GivenUp, words), now);
    }

    pub fn handle(&mut self, event: Event<'_>, now: Instant) {
        match event {
            // The server speaks again when it was spoken to over TLS.
            Event::Input(_) if self.state == State::Handshake => self.intruded(now),
            Event::Input(input) => {
                self.replies.push(input);
                self.read(now);
            }
            Event::Secured => self.apply(Signal::Secured, &Cause::Us, now),
            Event::WriteDone => self.write_done(now),
            Event::TimedOut => {
                let is_over = |deadline: Option<Instant>| deadline.is_some_and(|deadline| now >= deadline);
                if is_over(self.message_deadline.filter(|_| self.active.is_some())) {
                    let words =
                        format!("took longer than {} s in all,", self.config.timeouts.message.as_secs());
                    self.lost(Signal::TimedOut, Silence::TimedOut, &words, now);
                } else if is_over(self.deadline) {
                    self.lost(Signal::TimedOut, Silence::TimedOut, "timed out", now);
                }
            }
            Event::Closed(cut) => {
                self.lost(Signal::Cut, cut.silence(), &cut.to_string(), now);
            }
        }
    }

    fn lost(&mut self, signal: Signal, silence: Silence, words: &str, now: Instant) {
        let words = format!("{words} {}", self.state.while_doing());
        self.apply(signal, &Cause::Silence(silence, words), now);
    }

    fn read(&mut self, now: Instant) {
        while self.state != State::Closed {
            match self.replies.next_reply() {
                Ok(Some(reply)) => self.reply(reply, now),
                Ok(None) => break,
                Err(error) => {
                    self.lost(Signal::Nonsense, Silence::Protocol, &error.to_string(), now);
                }
            }
        }
    }

    /// RFC 3207 4.2: octets in the clear behind the reply to STARTTLS are somebody else's, and must not be
    /// taken for what the server says over TLS.
    fn intruded(&mut self, now: Instant) {
        // The same words whether they came in the packet of that reply or in the next one.
        let words = "octets in the clear behind the reply to STARTTLS".to_owned();
        self.apply(Signal::Nonsense, &Cause::Silence(Silence::Protocol, words), now);
    }

    fn reply(&mut self, mut reply: RawReply, now: Instant) {
        let signal = Signal::of_reply(reply.code);
        if self.state == State::StartTls && signal == Signal::Positive && !self.replies.is_empty() {
            return self.intruded(now);
        }
        if self.state == State::Auth && signal == Signal::Intermediate {
            return self.challenged(&reply, now);
        }
        if let (Some(login), Some(_)) = (&self.config.login, &self.exchange) {
            reply.text = login.withheld(&reply.text);
        }
        self.apply(signal, &Cause::Reply(reply), now);
    }

    fn challenged(&mut self, challenge: &RawReply, now: Instant) {
        let (exchange, login) = (self.exchange.as_mut(), self.config.login.as_ref());
        let response =
            exchange.zip(login).and_then(|(exchange, login)| exchange.respond(&challenge.text, login));
        match response {
            Some(response) => self.apply(Signal::Intermediate, &Cause::Response(response), now),
            None => self.lost(Signal::Nonsense, Silence::Protocol, "a challenge that makes no sense", now),
        }
    }

    fn write_done(&mut self, now: Instant) {
        self.unwritten = self.unwritten.saturating_sub(1);
        self.restart_clock(now);
        if !self.state.is_sending() || self.unwritten > 0 {
            return;
        }
        if self.content.is_some() {
            self.next_piece();
        } else {
            self.apply(Signal::ContentSent, &Cause::Us, now);
        }
    }

    /// Hands the next piece out; behind the last one `content` is empty.
    fn next_piece(&mut self) {
        let Some(content) = &mut self.content else { return };
        let (piece, is_last) = content.next_piece();
        if is_last {
            self.content = None;
        }
        if let Some(piece) = piece {
            self.write_as(Part::Content, piece);
        }
    }

    fn apply(&mut self, signal: Signal, cause: &Cause, now: Instant) {
        let before = self.state;
        let (next, effects) = before.on(signal);
        self.state = next;
        for effect in effects {
            self.perform(*effect, before, cause);
        }
        self.restart_clock(now);
        if self.state == State::Greeted {
            self.proceed(now);
        }
        let is_naming = matches!(self.state, State::Rcpt { .. } | State::RcptMoot);
        if is_naming && let Some(some) = self.active.as_ref().and_then(Active::all_answered) {
            let chunked = self.is_chunked();
            self.apply(Signal::RecipientsAnswered { some, chunked }, &Cause::Us, now);
        }
    }

    /// The server has made its offer.
    fn proceed(&mut self, now: Instant) {
        let opening = opening::next(&self.config, self.is_secure, self.refusal.as_ref(), self.offer);
        self.apply(opening.signal(), &Cause::Opening(opening), now);
    }

    fn restart_clock(&mut self, now: Instant) {
        let limit = self.config.timeouts.of(self.state);
        let whole = self.message_deadline.filter(|_| self.active.is_some());
        let step = limit.map(|limit| now + limit);
        self.deadline = step.map(|step| whole.map_or(step, |whole| whole.min(step)));
    }

    fn perform(&mut self, effect: Effect, before: State, cause: &Cause) {
        match effect {
            Effect::SendEhlo => self.write(format!("EHLO {}\r\n", self.config.helo_name)),
            Effect::SendHelo => self.write(format!("HELO {}\r\n", self.config.helo_name)),
            Effect::SendStartTls => self.write("STARTTLS\r\n"),
            Effect::StartTls => self.actions.push_back(Action::StartTls),
            Effect::NoteRefusal => {
                if let Cause::Reply(reply) = cause {
                    self.refusal = Some(reply.clone());
                }
            }
            Effect::Forget => {
                self.is_secure = true;
                self.offer = Capabilities::default();
                self.replies = ReplyReader::default();
            }
            Effect::SendAuth => self.send_auth(cause),
            Effect::SendResponse => {
                if let Cause::Response(line) = cause {
                    self.write_as(Part::Login, line.clone());
                }
            }
            Effect::SendGroup => self.send_group(),
            Effect::SendMail => self.send_mail(),
            Effect::SendRcpt => self.send_rcpt(),
            Effect::SendData => self.write("DATA\r\n"),
            Effect::SendDot => self.write_as(Part::Content, ".\r\n"),
            Effect::SendReset => self.write("RSET\r\n"),
            Effect::SendQuit => self.write("QUIT\r\n"),
            Effect::SendContent => self.send_content(|content| Outgoing::Stuffed(Stuffing::new(content))),
            Effect::SendChunk => self.send_content(|content| Outgoing::Counted(Counted::new(content))),
            Effect::NoteOffer => {
                if let Cause::Reply(reply) = cause {
                    self.offer = Capabilities::parse(&reply.text);
                }
            }
            Effect::BookRecipient => {
                if let (Some(active), Cause::Reply(reply)) = (&mut self.active, cause) {
                    active.answer(reply);
                }
            }
            Effect::SkipRecipient => {
                if let Some(active) = &mut self.active {
                    active.skip();
                }
            }
            Effect::RefuseOpen => {
                self.close_open(|reply| RecipientResult::Refused { phase: before.phase(), reply }, cause)
            }
            Effect::AcceptOpen => self.close_open(RecipientResult::Accepted, cause),
            Effect::LoseOpen => {
                let result = cause.no_reply(before);
                if let Some(active) = &mut self.active {
                    active.close(&result);
                }
            }
            Effect::Finish => {
                if let Some(active) = self.active.take() {
                    let result = active.finish(|| cause.no_reply(before));
                    self.actions.push_back(Action::Done(result));
                }
            }
            Effect::Ready => self.actions.push_back(Action::Ready),
            Effect::Fail => self.actions.push_back(Action::Failed(cause.failure(before))),
            Effect::Close => {
                self.content = None;
                self.actions.push_back(Action::Close);
            }
        }
    }

    fn close_open(&mut self, result: impl FnOnce(RawReply) -> RecipientResult, cause: &Cause) {
        if let (Some(active), Cause::Reply(reply)) = (&mut self.active, cause) {
            active.close(&result(reply.clone()));
        }
    }

    fn write(&mut self, command: impl Into<Bytes>) {
        self.write_as(Part::Commands, command);
    }

    fn write_as(&mut self, part: Part, octets: impl Into<Bytes>) {
        self.unwritten += 1;
        self.actions.push_back(Action::Write(octets.into(), part));
    }

    fn send_auth(&mut self, cause: &Cause) {
        if let (Cause::Opening(Opening::Authenticate(mechanism)), Some(login)) = (cause, &self.config.login) {
            let (exchange, line) = Exchange::begin(*mechanism, login);
            self.exchange = Some(exchange);
            self.write_as(Part::Login, line);
        }
    }

    fn send_group(&mut self) {
        let Some(active) = &self.active else { return };
        let mut group = String::new();
        commands::mail(active.delivery(), self.offer, &mut group);
        for recipient in &active.delivery().recipients {
            commands::rcpt(active.delivery(), recipient, self.offer, &mut group);
        }
        if !self.is_chunked() {
            group.push_str("DATA\r\n");
        }
        self.write(group);
    }

    /// Whether the content of the delivery goes by BDAT.
    fn is_chunked(&self) -> bool {
        let body = self.active.as_ref().map(|active| active.delivery().transfer.body);
        body == Some(BodyKind::BinaryMime)
    }

    fn send_content(&mut self, manner: impl FnOnce(Vec<Bytes>) -> Outgoing) {
        self.content = self.active.as_mut().map(|active| manner(active.take_content()));
        self.next_piece();
    }

    fn send_mail(&mut self) {
        let Some(active) = &self.active else { return };
        let mut line = String::new();
        commands::mail(active.delivery(), self.offer, &mut line);
        self.write(line);
    }

    fn send_rcpt(&mut self) {
        let Some(active) = &mut self.active else { return };
        let Some((delivery, recipient)) = active.next_to_send() else { return };
        let mut line = String::new();
        commands::rcpt(delivery, recipient, self.offer, &mut line);
        self.write(line);
    }
}

#[cfg(test)]
mod tests;
