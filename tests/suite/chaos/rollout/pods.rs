//! The pods of one role: a new one first, an old one when the new one is ready.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use hikyaku_testkit::{eventually::eventually, port, relay::Relay};
use tokio::task::JoinSet;

use super::{
    clients::Service,
    plan::{Plan, Times},
};
use crate::{lab::http_get, rig::Rig};

const STARTED: Duration = Duration::from_secs(60);

pub struct Pods {
    role: Role,
    times: Times,
    running: VecDeque<Relay>,
    /// They end while the next one is replaced already.
    ending: JoinSet<anyhow::Result<Relay>>,
    ended: Vec<Relay>,
}

enum Role {
    Ingress(Service),
    Delivery,
    /// Addresses that the service's name may lead to; the first is free.
    Policy(VecDeque<SocketAddr>),
}

impl Pods {
    pub async fn policies(rig: &mut Rig, plan: &Plan, count: usize) -> anyhow::Result<Self> {
        // All may be ending when all are new, and one more comes first.
        let addresses: Vec<SocketAddr> =
            (0..=2 * count).map(|_| port::unused()).collect::<std::io::Result<_>>()?;
        rig.asks(&addresses);
        Self::start(rig, Role::Policy(addresses.into()), plan.policy, count).await
    }

    pub async fn ingress(
        rig: &mut Rig,
        plan: &Plan,
        count: usize,
        service: &Service,
    ) -> anyhow::Result<Self> {
        Self::start(rig, Role::Ingress(service.clone()), plan.ingress, count).await
    }

    pub async fn workers(rig: &mut Rig, plan: &Plan, count: usize) -> anyhow::Result<Self> {
        Self::start(rig, Role::Delivery, plan.delivery, count).await
    }

    async fn start(rig: &mut Rig, role: Role, times: Times, count: usize) -> anyhow::Result<Self> {
        let mut pods =
            Self { role, times, running: VecDeque::new(), ending: JoinSet::new(), ended: Vec::new() };
        for _ in 0..count {
            pods.one_more(rig).await?;
        }
        Ok(pods)
    }

    pub async fn replace_all(&mut self, rig: &mut Rig) -> anyhow::Result<()> {
        for _ in 0..self.running.len() {
            self.replace_one(rig).await?;
        }
        self.have_ended().await
    }

    /// The oldest goes when there is a new one; its end is not waited for.
    pub async fn replace_one(&mut self, rig: &mut Rig) -> anyhow::Result<()> {
        self.one_more(rig).await?;
        tokio::time::sleep(self.times.min_ready).await;
        let Some(mut old) = self.running.pop_front() else { return Ok(()) };
        if let Role::Ingress(service) = &self.role {
            service.leaves(old.smtp());
        }
        let Times { pre_stop, grace, .. } = self.times;
        self.ending.spawn(async move {
            tokio::time::sleep(pre_stop).await;
            let status = tokio::time::timeout(grace, old.stop()).await;
            anyhow::ensure!(matches!(status, Ok(Ok(Some(0)))), "it did not end by itself: {status:?}");
            Ok(old)
        });
        Ok(())
    }

    /// Waits for those that are ending: none needs SIGKILL.
    pub async fn have_ended(&mut self) -> anyhow::Result<()> {
        while let Some(ended) = self.ending.join_next().await {
            self.ended.push(ended??);
        }
        Ok(())
    }

    pub fn all(&self) -> impl Iterator<Item = &Relay> {
        self.running.iter().chain(&self.ended)
    }

    /// Returns when it is ready.
    async fn one_more(&mut self, rig: &mut Rig) -> anyhow::Result<()> {
        let metrics = port::unused()?;
        let line = format!("metrics = \"{metrics}\"");
        let pod = match &mut self.role {
            Role::Ingress(_) => rig.ingress_with(&line).await?,
            Role::Delivery => rig.worker_with(&line).await?,
            Role::Policy(addresses) => {
                addresses.rotate_left(1);
                rig.policy_at(addresses[addresses.len() - 1], metrics)?
            }
        };
        eventually(STARTED, async || match http_get(metrics, "/readyz").await {
            Ok((200, _)) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
        if let Role::Ingress(service) = &self.role {
            service.joins(pod.smtp(), metrics);
        }
        self.running.push_back(pod);
        Ok(())
    }
}
