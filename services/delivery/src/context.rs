//! What every part of delivery needs; made once, shared by all actors.

use std::sync::Arc;

use hikyaku_policy_client::PolicyClient;
use hikyaku_queue::{
    Nats, body_store::BodyStore, holds::HoldStore, presence::Register, publish::Publisher,
    reschedule::Rescheduler, watch::Watches,
};
use hikyaku_route::{resolver::Resolver, sts::StsPolicy};
use hikyaku_runtime::tls::TlsConnector;
use hikyaku_types::{domain::Domain, shard::ShardCount};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::{
    clock::QueueClock,
    config::DeliveryConfig,
    egress::LocalAddresses,
    fair::Slots,
    fence::Fence,
    history::History,
    outcome::{Failures, Greylists},
    shard::Depths,
    sites::{Books, Sites},
    sts::StsPolicies,
};

pub(crate) struct Context {
    pub(crate) config: DeliveryConfig,
    pub(crate) nats: Nats,
    pub(crate) shards: ShardCount,
    pub(crate) fence: Fence,
    pub(crate) clock: QueueClock,
    pub(crate) local_addresses: LocalAddresses,
    pub(crate) publisher: Publisher,
    pub(crate) rescheduler: Rescheduler,
    pub(crate) bodies: BodyStore,
    pub(crate) holds: HoldStore,
    /// Who else there is.
    pub(crate) register: Register,
    pub(crate) policy: PolicyClient,
    pub(crate) resolver: Resolver,
    /// `None`: MTA-STS is off.
    pub(crate) sts: Option<StsPolicies>,
    pub(crate) tls: TlsConnector,
    /// Who watches which sessions.
    pub(crate) watches: Watches,
    /// One for each session that has its greeting.
    pub(crate) slots: Slots,
    pub(crate) greylists: Greylists,
    pub(crate) failures: Failures,
    pub(crate) history: History,
    pub(crate) sites: Sites,
    pub(crate) books: Books,
    pub(crate) depths: Depths,
    /// One permit for each session that waits for its greeting: hosts that say nothing keep
    /// nobody from those that do.
    pub(crate) openings: Arc<Semaphore>,
    /// What runs beside the actors and must end before the process does.
    pub(crate) tasks: TaskTracker,
}

impl Context {
    pub(crate) async fn sts_policy(&self, domain: &Domain) -> Option<Arc<StsPolicy>> {
        self.sts.as_ref()?.policy(domain).await
    }
}
