//! Composition root of delivery.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use hikyaku_policy_client::PolicyClient;
use hikyaku_queue::{
    Nats,
    body_store::BodyStore,
    holds::HoldStore,
    presence::Register,
    publish::Publisher,
    reschedule::Rescheduler,
    roster::{Roster, WorkerId},
    sts::StsStore,
    watch::Watches,
};
use hikyaku_route::{
    resolver::Resolver,
    sts::{FetchError, PolicyFetcher},
};
use hikyaku_runtime::tls::{CertificateError, TlsConnector};
use hikyaku_types::shard::ShardCount;
use ractor::Actor;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    admin::Admin,
    clock::QueueClock,
    config::DeliveryConfig,
    context::Context,
    diagnose, doctor,
    egress::LocalAddresses,
    fair::Slots,
    fence::Fence,
    history::History,
    outcome::{Failures, Greylists, digest},
    recipients,
    shard::Depths,
    sites::{Books, Sites},
    stale_names,
    sts::StsPolicies,
    supervisor::{Supervisor, SupervisorArguments, SupervisorMessage},
};

/// For writing what was decided, after the last transaction has ended.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(4);

pub struct App {
    context: Arc<Context>,
    roster: Roster,
    shards: ShardCount,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("shards", &self.shards).finish_non_exhaustive()
    }
}

/// What all processes share in the broker, beside the queue.
#[derive(Debug)]
pub struct Records {
    pub roster: Roster,
    pub holds: HoldStore,
    pub register: Register,
    /// `None`: each worker remembers MTA-STS policies for itself.
    pub sts: Option<StsStore>,
}

#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    #[error("TLS with next hops cannot be had")]
    Tls(#[source] CertificateError),
    #[error("MTA-STS policies cannot be fetched")]
    Sts(#[source] FetchError),
    #[error("failed to start the supervisor")]
    Start(#[source] Box<ractor::SpawnErr>),
    #[error("delivery ended by itself; its shards failed again and again")]
    Ended,
}

/// `None`: it is off, or there is no authority by which a web server could be known.
fn sts_policies(
    config: &DeliveryConfig,
    resolver: &Resolver,
    tls: &TlsConnector,
    store: Option<StsStore>,
) -> Result<Option<StsPolicies>, DeliveryError> {
    let Some(https) = tls.for_https().filter(|_| config.mta_sts) else { return Ok(None) };
    let fetcher =
        PolicyFetcher::new(https, resolver.clone(), config.mta_sts_port).map_err(DeliveryError::Sts)?;
    Ok(Some(StsPolicies::new(resolver.clone(), fetcher, store)))
}

impl App {
    pub fn build(
        config: DeliveryConfig,
        nats: Nats,
        records: Records,
        shards: ShardCount,
        policy: PolicyClient,
        resolver: Resolver,
    ) -> Result<Self, DeliveryError> {
        let tls = TlsConnector::new(&config.tls).map_err(DeliveryError::Tls)?;
        let Records { roster, holds, register, sts } = records;
        let sts = sts_policies(&config, &resolver, &tls, sts)?;
        let publisher = Publisher::new(nats.clone(), shards);
        let context = Context {
            rescheduler: Rescheduler::new(nats.clone(), publisher.clone()),
            bodies: BodyStore::new(nats.clone()),
            holds,
            register,
            slots: Slots::new(config.max_connections),
            greylists: Greylists::default(),
            failures: Failures::default(),
            history: History::new(Instant::now()),
            sites: Sites::default(),
            books: Books::default(),
            depths: Depths::default(),
            openings: Arc::new(Semaphore::new(config.max_openings)),
            fence: Fence::new(Instant::now()),
            clock: QueueClock::new(Instant::now()),
            local_addresses: LocalAddresses::default(),
            tasks: TaskTracker::new(),
            watches: Watches::new(&config.node),
            config,
            nats,
            shards,
            publisher,
            policy,
            resolver,
            sts,
            tls,
        };
        Ok(Self { context: Arc::new(context), roster, shards })
    }

    /// Whether this worker is seen alive, and so may send; not before [`App::run`].
    pub fn liveness(&self) -> impl Fn() -> bool + Send + Sync + 'static {
        let context = Arc::clone(&self.context);
        move || context.fence.is_open(Instant::now())
    }

    /// The operators' side of it.
    pub fn admin(&self) -> Admin {
        Admin::new(Arc::clone(&self.context), self.roster.clone(), self.shards)
    }

    /// Runs until `shutdown`, then drains: running transactions end, the rest goes back.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), DeliveryError> {
        let context = Arc::clone(&self.context);
        let supervisor = Supervisor { context, roster: self.roster };
        let telling = digest::send_now_and_then(Arc::clone(&self.context));
        self.context.tasks.spawn(shutdown.clone().run_until_cancelled_owned(telling));
        self.context.tasks.spawn(recipients::answer(Arc::clone(&self.context), shutdown.clone()));
        let forgetting = stale_names::answer(Arc::clone(&self.context));
        self.context.tasks.spawn(shutdown.clone().run_until_cancelled_owned(forgetting));
        let watching = self.context.watches.clone().listen(self.context.nats.clone());
        self.context.tasks.spawn(shutdown.clone().run_until_cancelled_owned(watching));
        let answering = doctor::answer(Arc::clone(&self.context));
        self.context.tasks.spawn(shutdown.clone().run_until_cancelled_owned(answering));
        let answering = diagnose::answer(Arc::clone(&self.context));
        self.context.tasks.spawn(shutdown.clone().run_until_cancelled_owned(answering));
        let id = WorkerId::new(&self.context.config.node, rand::random());
        let arguments = SupervisorArguments { id, shards: self.shards };
        let (supervisor, mut ended) = Actor::spawn(None, supervisor, arguments)
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
        digest::send(&self.context).await;
        self.context.tasks.close();
        if tokio::time::timeout(SETTLE_TIMEOUT, self.context.tasks.wait()).await.is_err() {
            tracing::warn!("not every end of an attempt was written; those attempts are repeated");
        }
        self.context.nats.flush().await;
        Ok(())
    }
}
