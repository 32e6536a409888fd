//! What every part of delivery needs; made once, shared by all actors.

use std::sync::{Arc, atomic::AtomicUsize};

use hikyaku_policy_client::PolicyClient;
use hikyaku_queue::{
    Nats, body_store::BodyStore, holds::HoldStore, publish::Publisher, reschedule::Rescheduler,
};
use hikyaku_route::resolver::Resolver;
use tokio::sync::{Notify, Semaphore};
use tokio_util::task::TaskTracker;

use crate::config::DeliveryConfig;

pub(crate) struct Context {
    pub(crate) config: DeliveryConfig,
    pub(crate) nats: Nats,
    pub(crate) publisher: Publisher,
    pub(crate) rescheduler: Rescheduler,
    pub(crate) bodies: BodyStore,
    pub(crate) holds: HoldStore,
    pub(crate) policy: PolicyClient,
    pub(crate) resolver: Resolver,
    /// One permit for each session that has its greeting.
    pub(crate) sessions: Arc<Semaphore>,
    /// One permit for each session that waits for its greeting: hosts that say nothing keep
    /// nobody from those that do.
    pub(crate) openings: Arc<Semaphore>,
    /// Who waits for a permit of `sessions`; told by `make_room`, idle sessions end then.
    pub(crate) wanted: AtomicUsize,
    pub(crate) make_room: Notify,
    /// What runs beside the actors and must end before the process does.
    pub(crate) tasks: TaskTracker,
}
