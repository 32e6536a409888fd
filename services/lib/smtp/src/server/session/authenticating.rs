//! AUTH (RFC 4954): what the client responds and what the driver answers, to signals.

use std::time::Instant;

use hikyaku_types::reply::Reply;

use super::{Given, Session, refusal};
use crate::{
    server::{
        action::{Action, Question},
        auth::{self, AuthAnswer, AuthOutcome, AuthStep, Exchange, Setting, Step},
        replies,
        state::{Signal, State},
    },
    wire::{
        command::CommandError,
        sasl::{self, Encoded},
    },
};

/// For an answer to another question than the open one: the table takes it for the fault that it is.
const UNASKED: Signal = Signal::Secured;

impl Session {
    pub(super) fn auth(&mut self, keyword: &str, initial: Option<Encoded>) {
        self.may_not_be_shown = true;
        if !self.config.auth.offered {
            return self.signal(Signal::AuthOff);
        }
        // RFC 4954 4: not in a transaction, and not a second time.
        if self.state != State::Ready || self.identity.is_some() {
            return self.signal(Signal::Auth);
        }
        let Some(mechanism) = auth::find(&self.config.auth, self.means(), keyword) else {
            return self.signal(Signal::AuthUnknown);
        };
        if mechanism.sends_password() && !self.is_secure {
            return self.signal(Signal::AuthUnsafe);
        }
        if mechanism.begins_with_challenge() && initial.is_some() {
            return self.bad_command(replies::bad_command(CommandError::Arguments));
        }
        let mut exchange = Exchange::new(mechanism);
        let step = match initial.map(|initial| initial.decode_initial()) {
            None => exchange.begin(&self.setting()),
            Some(Ok(response)) => exchange.respond(&response, &self.setting()),
            Some(Err(sasl::NotBase64)) => Step::Malformed,
        };
        self.exchange = Some(exchange);
        self.step(step);
    }

    /// A line of the client in an exchange.
    pub(super) fn response(&mut self, line: &[u8]) {
        if line == b"*" {
            return self.signal(Signal::AuthCancelled);
        }
        let Some(mut exchange) = self.exchange.take() else { return self.signal(Signal::AuthMalformed) };
        let step = match sasl::decode(line) {
            Ok(response) => exchange.respond(&response, &self.setting()),
            Err(sasl::NotBase64) => Step::Malformed,
        };
        self.exchange = Some(exchange);
        self.step(step);
    }

    fn setting(&self) -> Setting<'_> {
        Setting {
            hostname: &self.config.hostname,
            default_domain: self.config.default_domain.as_ref(),
            exporter: self.exporter,
            nonce: self.nonce,
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Challenge(challenge) => {
                self.apply(Signal::AuthChallenge, Given { challenge, ..Given::default() });
            }
            Step::Ask(step) => {
                self.apply(Signal::AuthAsk, Given { step: Some(step), ..Given::default() });
            }
            Step::Done(identity) => {
                self.identity = Some(identity);
                self.signal(Signal::Authenticated);
            }
            Step::Malformed => self.signal(Signal::AuthMalformed),
            Step::Refused => {
                let signal = self.failed(Signal::AuthRefused);
                self.signal(signal);
            }
        }
    }

    pub(super) fn ask_identity(&mut self, step: Option<AuthStep>) {
        let mechanism = self.exchange.as_ref().map(|exchange| exchange.mechanism);
        let Some((mechanism, step)) = mechanism.zip(step) else { return };
        self.actions.push_back(Action::Ask(Question::Authenticate { mechanism, step }));
    }

    pub(super) fn auth_answered(&mut self, answer: AuthAnswer, now: Instant) {
        // A stray answer must not give anybody a name.
        let exchange = if self.state == State::DecidingIdentity { self.exchange.as_mut() } else { None };
        let Some(exchange) = exchange else {
            return self.answered(Signal::AuthProof, Given::default(), now);
        };
        let challenge = |challenge| Given { challenge, ..Given::default() };
        let proves_server = exchange.mechanism.proves_server();
        match answer {
            AuthAnswer::Accepted { identity, server_signature: None } if !proves_server => {
                self.identity = Some(identity);
                self.answered(Signal::Authenticated, Given::default(), now);
            }
            AuthAnswer::Accepted { identity, server_signature: Some(signature) } if proves_server => {
                let proof = exchange.prove(identity, &signature);
                self.answered(Signal::AuthProof, challenge(proof), now);
            }
            AuthAnswer::Challenge { salt, iterations } => {
                match exchange.challenge(&salt, iterations, (self.nonce)()) {
                    Some(text) => self.answered(Signal::AuthChallenge, challenge(text), now),
                    None => self.answered(UNASKED, Given::default(), now),
                }
            }
            AuthAnswer::Accepted { .. } => self.answered(UNASKED, Given::default(), now),
            AuthAnswer::Refused(reply) => self.identity_refused(refusal(reply), now),
        }
    }

    fn identity_refused(&mut self, reply: Reply, now: Instant) {
        let signal = match reply.code() {
            421 => Signal::Dismissed,
            ..500 => Signal::Deferred,
            _ => self.failed(Signal::Rejected),
        };
        self.answered(signal, reply.into(), now);
    }

    /// SEED-116: a client may be wrong so often.
    fn failed(&mut self, signal: Signal) -> Signal {
        self.auth_failures += 1;
        self.actions.push_back(Action::Pause);
        if self.auth_failures >= self.config.max_auth_failures { Signal::AuthTooOften } else { signal }
    }

    /// Books the exchange that `signal` ended, if one went on.
    pub(super) fn exchange_ended(&mut self, signal: Signal) {
        let Some(exchange) = self.exchange.take() else { return };
        let outcome = if signal == Signal::Authenticated {
            AuthOutcome::Accepted
        } else if matches!(signal, Signal::AuthRefused | Signal::AuthTooOften | Signal::Rejected) {
            AuthOutcome::Refused
        } else if matches!(signal, Signal::Deferred | Signal::Dismissed) {
            AuthOutcome::Deferred
        } else {
            AuthOutcome::Aborted
        };
        self.actions.push_back(Action::AuthEnded { mechanism: exchange.mechanism, outcome });
    }
}
