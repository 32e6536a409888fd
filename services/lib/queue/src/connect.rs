//! Connections to NATS: one for work and, when credentials are given, one to the
//! system account, which alone may read the brokers' settings.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_nats::{
    Client, ConnectOptions,
    jetstream::{self, context::ContextBuilder},
};
use secrecy::{ExposeSecret as _, SecretString};

use crate::durability::DurabilityGate;

/// A stream whose leader died answers nobody for 5-6 s: rather ask again than wait long.
const ACK_TIMEOUT: Duration = Duration::from_secs(4);
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);
const CONTACT_INTERVAL: Duration = Duration::from_millis(500);
/// Publishes in flight per process.
const MAX_IN_FLIGHT: usize = 20_000;
/// Any user may ask the server about itself: the cheapest proof that it is there.
const CONTACT_SUBJECT: &str = "$SYS.REQ.USER.INFO";

#[derive(Debug, Clone)]
pub struct NatsConfig {
    /// `nats://host:port`, several separated by commas.
    pub url: String,
    pub login: Option<Login>,
    /// Login of the system account, for reading the brokers' settings.
    pub system_login: Option<Login>,
    /// Name shown in the broker's connection list.
    pub client_name: String,
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
    contact: Contact,
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
        let contact = Contact::new();
        tokio::spawn(keep_contact(client.clone(), contact.clone()));
        let durability = DurabilityGate::start(system, jetstream.clone());
        Ok(Self { client, jetstream, durability, contact })
    }

    pub fn contact(&self) -> &Contact {
        &self.contact
    }

    /// Whether an acknowledgement means "on disk"; see [`crate::durability`].
    pub fn durability(&self) -> &DurabilityGate {
        &self.durability
    }

    /// Sends what is buffered, before the process ends. A broker that is gone is not waited for:
    /// what it did not hear, it hands out again.
    pub async fn flush(&self) {
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
    let servers: Vec<&str> = config.url.split(',').map(str::trim).collect();
    options.connect(servers).await.map_err(|source| ConnectError { url: config.url.clone(), source })
}

/// When the broker was last heard. The pin of a consumer is not a fence: a worker that was paused
/// goes on with what it had buffered, so it asks here before it does what cannot be undone.
#[derive(Clone, Debug)]
pub struct Contact {
    start: Instant,
    last_millis: Arc<AtomicU64>,
}

impl Contact {
    fn new() -> Self {
        Self { start: Instant::now(), last_millis: Arc::new(AtomicU64::new(0)) }
    }

    fn heard(&self, asked_at: Instant) {
        let millis = asked_at.duration_since(self.start).as_millis();
        self.last_millis.store(u64::try_from(millis).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Time since the question whose answer came last was asked.
    pub fn age(&self, now: Instant) -> Duration {
        let last = self.start + Duration::from_millis(self.last_millis.load(Ordering::Relaxed));
        now.saturating_duration_since(last)
    }
}

async fn keep_contact(client: Client, contact: Contact) {
    let mut ticks = tokio::time::interval(CONTACT_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let asked_at = Instant::now();
        let question = client.request(CONTACT_SUBJECT, bytes::Bytes::new());
        match tokio::time::timeout(CONTACT_INTERVAL * 4, question).await {
            Ok(Ok(_)) => contact.heard(asked_at),
            Ok(Err(error)) => tracing::debug!(%error, "the broker did not answer"),
            Err(_) => tracing::debug!("the broker did not answer in time"),
        }
    }
}
