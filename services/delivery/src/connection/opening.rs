//! Address -> session that takes mail: connection, TLS, greeting, login.

use std::{
    net::SocketAddr,
    time::{Instant, SystemTime},
};

use hikyaku_runtime::tls::ClientStream;
use hikyaku_smtp::client::{ClientConfig, Login, StartTls};
use hikyaku_types::{
    destination::{Destination, HostName},
    outcome::{Failure, LocalError, LocalErrorKind, Phase},
    traffic::EgressAddress,
};
use socket2::SockRef;

use crate::{
    connection::{
        host::Host,
        local_error,
        security::{Channel, Security, TlsPolicy},
        source,
        transfer::{RemoteSession, Unopened},
        watching::Watching,
    },
    context::Context,
    history::{Ending, Reach},
    metrics::{self, TlsOutcome},
    outcome::classify,
    traffic::HostTimeouts,
};

/// RFC 8314 3.3: TLS begins with the connection.
pub(crate) const IMPLICIT_TLS_PORT: u16 = 465;

/// Octets that the machine may hold and not yet have sent. What was written when a connection ends is then
/// close to what the peer has had (SEED-213), and a session of a slow peer holds little memory.
const UNSENT: u32 = 32 * 1024;

/// How every host of a destination is called.
pub(crate) struct Opening<'a> {
    pub(crate) context: &'a Context,
    destination: &'a Destination,
    pub(crate) security: Security,
    pub(crate) login: Option<Login>,
    pub(crate) egress: Option<&'a EgressAddress>,
    pub(crate) port: u16,
    /// There is no clear text at that port.
    is_implicit: bool,
    timeouts: HostTimeouts,
}

impl<'a> Opening<'a> {
    pub(crate) fn new(
        context: &'a Context,
        destination: &'a Destination,
        security: Security,
        login: Option<Login>,
        egress: Option<&'a EgressAddress>,
    ) -> Self {
        let (port, is_implicit) = match destination {
            Destination::Mx(_) => (context.config.mx_port, false),
            Destination::Host { port, .. } => (*port, *port == IMPLICIT_TLS_PORT),
        };
        let timeouts = context.timeouts(destination);
        Self { context, destination, security, login, egress, port, is_implicit, timeouts }
    }

    /// TCP. What fails here is remembered here.
    pub(crate) async fn connection(
        &self,
        host: &HostName,
        address: SocketAddr,
    ) -> Result<ClientStream, Failure> {
        let begun = Instant::now();
        let host = Host { name: host.to_string(), address };
        let connected = self.connect(&host).await;
        if let Err(failure) = &connected {
            self.remember(Reach::Unconnected, Some(failure), begun);
        }
        connected
    }

    /// What comes after it. `policy` is what this host must show.
    pub(crate) async fn on(
        &self,
        host: &HostName,
        address: SocketAddr,
        stream: ClientStream,
        policy: &TlsPolicy,
    ) -> Result<RemoteSession, Failure> {
        let begun = Instant::now();
        let opened = self.opened(host, address, stream, policy).await;
        self.remember(Reach::Connected, opened.as_ref().err(), begun);
        opened
    }

    fn remember(&self, reach: Reach, failure: Option<&Failure>, begun: Instant) {
        self.context.history.session(self.destination, reach, Instant::now());
        if let Some(failure) = failure {
            let (waited, lasted) = (begun.elapsed(), begun.elapsed());
            self.context.failed(self.destination, failure, Ending { waited, lasted, ..Ending::default() });
        }
    }

    async fn opened(
        &self,
        host: &HostName,
        address: SocketAddr,
        stream: ClientStream,
        policy: &TlsPolicy,
    ) -> Result<RemoteSession, Failure> {
        let begun = Instant::now();
        let host = Host { name: host.to_string(), address };
        let opened = match self.attempt(&host, stream, policy, policy.starttls()).await {
            Err(Unopened::NoTls(reason)) if policy.bears_clear() && !self.is_implicit => {
                metrics::tls_session(policy, TlsOutcome::Failed);
                tracing::info!(host = host.name, %address, reason = reason.what,
                    "no TLS with a host that offers it; going on in the clear");
                match self.connect(&host).await {
                    Ok(stream) => self.attempt(&host, stream, policy, StartTls::Never).await,
                    Err(failure) => Err(Unopened::Failed(failure)),
                }
            }
            opened => opened,
        };
        match opened {
            Ok(remote) => {
                metrics::tls_session(policy, TlsOutcome::Opened(remote.channel().secured));
                Ok(remote)
            }
            Err(Unopened::NoTls(reason)) => {
                metrics::tls_session(policy, TlsOutcome::Failed);
                let what = host.named(&format!("no TLS: {}", reason.what));
                Err(classify::no_tls(
                    LocalError { what, elapsed: begun.elapsed(), ..reason },
                    SystemTime::now(),
                ))
            }
            Err(Unopened::Failed(failure)) => {
                if failure.phase == Phase::Tls {
                    metrics::tls_session(policy, TlsOutcome::Refused);
                }
                Err(failure)
            }
        }
    }

    async fn attempt(
        &self,
        host: &Host,
        stream: ClientStream,
        policy: &TlsPolicy,
        starttls: StartTls,
    ) -> Result<RemoteSession, Unopened> {
        let watching = Watching::new(self.context.watches.clone(), self.destination.clone());
        watching.note(|| host.named(&format!("connected, TLS {}", policy.name())));
        let opened = self.begun(host, stream, policy, starttls, watching.clone()).await;
        if let Err(unopened) = &opened {
            watching.note(|| match unopened {
                Unopened::Failed(failure) => failure.cause.to_string(),
                Unopened::NoTls(reason) => format!("no TLS: {}", reason.what),
            });
        }
        opened
    }

    async fn begun(
        &self,
        host: &Host,
        mut stream: ClientStream,
        policy: &TlsPolicy,
        starttls: StartTls,
        watching: Watching,
    ) -> Result<RemoteSession, Unopened> {
        let mut channel = Channel { policy: policy.clone(), secured: None };
        let tls = policy.trust().map(|trust| (&self.context.tls, trust));
        if let (true, Some((connector, trust))) = (self.is_implicit, &tls) {
            let secured = connector.secure(stream, &host.name, trust).await;
            let (over_tls, secured) =
                secured.map_err(|error| Unopened::NoTls(local_error::of_handshake(&error)))?;
            stream = over_tls;
            channel.secured = Some(secured);
        }
        let own_name = self.egress.and_then(|egress| egress.name.as_ref());
        let config = ClientConfig {
            helo_name: own_name.unwrap_or(&self.context.config.hostname).to_string(),
            is_secure: channel.secured.is_some(),
            starttls,
            login: self.login.clone(),
            timeouts: self.timeouts.dialogue,
        };
        let asked = (channel, self.security.clone());
        RemoteSession::open(stream, host.clone(), asked, config, tls, watching).await
    }

    async fn connect(&self, host: &Host) -> Result<ClientStream, Failure> {
        let address = host.address;
        let begun = Instant::now();
        let failed = |error: LocalError| {
            let error = LocalError { what: host.named(&error.what), elapsed: begun.elapsed(), ..error };
            let failure = classify::no_reply(Phase::Connect, error, SystemTime::now());
            Watching::new(self.context.watches.clone(), self.destination.clone())
                .note(|| failure.cause.to_string());
            failure
        };
        let limit = self.timeouts.connect;
        let stream = match tokio::time::timeout(limit, source::connect(address, self.egress)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(failed(error)),
            Err(_) => {
                let what = format!("no answer within {} s", limit.as_secs());
                return Err(failed(LocalError::new(LocalErrorKind::Timeout, what)));
            }
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%address, %error, "packets will be held back");
        }
        if let Err(error) = SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT) {
            tracing::debug!(%address, %error, "what was handed over may be far from sent");
        }
        Ok(ClientStream::Plain(stream))
    }
}
