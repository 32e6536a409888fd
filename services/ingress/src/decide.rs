//! The session's questions, put to the policy service. Without an answer the client hears 451
//! 4.3.0, or 454 4.7.0 in AUTH: never 2yz, never 5yz.

use std::{net::IpAddr, sync::Arc, time::Instant};

use hikyaku_mail::authors;
use hikyaku_policy_client::{
    AuthenticationAnswer, ConnectionAnswer, PolicyClient, PolicyUnavailable, Proof, RecipientVerdict,
    Verdict as PolicyVerdict, answer::unavailable_reply,
};
use hikyaku_queue::watch::{Envelope, Kind, Watched};
use hikyaku_runtime::error_chain::chain;
use hikyaku_smtp::server::{AcceptedRecipient, AuthAnswer, AuthStep, Verdict};
use hikyaku_spans::Span;
use hikyaku_types::{
    address::{ForwardPath, Mailbox, ReversePath},
    fingerprint::Fingerprint,
    origin::{Asker, Listener, limited_as},
    reply::{EnhancedCode, Reply},
    shard::fnv1a,
    traffic::Rate,
};

use crate::{
    app::Context,
    clients::Counted,
    mail_log::{self, About},
    metrics,
    rates::Rates,
    visit::Visit,
};

const UNAVAILABLE: &str = "policy-unavailable";

const RATE: &str = "smtp.rate";
const PROBE: &str = "smtp.proxy-without-client";

fn nobody() -> Reply {
    Reply::new(550, Some(EnhancedCode(5, 7, 1)), "the load balancer does not say who sends this")
}

fn too_many() -> Reply {
    Reply::new(450, Some(EnhancedCode(4, 7, 1)), "too many messages from your address, try again later")
}

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    Client(IpAddr),
    /// The balancer at this address, which names nobody: it may look whether we answer, and nothing else.
    /// Its own address must give nobody any right.
    Probe(IpAddr),
}

/// The policy as one client sees it.
pub(crate) struct Decider {
    policy: PolicyClient,
    client: IpAddr,
    is_probe: bool,
    /// Its clients count, once it has said who they are.
    is_proxy: bool,
    asker: Asker,
    connections: Counted,
    max_connections: usize,
    rates: Arc<Rates>,
    /// `None` until policy has said what it thinks of the client.
    admitted: Option<ConnectionAnswer>,
    /// The sender of the transaction is let through because of the client's address.
    is_trusted: bool,
    /// What decided that its sender was accepted.
    admitted_by: Arc<str>,
    /// The authors of the message are to be asked about (SEED-115).
    checks_author: bool,
    /// The connection that asks.
    visit: Arc<Visit>,
    /// Somebody looks on (SEED-203).
    pub(crate) watched: Option<Watched>,
}

impl Decider {
    pub(crate) fn new(
        peer: Peer,
        is_proxy: bool,
        listener: Listener,
        visit: &Arc<Visit>,
        context: &Context,
    ) -> Self {
        let (Peer::Client(client) | Peer::Probe(client)) = peer;
        Self {
            is_probe: matches!(peer, Peer::Probe(_)),
            is_proxy,
            policy: context.policy.clone(),
            client,
            asker: Asker::new(client, listener, None),
            connections: context.clients.count(client),
            max_connections: context.config.max_connections_per_client,
            rates: Arc::clone(&context.rates),
            admitted: None,
            is_trusted: false,
            admitted_by: Arc::default(),
            checks_author: false,
            visit: Arc::clone(visit),
            watched: None,
        }
    }

    pub(crate) fn client(&self) -> IpAddr {
        self.client
    }

    /// True when the message is relayed because of the client's address (SEED-096).
    pub(crate) fn is_trusted(&self) -> bool {
        self.is_trusted
    }

    /// The line or rule by which the sender of the transaction was accepted (SEED-102).
    pub(crate) fn admitted_by(&self) -> &Arc<str> {
        &self.admitted_by
    }

    /// A certificate that the client has proved to be its own.
    pub(crate) fn shows(&mut self, certificate: Option<Fingerprint>) {
        self.asker.certificate = certificate;
    }

    /// What the directory says, if it says something.
    pub(crate) fn max_received(&self) -> Option<usize> {
        self.admitted.as_ref()?.max_received
    }

    /// Networks that may relay, and balancers that look whether we answer, are not kept waiting.
    pub(crate) fn is_exempt(&self) -> bool {
        self.is_probe || self.is_unlimited()
    }

    fn is_unlimited(&self) -> bool {
        self.admitted.as_ref().is_some_and(|answer| answer.unlimited)
    }

    /// A client is greeted even while there is no policy: its senders are put off then.
    pub(crate) async fn connection(&mut self) -> Verdict<()> {
        if self.is_probe {
            return Verdict::Accept(());
        }
        let answer = self.policy.check_connection(self.client).await;
        self.admitted = answer.inspect_err(|error| self.warn(error)).ok();
        // SEED-140: a network that may relay has as many as it likes.
        if self.connections.ordinal > self.max_connections && !self.is_proxy && !self.is_unlimited() {
            metrics::refused("smtp.connections-per-client");
            mail_log::turned_away(self.client, "smtp.connections-per-client");
            let reply = Reply::new(421, Some(EnhancedCode(4, 3, 2)), "too many connections; try again");
            return Verdict::Refuse(reply);
        }
        match &self.admitted {
            Some(ConnectionAnswer { decision, .. }) => match &decision.verdict {
                PolicyVerdict::Accept => {
                    self.tell("connection", &decision.decided_by, "accepted", None, None);
                    Verdict::Accept(())
                }
                PolicyVerdict::Refuse(reply) => {
                    self.refuse(None, None, None, reply.clone(), &decision.decided_by)
                }
            },
            None => Verdict::Accept(()),
        }
    }

    /// There is no memory for another message now.
    pub(crate) fn no_room(&self, helo: &str) -> Verdict<()> {
        let reply = Reply::new(452, Some(EnhancedCode(4, 3, 1)), "no memory for a message now; try again");
        self.refuse(Some(helo), None, None, reply, "smtp.memory")
    }

    /// `identity` is who the client has proved to be; it holds for the whole transaction.
    pub(crate) async fn sender(
        &mut self,
        helo: &str,
        identity: Option<&Mailbox>,
        reverse_path: &ReversePath,
    ) -> Verdict<()> {
        self.asker.identity = identity.cloned();
        let (helo, sender) = (Some(helo), Some(reverse_path));
        if self.is_probe {
            return self.refuse(helo, sender, None, nobody(), PROBE);
        }
        if self.admitted.is_none() {
            match self.policy.check_connection(self.client).await {
                Ok(answer) => {
                    if let PolicyVerdict::Refuse(reply) = answer.decision.verdict {
                        return self.refuse(helo, sender, None, reply, &answer.decision.decided_by);
                    }
                    self.admitted = Some(answer);
                }
                Err(error) => return self.unavailable(helo, sender, None, &error),
            }
        }
        match self.policy.check_sender(&self.asker, reverse_path).await {
            Ok(answer) => match answer.decision.verdict {
                PolicyVerdict::Accept if self.is_above(answer.rate, &answer.decision.decided_by) => {
                    self.refuse(helo, sender, None, too_many(), &answer.decision.decided_by)
                }
                PolicyVerdict::Accept => {
                    self.tell("sender", &answer.decision.decided_by, "accepted", sender, None);
                    self.is_trusted = answer.trusted;
                    self.admitted_by = answer.decision.decided_by;
                    self.checks_author = answer.check_author;
                    Verdict::Accept(())
                }
                PolicyVerdict::Refuse(reply) => {
                    self.refuse(helo, sender, None, reply, &answer.decision.decided_by)
                }
            },
            Err(error) => self.unavailable(helo, sender, None, &error),
        }
    }

    /// SEED-081: what the line that decided lets each of its clients send.
    fn is_above(&self, rate: Option<Rate>, line: &str) -> bool {
        rate.is_some_and(|rate| {
            let key = fnv1a(&format!("{line}/{}", limited_as(self.client)));
            !self.rates.count_in_window(key, rate, Instant::now())
        })
    }

    pub(crate) async fn recipient(
        &self,
        helo: &str,
        reverse_path: &ReversePath,
        forward_path: ForwardPath,
    ) -> Verdict<AcceptedRecipient> {
        let (helo, sender) = (Some(helo), Some(reverse_path));
        match self.policy.check_recipient(&self.asker, reverse_path, &forward_path).await {
            Ok(answer) => match answer.verdict {
                RecipientVerdict::Accept { deliver_to, destination } => {
                    let result = format!("accepted for {deliver_to}, by {destination}");
                    self.tell("recipient", &answer.decided_by, &result, sender, Some(&forward_path));
                    Verdict::Accept(AcceptedRecipient { forward_path, deliver_to, destination })
                }
                RecipientVerdict::Refuse(reply) => {
                    self.refuse(helo, sender, Some(&forward_path), reply, &answer.decided_by)
                }
            },
            Err(error) => self.unavailable(helo, sender, Some(&forward_path), &error),
        }
    }

    /// SEED-115, level 3: may the client say that the message is from these? `None`: nobody wants to
    /// know.
    pub(crate) async fn author(&self, helo: &str, sender: &ReversePath, content: &[u8]) -> Verdict<()> {
        let Some(identity) = self.asker.identity.as_ref().filter(|_| self.checks_author) else {
            return Verdict::Accept(());
        };
        let (helo, sender) = (Some(helo), Some(sender));
        match self.policy.check_author(identity, &authors::of(content)).await {
            Ok(decision) => match decision.verdict {
                PolicyVerdict::Accept => Verdict::Accept(()),
                PolicyVerdict::Refuse(reply) => self.refuse(helo, sender, None, reply, &decision.decided_by),
            },
            Err(error) => self.unavailable(helo, sender, None, &error),
        }
    }

    pub(crate) async fn authenticate(&self, helo: &str, step: AuthStep) -> AuthAnswer {
        let (login, proof) = match &step {
            AuthStep::Password { login, password } => (login, Proof::Password(password)),
            AuthStep::CramMd5 { login, challenge, digest } => {
                (login, Proof::CramMd5 { challenge: challenge.as_bytes(), digest })
            }
            AuthStep::ScramStart { login } => (login, Proof::ScramStart),
            AuthStep::ScramFinish { login, auth_message, client_proof } => {
                (login, Proof::Scram { auth_message: auth_message.as_bytes(), client_proof })
            }
        };
        let name = login.to_string();
        let (reply, decided_by) = match self.policy.authenticate(self.client, &name, proof).await {
            Ok(AuthenticationAnswer::Accept { identity, scram_server_signature }) => {
                let server_signature = Some(scram_server_signature).filter(|signature| !signature.is_empty());
                return AuthAnswer::Accepted { identity, server_signature };
            }
            Ok(AuthenticationAnswer::Continue { salt, iterations }) => {
                return AuthAnswer::Challenge { salt, iterations };
            }
            Ok(AuthenticationAnswer::Refuse { reply, decided_by }) => (reply, decided_by),
            Err(error) => {
                self.warn(&error);
                let later = "temporary authentication failure; try again later";
                (Reply::new(454, Some(EnhancedCode(4, 7, 0)), later), UNAVAILABLE.into())
            }
        };
        let about = About {
            visit: &self.visit,
            client: self.client,
            helo: Some(helo),
            identity: Some(login),
            sender: None,
            recipient: None,
        };
        metrics::refused(&decided_by);
        mail_log::refused(&about, &reply, &decided_by);
        AuthAnswer::Refused(reply)
    }

    fn unavailable<T>(
        &self,
        helo: Option<&str>,
        sender: Option<&ReversePath>,
        recipient: Option<&ForwardPath>,
        error: &PolicyUnavailable,
    ) -> Verdict<T> {
        self.warn(error);
        Span::current().fail("policy");
        self.refuse(helo, sender, recipient, unavailable_reply(), UNAVAILABLE)
    }

    /// SEED-204: the step, the line that decided, and what came of it.
    fn tell(
        &self,
        step: &str,
        decided_by: &str,
        result: &str,
        sender: Option<&ReversePath>,
        recipient: Option<&ForwardPath>,
    ) {
        let Some(watched) = &self.watched else { return };
        let text = format!("{step}: {result} ({decided_by})");
        let Some(sender) = sender else { return watched.line(Kind::Decision, &text) };
        let envelope = Envelope {
            client: self.client,
            is_submission: self.asker.listener == Listener::Submission,
            identity: self.asker.identity.as_ref().map(ToString::to_string).unwrap_or_default(),
            certificate: self.asker.certificate.map(|shown| shown.to_string()).unwrap_or_default(),
            reverse_path: sender.to_string(),
            forward_path: recipient.map(ToString::to_string).unwrap_or_default(),
        };
        watched.decision(&text, envelope);
    }

    fn warn(&self, error: &PolicyUnavailable) {
        tracing::warn!(error = chain(error), "policy gave no answer; the client is put off");
    }

    /// SEED-201: every refusal is in the log with what decided it.
    fn refuse<T>(
        &self,
        helo: Option<&str>,
        sender: Option<&ReversePath>,
        recipient: Option<&ForwardPath>,
        reply: Reply,
        decided_by: &str,
    ) -> Verdict<T> {
        let step = match (sender, recipient) {
            (None, _) => "connection",
            (Some(_), None) => "sender",
            (Some(_), Some(_)) => "recipient",
        };
        self.tell(step, decided_by, &format!("refused: {}", reply.to_string().trim_end()), sender, recipient);
        // Such a line does not refuse: its limit does.
        metrics::refused(if reply == too_many() { RATE } else { decided_by });
        mail_log::refused(
            &About {
                visit: &self.visit,
                client: self.client,
                helo,
                identity: self.asker.identity.as_ref(),
                sender,
                recipient,
            },
            &reply,
            decided_by,
        );
        Verdict::Refuse(reply)
    }
}
