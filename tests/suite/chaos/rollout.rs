//! Every pod is replaced while mail flows, in the order and with the pauses that the chart gives Kubernetes.
//! Three brokers, because with one its restart is an outage and no rollout.

mod plan; // the chart's times
mod pods; // what a Deployment does
mod clients; // behind a balancer that knows who is ready

use std::time::Duration;

use hikyaku_testkit::{
    eventually::eventually,
    mx::{Script, ScriptedMx},
    nats_cluster::{NODES, NatsCluster},
};

use self::{
    clients::{Clients, Service},
    plan::Plan,
    pods::Pods,
};
use crate::{
    chart::helm::helm,
    lab::http_get,
    rig::{Brokers, Rig},
};

const REPLICAS: usize = 3;
const DOMAINS: usize = 8;
/// Messages that flow before and after each part, so that pods are replaced under load.
const BETWEEN: usize = 100;
const SETTLED: Duration = Duration::from_secs(90);
/// A broker that reads its store, elects and catches up.
const CAUGHT_UP: Duration = Duration::from_secs(120);

struct Rollout {
    rig: Rig,

    ingress: Pods,
    delivery: Pods,
    policy: Pods,
    clients: Clients,
    servers: Vec<ScriptedMx>,
}

impl Rollout {
    /// Three pods of each role, and mail that has begun to flow. `None` where there is no helm.
    async fn begin() -> anyhow::Result<Option<Self>> {
        let Some(helm) = helm() else { return Ok(None) };
        let plan = Plan::of(&helm.shape("minimal"));
        let mut servers = Vec::new();
        let mut domains = Vec::new();
        for n in 0..DOMAINS {
            // Some take their time, so that transactions run whenever a worker is told to end.
            let script =
                if n % 4 == 3 { Script::SlowContent(Duration::from_millis(100)) } else { Script::Accept };
            let server = ScriptedMx::start(script).await?;
            domains.push((format!("d{n}.test"), server.address()));
            servers.push(server);
        }
        let brokers = Brokers::Three(NatsCluster::start().await?);
        let mut rig = Rig::start(brokers, &domains, "[ingress]\nbulk_rate = \"100000/s\"\n").await?;

        let policy = Pods::policies(&mut rig, &plan, REPLICAS).await?;
        rig.policy.end().await?;
        let service = Service::default();
        let ingress = Pods::ingress(&mut rig, &plan, REPLICAS, &service).await?;
        let delivery = Pods::workers(&mut rig, &plan, REPLICAS).await?;
        let clients = Clients::begin(&service, plan.probe);
        clients.more_mail(BETWEEN).await;
        Ok(Some(Self { rig, ingress, delivery, policy, clients, servers }))
    }

    /// Everything that was acknowledged has arrived, once, and clients heard nothing but 421.
    async fn end(&mut self) -> anyhow::Result<()> {
        self.clients.more_mail(BETWEEN).await;
        self.clients.stop().await;
        eventually(SETTLED, async || match self.clients.missing(&self.servers) {
            (0, _) => Ok(()),
            (missing, accepted) => Err(format!("{missing} of {accepted} missing")),
        })
        .await;
        let end = self.clients.end(&self.servers);
        println!("{end}");
        self.ingress.have_ended().await?;
        self.policy.have_ended().await?;
        self.delivery.have_ended().await?;
        // Workers that this machine has let wait for so long that others took what they had.
        let is_taken = |line: &serde_json::Value| line["message"] == "shard was taken by another worker";
        let stalls = self.delivery.all().filter(|worker| worker.log().iter().any(is_taken)).count();
        let sessions: usize = self.servers.iter().map(ScriptedMx::most_sessions).sum();
        assert!(end.duplicates <= end.unanswered + stalls * sessions, "{end}; {stalls} stalls");
        assert!(end.faults.is_empty(), "{end}");
        Ok(())
    }
}

/// Role by role, pod by pod.
#[tokio::test]
async fn each_pod_is_replaced_and_nobody_notices() -> anyhow::Result<()> {
    let Some(mut rollout) = Rollout::begin().await? else { return Ok(()) };
    let Rollout { rig, ingress, delivery, policy, clients, .. } = &mut rollout;
    for pods in [policy, ingress, delivery] {
        pods.replace_all(rig).await?;
        clients.more_mail(BETWEEN).await;
    }
    rollout.end().await
}

/// As `helm upgrade` with another image: all Deployments at the same time.
#[tokio::test]
async fn all_roles_are_replaced_at_once() -> anyhow::Result<()> {
    let Some(mut rollout) = Rollout::begin().await? else { return Ok(()) };
    let Rollout { rig, ingress, delivery, policy, .. } = &mut rollout;
    for _ in 0..REPLICAS {
        for pods in [&mut *policy, &mut *ingress, &mut *delivery] {
            pods.replace_one(rig).await?;
        }
    }
    rollout.end().await
}

/// The StatefulSet, from the last to the first, each when the one before is ready.
#[tokio::test]
async fn brokers_are_replaced_one_by_one() -> anyhow::Result<()> {
    let Some(mut rollout) = Rollout::begin().await? else { return Ok(()) };
    for node in (0..NODES).rev() {
        let before = rollout.clients.accepted();
        let cluster = rollout.rig.cluster()?;
        cluster.lame_duck(node)?;
        eventually(CAUGHT_UP, async || match cluster.has_ended(node) {
            Ok(true) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
        cluster.restart(node)?;
        let monitor = cluster.monitor(node);
        eventually(CAUGHT_UP, async || match http_get(monitor, "/healthz").await {
            Ok((200, _)) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
        println!("broker {node}: {} messages meanwhile", rollout.clients.accepted() - before);
    }
    rollout.end().await
}
