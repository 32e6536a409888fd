//! Composition root of delivery.

use std::{
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use hikyaku_policy_client::PolicyClient;
use hikyaku_queue::{
    Nats, body_store::BodyStore, holds::HoldStore, publish::Publisher, reschedule::Rescheduler,
};
use hikyaku_route::resolver::Resolver;
use hikyaku_types::shard::ShardCount;
use ractor::Actor;
use tokio::sync::{Notify, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    admin::Admin,
    config::DeliveryConfig,
    context::Context,
    supervisor::{Supervisor, SupervisorMessage},
};

/// For writing what was decided, after the last transaction has ended.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(4);

pub struct App {
    context: Arc<Context>,
    shards: ShardCount,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("shards", &self.shards).finish_non_exhaustive()
    }
}

#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    #[error("failed to start the supervisor")]
    Start(#[source] Box<ractor::SpawnErr>),
    #[error("delivery ended by itself; its shards failed again and again")]
    Ended,
}

impl App {
    pub fn build(
        config: DeliveryConfig,
        nats: Nats,
        shards: ShardCount,
        holds: HoldStore,
        policy: PolicyClient,
        resolver: Resolver,
    ) -> Self {
        let publisher = Publisher::new(nats.clone(), shards);
        let context = Context {
            rescheduler: Rescheduler::new(nats.clone(), publisher.clone()),
            bodies: BodyStore::new(nats.clone()),
            holds,
            sessions: Arc::new(Semaphore::new(config.max_connections)),
            openings: Arc::new(Semaphore::new(config.max_openings)),
            wanted: AtomicUsize::new(0),
            make_room: Notify::new(),
            tasks: TaskTracker::new(),
            config,
            nats,
            publisher,
            policy,
            resolver,
        };
        Self { context: Arc::new(context), shards }
    }

    /// The operators' side of it.
    pub fn admin(&self) -> Admin {
        Admin::new(Arc::clone(&self.context), self.shards)
    }

    /// Runs until `shutdown`, then drains: running transactions end, the rest goes back.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), DeliveryError> {
        let supervisor = Supervisor(Arc::clone(&self.context));
        let (supervisor, mut ended) = Actor::spawn(None, supervisor, self.shards)
            .await
            .map_err(|error| DeliveryError::Start(Box::new(error)))?;
        tokio::select! {
            () = shutdown.cancelled() => {}
            _ = &mut ended => return Err(DeliveryError::Ended),
        }
        let _ = supervisor.cast(SupervisorMessage::Drain); // ended just now: nothing to drain
        if tokio::time::timeout(self.context.config.drain_timeout, &mut ended).await.is_err() {
            tracing::warn!("transactions still ran when the time to drain was over; they are repeated");
            supervisor.kill();
        }
        self.context.tasks.close();
        if tokio::time::timeout(SETTLE_TIMEOUT, self.context.tasks.wait()).await.is_err() {
            tracing::warn!("not every end of an attempt was written; those attempts are repeated");
        }
        self.context.nats.flush().await;
        Ok(())
    }
}
