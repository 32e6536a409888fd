//! Configuration -> services. Each part is built here and nowhere else, so that `up` and the
//! single roles are the same code.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use bytes::Bytes;
use hikyaku_delivery::{admin::Admin, app::Records};
use hikyaku_grpc::Guard;
use hikyaku_ingress::{listeners::Listeners, service::Listening};
use hikyaku_mail_log::{
    Form, Sink,
    sink::{File, Output, Stdout},
};
use hikyaku_policy::{App as PolicyApp, PolicyConfig, Surroundings};
use hikyaku_policy_client::{PolicyClient, PolicyClientConfig};
use hikyaku_queue::{
    Nats, NatsConfig,
    holds::HoldStore,
    mail_log::{Forward, Forwarded},
    presence::{Presence, Register},
    publish::Publisher,
    roster::Roster,
    sts::StsStore,
    topology::{self, TopologyConfig},
    watch::Watches,
};
use hikyaku_route::resolver::Resolver;
use hikyaku_runtime::{
    mail_log::{NotTaken, Otlp, Webhook},
    telemetry::LogFormat,
    tls::TlsAcceptor,
};
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;

use crate::{
    cli::Role,
    config::{Config, grpc::GrpcConfig, mail_log::MailLogConfig},
};

/// A broker or a policy service that starts at the same time may need so long.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
const READY_POLL: Duration = Duration::from_millis(100);
/// In the data folder of `up`.
const OPERATOR_TOKEN: &str = "operator-token";

/// Counters of other roles would stand at zero for ever.
pub(crate) fn describe_metrics(role: Role) {
    hikyaku_runtime::metrics::describe();
    hikyaku_queue::metrics::describe();
    hikyaku_grpc::metrics::describe();
    hikyaku_mail_log::metrics::describe();
    if matches!(role, Role::Up | Role::Ingress | Role::Delivery) {
        hikyaku_policy_client::metrics::describe();
    }
    if matches!(role, Role::Up | Role::Ingress) {
        hikyaku_ingress::metrics::describe();
    }
    if matches!(role, Role::Up | Role::Delivery) {
        hikyaku_delivery::metrics::describe();
    }
    if matches!(role, Role::Up | Role::Policy) {
        hikyaku_policy::metrics::describe();
    }
}

/// Where the process's mail log goes. The stream of the cluster comes later, when there is a broker.
pub(crate) fn begin_mail_log(role: Role, config: &Config, output: Output) -> anyhow::Result<()> {
    let MailLogConfig { stdout, connections, file, otlp, .. } = &config.mail_log;
    let mut sinks: Vec<Arc<dyn Sink>> = Vec::new();
    if *stdout {
        let form = match config.telemetry.log_format {
            LogFormat::Json => Form::Json,
            LogFormat::Text => Form::Text,
        };
        sinks.push(Arc::new(Stdout { form, output }));
    }
    if let Some(file) = file {
        sinks.push(Arc::new(File::open(file.clone())?));
    }
    if let (true, Some(collector)) = (*otlp, &config.telemetry.traces) {
        sinks.push(Arc::new(Otlp::new(collector)?));
    }
    let place = hikyaku_mail_log::Place { node: config.delivery.node.clone(), role: role.name().to_owned() };
    hikyaku_mail_log::begin(place, *connections, sinks);
    Ok(())
}

struct Forwarding(Webhook);

impl Forward for Forwarding {
    async fn forward(&self, id: &str, lines: Bytes) -> Forwarded {
        match self.0.post(id, lines).await {
            Ok(()) => Forwarded::Taken,
            Err(NotTaken::Later(reason)) => Forwarded::Later(reason),
            Err(NotTaken::Refused(reason)) => Forwarded::Refused(reason),
            Err(NotTaken::Unclear(reason)) => Forwarded::Unclear(reason),
        }
    }
}

/// Connects, and makes the streams what they should be.
pub(crate) async fn queue(nats: &NatsConfig, config: &Config) -> anyhow::Result<Nats> {
    let deadline = tokio::time::Instant::now() + READY_TIMEOUT;
    let nats = loop {
        match Nats::connect(nats).await {
            Ok(connected) => break connected,
            Err(error) if tokio::time::Instant::now() >= deadline => return Err(error.into()),
            Err(error) => {
                tracing::debug!(%error, "waiting for NATS");
                tokio::time::sleep(READY_POLL).await;
            }
        }
    };
    loop {
        match topology::reconcile(&nats, &config.topology).await {
            Ok(()) => break,
            // A cluster that has just started has no leaders yet.
            Err(
                error @ (topology::TopologyError::Stream { .. } | topology::TopologyError::Consumer { .. }),
            ) if tokio::time::Instant::now() < deadline => {
                tracing::warn!(error = hikyaku_runtime::error_chain::chain(&error), "waiting for JetStream");
                tokio::time::sleep(READY_POLL * 5).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    if let Some(limits) = config.mail_log.kept {
        // It is a witness: mail can do without it.
        match topology::reconcile_mail_log(&nats, &config.topology, limits).await {
            Ok(()) => nats.keep_mail_log(),
            Err(error) => {
                let error = hikyaku_runtime::error_chain::chain(&error);
                tracing::error!(
                    error,
                    "the mail log is not kept in its stream; hikyakuctl trace will not find messages"
                );
            }
        }
    }
    Ok(nats)
}

/// Who may call our services.
pub(crate) fn guard(grpc: &GrpcConfig) -> anyhow::Result<Guard> {
    let guard = &grpc.guard;
    if guard.callers.is_none() && guard.operator_token.is_none() {
        tracing::warn!("no operator is known here: grpc.callers says who may look and change");
    }
    Guard::new(guard).context("grpc")
}

/// `up` keeps a token for its operator, unless a file says who may call.
pub(crate) fn operator_token(config: &Config) -> anyhow::Result<GrpcConfig> {
    let grpc = config.grpc.clone();
    if grpc.guard.callers.is_some() {
        return Ok(grpc);
    }
    let folder = &config.data_dir;
    std::fs::create_dir_all(folder).with_context(|| format!("failed to prepare {}", folder.display()))?;
    let file = folder.join(OPERATOR_TOKEN);
    hikyaku_grpc::token::keep(&file).with_context(|| format!("failed to keep {}", file.display()))?;
    tracing::info!(file = %file.display(), "operators show the token in this file");
    Ok(grpc.with_operator_token(file))
}

/// The service, and where it listens.
pub(crate) async fn policy(
    config: &Config,
    nats: Nats,
    guard: Guard,
) -> anyhow::Result<(PolicyApp, SocketAddr)> {
    let listener = bind("policy", config.policy_listen).await?;
    let address = listener.local_addr()?;
    // On loopback many services share an address, so there it says nothing about a loop.
    let outside = |ip: &IpAddr| !ip.is_loopback() && !ip.is_unspecified();
    let own_addresses = config.places.iter().map(|place| place.address.ip()).filter(outside).collect();
    let dns_servers = config.dns.servers.iter().map(SocketAddr::ip).filter(outside).collect();
    let hostname = config.ingress.hostname.to_string();
    let surroundings = Surroundings { own_addresses, hostname, dns_servers, ..Surroundings::default() };
    let ldap = config.ldap.clone();
    let policy = PolicyConfig { replicas: config.topology.replicas, surroundings, ldap, guard };
    Ok((PolicyApp::build(policy, listener, nats).await?, address))
}

/// Absent: the process was told to stop before there was an answer.
pub(crate) async fn policy_client(
    grpc: &GrpcConfig,
    shutdown: &CancellationToken,
) -> anyhow::Result<Option<PolicyClient>> {
    let endpoint = &grpc.policy_endpoint;
    let access = grpc.client.clone();
    let client = PolicyClient::new(PolicyClientConfig { access, ..PolicyClientConfig::new(endpoint) })?;
    let Some(ready) = shutdown.run_until_cancelled(client.wait_ready(READY_TIMEOUT)).await else {
        return Ok(None);
    };
    ready.with_context(|| format!("policy service {endpoint}"))?;
    Ok(Some(client))
}

pub(crate) async fn ingress(
    config: &Config,
    nats: &Nats,
    policy: PolicyClient,
    shutdown: &CancellationToken,
) -> anyhow::Result<hikyaku_ingress::app::App> {
    let mut listeners = Vec::new();
    for place in &config.places {
        let socket = bind(place.key, place.address).await?;
        listeners.push(Listening { socket, address: place.address, service: place.service.clone() });
    }
    let tls = config.tls.clone().map(TlsAcceptor::new).transpose()?;
    if let Err(reason) = nats.durability().first_verdict().await {
        tracing::error!(%reason, "mail is answered 451 until this is mended");
    }
    let publisher = Publisher::new(nats.clone(), config.topology.shards);
    let watches = Watches::new(&config.delivery.node);
    tokio::spawn(shutdown.clone().run_until_cancelled_owned(watches.clone().listen(nats.clone())));
    Ok(hikyaku_ingress::app::App::build(config.ingress.clone(), listeners, tls, policy, publisher, watches))
}

pub(crate) async fn delivery(
    config: &Config,
    nats: &Nats,
    policy: PolicyClient,
) -> anyhow::Result<hikyaku_delivery::app::App> {
    let delivery = config.delivery.clone();
    let resolver = Resolver::new(config.dns.clone())?;
    let TopologyConfig { shards, replicas, mail_log: _ } = config.topology;
    let records = Records {
        roster: Roster::open(nats, replicas).await?,
        holds: HoldStore::open(nats, replicas).await?,
        register: Register::open(nats, replicas).await?,
        // Mail can do without it.
        sts: StsStore::open(nats, replicas)
            .await
            .inspect_err(|error| {
                tracing::warn!(
                    error = hikyaku_runtime::error_chain::chain(error),
                    "MTA-STS policies are not kept"
                )
            })
            .ok(),
    };
    if let Some(webhook) = config.mail_log.webhook.clone().filter(|_| nats.keeps_mail_log()) {
        let webhook = Webhook::new(webhook).context("mail_log.webhook")?;
        let nats = nats.clone();
        tokio::spawn(async move { nats.forward_mail_log(&Forwarding(webhook)).await });
    }
    let nats = nats.clone();
    Ok(hikyaku_delivery::app::App::build(delivery, nats, records, shards, policy, resolver)?)
}

/// SEED-130: listeners are those of the configuration, also when that has changed. A new one is bound before an
/// old one ends; when it cannot be, nothing changes.
pub(crate) async fn change_listeners(
    listeners: &Listeners,
    config: &Config,
    has_tls: bool,
) -> anyhow::Result<()> {
    if config.tls.is_some() != has_tls {
        anyhow::bail!("tls was added or taken away, which takes a restart");
    }
    let wanted: Vec<_> = config.places.iter().map(|place| (place.address, place.service.clone())).collect();
    let mut bound = Vec::new();
    for (address, service) in listeners.missing(&wanted).await {
        let place = config.places.iter().find(|place| place.address == address && place.service == service);
        let socket = bind(place.map_or("smtp", |place| place.key), address).await?;
        bound.push(Listening { socket, address, service });
    }
    listeners.change(&wanted, bound).await;
    Ok(())
}

/// Tells the others of this process until `shutdown`. `listeners` is where it takes mail, `version` that of the
/// directory, when it serves it.
pub(crate) async fn announce(
    config: &Config,
    nats: &Nats,
    role: &str,
    listeners: Option<watch::Receiver<Vec<SocketAddr>>>,
    version: Option<watch::Receiver<Option<u64>>>,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let register = Register::open(nats, config.topology.replicas).await?;
    let presence = Presence {
        node: config.delivery.node.clone(),
        role: role.to_owned(),
        hostname: config.ingress.hostname.to_string(),
        listeners: Vec::new(),
        directory_version: None,
    };
    tokio::spawn(shutdown.clone().run_until_cancelled_owned(register.keep(presence, listeners, version)));
    Ok(())
}

/// The operators' service; it answers until the very end.
pub(crate) async fn admin(
    config: &Config,
    admin: Admin,
    guard: Guard,
    shutdown: CancellationToken,
) -> anyhow::Result<impl Future<Output = anyhow::Result<()>> + use<>> {
    let listener = bind("admin", config.admin_listen).await?;
    Ok(async move { Ok(admin.serve(listener, guard, shutdown).await?) })
}

async fn bind(service: &'static str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = match TcpListener::bind(address).await {
        Ok(listener) => listener,
        // SEED-131: the list holds our own addresses, and nothing else.
        Err(error) if error.kind() == std::io::ErrorKind::AddrNotAvailable => {
            anyhow::bail!("{service}: {address} is not an address of this machine")
        }
        Err(error) => {
            return Err(error).with_context(|| format!("failed to listen on {address} ({service})"));
        }
    };
    // Port 0 means any: this line says which it became.
    let address = listener.local_addr()?;
    tracing::info!(service, %address, "listening");
    Ok(listener)
}
