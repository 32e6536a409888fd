//! What each role runs, and in which order it ends.

use std::time::Duration;

use hikyaku_policy::Additions;
use hikyaku_runtime::observe::Readiness;
use tokio_util::sync::CancellationToken;

use crate::{
    cli::Role,
    config::{Config, broker::Broker},
    nats_child::NatsChild,
    parts, ready,
    reload::Reload,
};

const ADMIN_DRAIN: Duration = Duration::from_secs(1);

pub(crate) async fn run(
    role: Role,
    config: Config,
    reload: Reload,
    readiness: &Readiness,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    match (role, &config.nats) {
        (Role::Up, Broker::Embedded(program)) => {
            let child = NatsChild::prepare(program.as_deref(), &config.data_dir).await?;
            let nats = child.connection();
            let process = child.start().await?;
            let stop_broker = CancellationToken::new();
            let broker = tokio::spawn(child.supervise(process, stop_broker.clone()));
            let result = Box::pin(everything(&config, &nats, reload, readiness, shutdown)).await;
            stop_broker.cancel();
            broker.await?;
            result
        }
        (Role::Up, Broker::Given(nats)) => {
            Box::pin(everything(&config, nats, reload, readiness, shutdown)).await
        }
        (_, Broker::Embedded(_)) => {
            anyhow::bail!("a single role needs a NATS server that others reach too: set nats to its URL")
        }
        (Role::Policy, Broker::Given(nats)) => {
            let nats = parts::queue(nats, &config).await?;
            let (policy, _) = parts::policy(&config, nats.clone(), parts::guard(&config.grpc)?).await?;
            let version = policy.store().versions_in_force();
            ready::to_answer(readiness, version.clone());
            ready::until(readiness, &shutdown);
            parts::announce(&config, &nats, "policy", None, Some(version), &shutdown).await?;
            let result = Box::pin(policy.run(shutdown)).await;
            nats.flush().await;
            Ok(result?)
        }
        (Role::Ingress, Broker::Given(nats)) => {
            let nats = parts::queue(nats, &config).await?;
            let Some(policy) = parts::policy_client(&config.grpc, &shutdown).await? else { return Ok(()) };
            let ingress = parts::ingress(&config, &nats, policy, &shutdown).await?;
            let listeners = ingress.listeners();
            parts::announce(&config, &nats, "ingress", Some(listeners.addresses()), None, &shutdown).await?;
            reload.follow(listeners, config.tls.is_some(), &shutdown);
            ready::to_take_mail(readiness, &nats);
            ready::until(readiness, &shutdown);
            ingress.run(shutdown).await;
            nats.flush().await;
            Ok(())
        }
        (Role::Delivery, Broker::Given(nats)) => {
            let nats = parts::queue(nats, &config).await?;
            let Some(policy) = parts::policy_client(&config.grpc, &shutdown).await? else { return Ok(()) };
            let delivery = parts::delivery(&config, &nats, policy).await?;
            parts::announce(&config, &nats, "delivery", None, None, &shutdown).await?;
            let guard = parts::guard(&config.grpc)?;
            let admin = parts::admin(&config, delivery.admin(), guard, shutdown.clone()).await?;
            ready::to_deliver(readiness, &delivery);
            ready::until(readiness, &shutdown);
            let delivery = delivery.run(shutdown);
            let result = tokio::try_join!(admin, async { Ok(delivery.await?) });
            nats.flush().await;
            result.map(|_| ())
        }
    }
}

/// All roles, over the same interfaces as in a cluster.
async fn everything(
    config: &Config,
    nats: &hikyaku_queue::NatsConfig,
    reload: Reload,
    readiness: &Readiness,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let grpc = parts::operator_token(config)?;
    let guard = parts::guard(&grpc)?;
    let nats = parts::queue(nats, config).await?;
    let (policy, address) = parts::policy(config, nats.clone(), guard.clone()).await?;
    let additions =
        Additions { own_domains: config.own_domains.clone(), relay_networks: config.relay_from.clone() };
    policy.store().ensure(&additions).await?;
    let version = policy.store().versions_in_force();
    // The policy service answers until the others have ended.
    let stop_policy = CancellationToken::new();
    let mut policy = tokio::spawn(policy.run(stop_policy.clone()));
    let ours = grpc.to_ourselves(address);
    let Some(client) = parts::policy_client(&ours, &shutdown).await? else { return Ok(()) };
    let ingress = parts::ingress(config, &nats, client.clone(), &shutdown).await?;
    let delivery = parts::delivery(config, &nats, client).await?;
    let listeners = ingress.listeners();
    parts::announce(config, &nats, "up", Some(listeners.addresses()), Some(version.clone()), &shutdown)
        .await?;
    reload.follow(listeners, config.tls.is_some(), &shutdown);
    let admin = parts::admin(config, delivery.admin(), guard, stop_policy.clone()).await?;
    let admin = tokio::spawn(admin);
    ready::to_answer(readiness, version);
    ready::to_take_mail(readiness, &nats);
    ready::to_deliver(readiness, &delivery);
    ready::until(readiness, &shutdown);
    tracing::info!("ready");
    let ingress = ingress.run(shutdown.clone());
    let relaying = async {
        tokio::try_join!(
            async {
                ingress.await;
                anyhow::Ok(())
            },
            async { anyhow::Ok(delivery.run(shutdown).await?) },
        )
    };
    let result = tokio::select! {
        result = relaying => result,
        // Without it nothing is accepted: better to end and be started again.
        ended = &mut policy => return ended?.map_err(Into::into),
    };
    stop_policy.cancel();
    policy.await??;
    // An operator's call that still runs does not keep the process.
    if let Ok(ended) = tokio::time::timeout(ADMIN_DRAIN, admin).await {
        ended??;
    }
    nats.flush().await;
    tracing::info!("ended");
    result.map(|_| ())
}
