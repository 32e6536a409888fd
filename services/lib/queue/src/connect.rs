//! Connections to NATS: one for work and, when credentials are given, one to the
//! system account, which alone may read the brokers' settings.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_nats::{
    Client, ConnectOptions,
    jetstream::{self, context::ContextBuilder},
};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    custody::Custody,
    durability::DurabilityGate,
    mail_log::{GATHERED_FOR, LogWriter},
};

/// A stream whose leader died answers nobody for 5-6 s: rather ask again than wait long.
const ACK_TIMEOUT: Duration = Duration::from_secs(4);
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);
/// Publishes in flight per process.
const MAX_IN_FLIGHT: usize = 20_000;

#[derive(Debug, Clone)]
pub struct NatsConfig {
    /// `nats://host:port`, several separated by commas.
    pub url: String,
    pub login: Option<Login>,
    /// Login of the system account, for reading the brokers' settings.
    pub system_login: Option<Login>,
    pub tls: Option<NatsTls>,
    /// Name shown in the broker's connection list.
    pub client_name: String,
}

/// Whom we trust and who we are, in PEM. Files are read with each connection, so renewed ones are used from the next
/// one on. With it nothing is said in the clear, whatever the URL says.
#[derive(Debug, Clone)]
pub struct NatsTls {
    pub ca: PathBuf,
    /// Certificate and key that are shown to the broker.
    pub identity: Option<(PathBuf, PathBuf)>,
}

#[derive(Debug, Clone)]
pub struct Login {
    pub user: String,
    pub password: SecretString,
}

#[derive(Debug, thiserror::Error)]
#[error("failed to connect to NATS at {url}")]
pub struct ConnectError {
    url: String,
    #[source]
    source: async_nats::ConnectError,
}

/// A connected client; cheap to clone.
#[derive(Clone)]
pub struct Nats {
    pub(crate) client: Client,
    pub(crate) jetstream: jetstream::Context,
    pub(crate) durability: DurabilityGate,
    /// To the system account, when its login is known.
    pub(crate) system: Option<Client>,
    custody: Custody,
    mail_log: Arc<OnceLock<LogWriter>>,
}

impl fmt::Debug for Nats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nats").finish_non_exhaustive()
    }
}

impl Nats {
    /// Connects and starts watching the brokers' settings. Fails when no server can be reached;
    /// once connected, the client reconnects by itself.
    pub async fn connect(config: &NatsConfig) -> Result<Self, ConnectError> {
        let client = connect(config, config.login.as_ref(), "").await?;
        let system = match &config.system_login {
            Some(login) => Some(connect(config, Some(login), " (system)").await?),
            None => None,
        };
        let jetstream = ContextBuilder::new()
            .timeout(ACK_TIMEOUT)
            .max_ack_inflight(MAX_IN_FLIGHT)
            .backpressure_on_inflight(true)
            .build(client.clone());
        let durability = DurabilityGate::start(system.clone(), jetstream.clone());
        let custody = Custody::start(&client, jetstream.clone());
        Ok(Self { client, jetstream, durability, system, custody, mail_log: Arc::default() })
    }

    /// Whether an acknowledgement means "on disk"; see [`crate::durability`].
    pub fn durability(&self) -> &DurabilityGate {
        &self.durability
    }

    /// Where the ends of recipients are written; see [`crate::custody`].
    pub fn custody(&self) -> &Custody {
        &self.custody
    }

    /// The process's mail log goes into its stream from now on. Once; the stream is there ([`crate::topology`]).
    pub fn keep_mail_log(&self) {
        let (writer, stream) = LogWriter::start(self, GATHERED_FOR);
        if self.mail_log.set(writer).is_ok() {
            hikyaku_mail_log::add(Arc::new(stream));
        }
    }

    pub fn keeps_mail_log(&self) -> bool {
        self.mail_log.get().is_some()
    }

    /// Sends what is buffered, before the process ends. A broker that is gone is not waited for:
    /// what it did not hear, it hands out again.
    pub async fn flush(&self) {
        if tokio::time::timeout(FLUSH_TIMEOUT, self.custody.flush()).await.is_err() {
            tracing::warn!("the last custody events were not written; an audit will miss them");
        }
        if let Some(writer) = self.mail_log.get()
            && tokio::time::timeout(FLUSH_TIMEOUT, writer.flush()).await.is_err()
        {
            tracing::warn!("the last lines of the mail log are not in their stream");
        }
        match tokio::time::timeout(FLUSH_TIMEOUT, self.client.flush()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "buffered acknowledgements were not sent"),
            Err(_) => tracing::warn!("the broker does not take what is buffered"),
        }
    }
}

async fn connect(config: &NatsConfig, login: Option<&Login>, suffix: &str) -> Result<Client, ConnectError> {
    let mut options = ConnectOptions::new()
        .name(format!("{}{suffix}", config.client_name))
        .connection_timeout(Duration::from_secs(5))
        .ping_interval(Duration::from_secs(10))
        // The server list never runs dry: a relay waits for its broker for ever.
        .max_reconnects(None)
        .reconnect_delay_callback(|attempts| Duration::from_millis((50 * attempts as u64).min(2_000)));
    if let Some(login) = login {
        options = options.user_and_password(login.user.clone(), login.password.expose_secret().to_owned());
    }
    if let Some(NatsTls { ca, identity }) = &config.tls {
        options = options.require_tls(true).add_root_certificates(ca.clone());
        if let Some((certificate, key)) = identity {
            options = options.add_client_certificate(certificate.clone(), key.clone());
        }
    }
    let servers: Vec<&str> = config.url.split(',').map(str::trim).collect();
    options.connect(servers).await.map_err(|source| ConnectError { url: config.url.clone(), source })
}
