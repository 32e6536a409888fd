//! Socket <-> session. It moves octets and watches the clock; what they mean is the session's to
//! say. Questions and stores are awaited in place: the session reads nothing meanwhile, which is
//! how a slow queue slows its clients down.

use std::{
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use hikyaku_queue::watch::Kind;
use hikyaku_runtime::{
    error_chain::chain,
    tls::{HandshakeError, ServerStream},
};
use hikyaku_smtp::server::{
    Action, Event, NamedAddress, Outcome, Question, Session, SessionConfig, Stored, Transaction, Verdict,
};
use hikyaku_spans::{
    Origin, Span,
    declared::{CONNECTION, TRANSACTION},
};
use hikyaku_types::origin::Listener;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::Sleep,
};

use crate::{
    accept,
    app::Context,
    decide::{Decider, Peer},
    lanes::Ordinary,
    mail_log::{self, About},
    memory::Share,
    metrics,
    service::{Service, TlsStart},
    visit::Visit,
};

/// One read: larger than most messages, small enough for every connection to have one.
const READ_BUFFER: usize = 32 * 1024;
/// For what a client still sends after we closed: a socket that is dropped with unread octets
/// takes our last reply back.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_READS: usize = 64;
/// For the replies of one group of commands: clients wait for minutes, but not for ever.
const PAUSED_AT_ONCE: Duration = Duration::from_secs(30);

/// A listener, as its connections need it.
pub(crate) struct Door {
    pub(crate) service: Service,
    session: Arc<SessionConfig>,
}

impl Door {
    pub(crate) fn new(service: Service, context: &Context) -> Self {
        let session = Arc::new(context.config.session(&service, context.tls.is_some()));
        Self { service, session }
    }
}

pub(crate) struct Connection {
    stream: ServerStream,
    door: Arc<Door>,
    context: Arc<Context>,
    session: Session,
    /// Whom the connection, a balancer or a proxy says that it is.
    peer: Peer,
    proxy: Proxy,
    decider: Decider,
    visit: Arc<Visit>,
    /// Of the connection. Transactions do not stand in it: it may last for a day and carry thousands of them, and
    /// each is drawn for itself.
    whole: Span,
    transactions: i64,
    /// Of the running transaction.
    span: Span,
    /// Since the last reply.
    paused: Duration,
    /// Of the memory for content.
    share: Share,
    is_draining: bool,
}

/// XCLIENT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proxy {
    /// The peer speaks for itself.
    No,
    /// It may say who is behind it, and has not yet.
    Silent,
    HasNamed,
}

/// Why a turn is over.
enum End {
    /// The session waits for its client.
    Quiet,
    /// The session waits for TLS.
    Handshake,
    Closed,
    /// The client cannot be reached any more.
    Lost,
}

impl Connection {
    /// `port` is the client's, as far as it is known.
    pub(crate) fn new(
        stream: TcpStream,
        peer: Peer,
        port: Option<u16>,
        door: Arc<Door>,
        context: Arc<Context>,
    ) -> Self {
        let is_secure = door.service.tls == TlsStart::AtOnce;
        let config = Arc::clone(&door.session);
        let mut session = Session::new(config, is_secure, rand::random, Instant::now());
        let proxies = &context.config.xclient_from;
        let is_named = |address| proxies.iter().any(|network| network.contains(&address));
        let proxy = match peer {
            Peer::Client(address) if is_named(address) => Proxy::Silent,
            Peer::Client(_) | Peer::Probe(_) => Proxy::No,
        };
        if proxy == Proxy::Silent {
            session.let_peer_name_its_client();
        }
        let stream = ServerStream::Plain(stream);
        let (Peer::Client(client) | Peer::Probe(client)) = peer;
        let visit = Arc::new(Visit::begin(client, port, door.service.listener));
        let decider = Decider::new(peer, proxy == Proxy::Silent, door.service.listener, &visit, &context);
        let share = context.memory.share(decider.client());
        let whole = Span::root(&CONNECTION, CONNECTION.name, []);
        whole.show("client.address", &decider.client());
        whole.set("smtp.listener", door.service.listener.name());
        Self {
            stream,
            door,
            context,
            session,
            peer,
            proxy,
            decider,
            visit,
            whole,
            transactions: 0,
            span: Span::none(),
            paused: Duration::ZERO,
            share,
            is_draining: false,
        }
    }

    pub(crate) async fn serve(mut self) {
        let is_at_once = self.door.service.tls == TlsStart::AtOnce;
        self.look_for_watchers();
        let verdict = self.whole.around(self.decider.connection()).await;
        if matches!(&verdict, Verdict::Refuse(reply) if reply.code() == 421) {
            // It has too many already, so this one takes nobody's place for longer than that takes to say. Where TLS
            // comes first there is nobody yet who could be told.
            if !is_at_once {
                self.handle(Event::Connected(verdict));
                self.perform().await;
            }
            return;
        }
        if is_at_once {
            let Some(secured) = self.secured().await else { return };
            self = secured;
        }
        let mut buffer = vec![0; READ_BUFFER];
        let first = match verdict {
            Verdict::Accept(()) => self.greeting_is_awaited(&mut buffer).await,
            Verdict::Refuse(_) => Event::Connected(verdict),
        };
        self.handle(first);
        let deadline = self.session.next_deadline().unwrap_or_else(Instant::now);
        let mut timer = Box::pin(tokio::time::sleep_until(deadline.into()));
        loop {
            match self.perform().await {
                End::Quiet => self.wait(&mut buffer, timer.as_mut()).await,
                End::Handshake => {
                    let Some(secured) = self.secured().await else { return };
                    self = secured;
                    self.handle(Event::Secured);
                }
                End::Closed => return self.linger(&mut buffer).await,
                End::Lost => return self.lost(),
            }
        }
    }

    /// After the handshake; `None` when that failed, which ends the connection.
    async fn secured(mut self) -> Option<Self> {
        let Some(acceptor) = self.context.tls.clone() else {
            self.lost();
            return None;
        };
        let drain = self.context.drain.clone();
        let secured = tokio::select! {
            secured = self.stream.secure(&acceptor) => secured,
            // No transaction is open, and a silent client would be waited for.
            () = drain.cancelled() => return None,
        };
        match secured {
            Ok(stream) => {
                self.stream = stream;
                // Of a client that was named they are the proxy's, and say nothing.
                if self.proxy != Proxy::HasNamed {
                    self.decider.shows(self.stream.client_certificate());
                    if let Some(exporter) = self.stream.exporter() {
                        self.session.bind_to(exporter);
                    }
                }
                let version = self.tls();
                metrics::handshake(Ok(version));
                self.whole.set("tls.protocol.version", version);
                self.tell(Kind::Note, &format!("TLS {version}"));
                Some(self)
            }
            Err(error) => {
                let outcome = match &error {
                    HandshakeError::TimedOut => "timed-out",
                    HandshakeError::Failed(_) | HandshakeError::AlreadySecure => "failed",
                };
                metrics::handshake(Err(outcome));
                self.whole.fail(outcome);
                let client = self.decider.client();
                if let Some(watched) = &self.decider.watched {
                    watched.line(Kind::Note, &format!("no TLS: {}", chain(&error)));
                }
                tracing::info!(client.address = %client, error = chain(&error), "no TLS with a client");
                None
            }
        }
    }

    fn lost(&mut self) {
        self.handle(Event::Closed);
        while let Some(action) = self.session.next_action() {
            self.note(&action);
        }
    }

    fn handle(&mut self, event: Event<'_>) {
        self.session.handle(event, Instant::now());
    }

    /// Waits for octets, for the deadline or for the end of the service.
    async fn wait(&mut self, buffer: &mut [u8], mut timer: Pin<&mut Sleep>) {
        self.look_for_watchers();
        let drain = self.context.drain.clone();
        tokio::select! {
            read = self.stream.read(buffer) => match read {
                Ok(0) | Err(_) => {
                    self.tell(Kind::Note, "the client closed the connection");
                    self.handle(Event::Closed);
                }
                Ok(count) => {
                    self.look_for_watchers();
                    self.handle(Event::Input(&buffer[..count]));
                    if !self.takes(self.session.content_room()) {
                        self.handle(Event::NoRoom);
                        self.takes(self.session.content_room());
                    }
                }
            },
            () = timer.as_mut() => {
                self.handle(Event::TimedOut);
                // The deadline only ever moves on, so the timer is set when it has run out, not
                // with every read.
                if let Some(deadline) = self.session.next_deadline() {
                    timer.reset(deadline.into());
                }
            }
            () = drain.cancelled(), if !self.is_draining => {
                self.is_draining = true;
                self.handle(Event::Draining);
            }
        }
    }

    /// Content takes so much memory now. False: that is too much.
    fn takes(&mut self, room: usize) -> bool {
        self.share.is_granted(room, self.decider.is_exempt())
    }

    /// What was decided about the peer does not hold for the client that it names.
    async fn adopt(&mut self, named: Option<NamedAddress>) {
        match (named, self.peer) {
            (Some(NamedAddress::Known(client)), _) => self.peer = Peer::Client(client),
            (Some(NamedAddress::Unavailable), Peer::Client(peer)) => self.peer = Peer::Probe(peer),
            (Some(NamedAddress::Unavailable), Peer::Probe(_)) | (None, _) => {}
        }
        if named.is_some() {
            self.proxy = Proxy::HasNamed;
        }
        let is_proxy = self.proxy == Proxy::Silent;
        let listener = self.door.service.listener;
        self.decider = Decider::new(self.peer, is_proxy, listener, &self.visit, &self.context);
        self.share = self.context.memory.share(self.decider.client());
        self.look_for_watchers();
        self.whole.show("client.address", &self.decider.client());
        let verdict = self.whole.around(self.decider.connection()).await;
        self.handle(Event::Connected(verdict));
    }

    /// SEED-203: sessions that go on already are watched too.
    fn look_for_watchers(&mut self) {
        let before = self.decider.watched.take();
        self.decider.watched = self.context.watches.client(self.decider.client(), before);
        self.session.tell_lines(self.decider.watched.is_some());
    }

    fn tell(&self, kind: Kind, text: &str) {
        if let Some(watched) = &self.decider.watched {
            watched.line(kind, text);
        }
    }

    /// Challenges are part of what is secret.
    fn tell_replies(&self, octets: &[u8]) {
        let Some(watched) = &self.decider.watched else { return };
        for line in String::from_utf8_lossy(octets).lines() {
            watched.line(Kind::Server, if line.starts_with("334 ") { "334 ***" } else { line });
        }
    }

    /// SEED-101: who talks before the greeting does not speak SMTP, but sends what it has.
    async fn greeting_is_awaited(&mut self, buffer: &mut [u8]) -> Event<'static> {
        let welcome = Event::Connected(Verdict::Accept(()));
        let pause = self.context.config.greet_pause;
        let talks_first = self.door.service.tls == TlsStart::AtOnce;
        if talks_first || self.door.service.listener != Listener::Relay || self.decider.is_exempt() {
            return welcome;
        }
        if pause.is_zero() || self.proxy == Proxy::Silent {
            return welcome;
        }
        let drain = self.context.drain.clone();
        tokio::select! {
            read = self.stream.read(buffer) => match read {
                Ok(0) | Err(_) => Event::Closed,
                Ok(_) => Event::TalkedEarly,
            },
            () = tokio::time::sleep(pause) => welcome,
            () = drain.cancelled() => welcome,
        }
    }

    /// Clients of our own networks are not guessing.
    async fn pause(&mut self) {
        let longest = PAUSED_AT_ONCE.min(self.context.config.idle_timeout / 2);
        let pause = self.context.config.tarpit.min(longest.saturating_sub(self.paused));
        if self.decider.is_exempt() || pause.is_zero() {
            return;
        }
        self.paused += pause;
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = self.context.drain.cancelled() => {}
        }
    }

    async fn perform(&mut self) -> End {
        while let Some(action) = self.session.next_action() {
            self.note(&action);
            match action {
                Action::Write(octets) => {
                    self.tell_replies(&octets);
                    self.paused = Duration::ZERO;
                    let write = async {
                        self.stream.write_all(&octets).await?;
                        self.stream.flush().await
                    };
                    match tokio::time::timeout(self.context.config.write_timeout, write).await {
                        Ok(Ok(())) => {}
                        Ok(Err(_)) | Err(_) => return End::Lost,
                    }
                }
                Action::Heard(line) => self.tell(Kind::Client, &line),
                Action::Pause => self.pause().await,
                Action::Adopt(named) => self.adopt(named).await,
                Action::StartTls => return End::Handshake,
                Action::Ask(question) => self.answer(question).await,
                Action::Store(transaction) => {
                    self.tell(Kind::Client, &format!("[{} octets of content]", transaction.content.len()));
                    // It stays in memory for as long as the queue takes over it.
                    self.takes(transaction.content.room());
                    let stored = self.store(*transaction).await;
                    self.takes(0);
                    self.handle(Event::Stored(stored));
                }
                Action::Close => return End::Closed,
                Action::Refused { .. } | Action::Ended(_) | Action::AuthEnded { .. } => {}
            }
        }
        End::Quiet
    }

    /// Books what is for logs and metrics only.
    fn note(&mut self, action: &Action) {
        match action {
            Action::Refused { refusal, reverse_path } => {
                let about = About {
                    visit: &self.visit,
                    client: self.decider.client(),
                    helo: self.session.client_name(),
                    identity: self.session.identity(),
                    sender: reverse_path.as_ref(),
                    recipient: None,
                };
                metrics::refused(refusal.check);
                mail_log::refused_by_protocol(&about, *refusal);
            }
            Action::Ended(outcome) => {
                metrics::transaction(*outcome);
                self.span.set("smtp.transaction.outcome", Outcome::name(*outcome));
                self.span = Span::none();
            }
            Action::AuthEnded { mechanism, outcome } => metrics::authentication(*mechanism, *outcome),
            Action::Write(_)
            | Action::Pause
            | Action::Heard(_)
            | Action::Adopt(_)
            | Action::StartTls
            | Action::Ask(_)
            | Action::Store(_)
            | Action::Close => {}
        }
    }

    async fn answer(&mut self, question: Question) {
        let helo = self.session.client_name().unwrap_or_default();
        self.visit.is_of(self.decider.client(), helo, self.session.identity(), self.tls());
        let event = match question {
            Question::Authenticate { step, .. } => {
                Event::AuthAnswered(self.whole.around(self.decider.authenticate(helo, step)).await)
            }
            // RFC 5321 4.5.3.1.9: who has begun may end.
            Question::Sender { .. } if self.context.memory.is_scarce() => {
                Event::SenderAnswered(self.decider.no_room(helo))
            }
            Question::Sender { reverse_path } => {
                self.transactions += 1;
                self.whole.set("smtp.transactions", self.transactions);
                self.span = self.begun();
                let sender = self.decider.sender(helo, self.session.identity(), &reverse_path);
                Event::SenderAnswered(self.span.around(sender).await)
            }
            Question::Recipient { reverse_path, forward_path } => {
                let recipient = self.decider.recipient(helo, &reverse_path, forward_path);
                Event::RecipientAnswered(self.span.around(recipient).await)
            }
        };
        self.handle(event);
    }

    fn tls(&self) -> &'static str {
        self.stream.tls_version().unwrap_or("none")
    }

    async fn store(&self, transaction: Transaction) -> Stored {
        let (client, config) = (self.decider.client(), &self.context.config);
        let (helo, content) = (&transaction.client_name, transaction.content.as_slice());
        let author = self.decider.author(helo, &transaction.reverse_path, content);
        if let Verdict::Refuse(reply) = self.span.around(author).await {
            return Stored::Refused(reply);
        }
        let ordinary = Ordinary { rate: config.bulk_rate, recipients: config.bulk_recipients };
        let rules = self.context.policy.traffic();
        let arrival = accept::Arrival {
            visit: &self.visit,
            tls: self.tls(),
            client,
            lane: self.context.lanes.of(&transaction, client, &rules, ordinary, Instant::now()),
            listener: self.door.service.listener,
            is_trusted: self.decider.is_trusted(),
            admitted_by: self.decider.admitted_by(),
            max_received: self.decider.max_received().unwrap_or(config.max_received),
            config,
        };
        self.span.set("smtp.recipients", i64::try_from(transaction.recipients.len()).unwrap_or(i64::MAX));
        self.span.set("smtp.message.size", i64::try_from(content.len()).unwrap_or(i64::MAX));
        let span = self.span.clone();
        let stored = span.around(accept::store(transaction, &arrival, &self.context.publisher)).await;
        if let Stored::Durable(queue_id) = &stored {
            span.show("mail.queue_id", queue_id);
        }
        stored
    }

    fn begun(&self) -> Span {
        let link = Some(self.whole.origin()).filter(Origin::is_sampled);
        let span = Span::root(&TRANSACTION, TRANSACTION.name, link);
        span.show("client.address", &self.decider.client());
        span.set("smtp.listener", self.door.service.listener.name());
        span
    }

    async fn linger(mut self, buffer: &mut [u8]) {
        let reading = async {
            self.stream.shutdown().await?;
            for _ in 0..LINGER_READS {
                if self.stream.read(buffer).await? == 0 {
                    break;
                }
            }
            std::io::Result::Ok(())
        };
        // The client has our last word or is gone; both are fine.
        let _ = tokio::time::timeout(LINGER, reading).await;
    }
}
