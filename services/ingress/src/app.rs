//! Composition root of ingress.

use std::{fmt, sync::Arc, time::Duration};

use hikyaku_policy_client::PolicyClient;
use hikyaku_queue::{publish::Publisher, watch::Watches};
use hikyaku_runtime::tls::TlsAcceptor;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    clients::Clients, config::IngressConfig, lanes::Lanes, listeners::Listeners, memory::Memory,
    rates::Rates, service::Listening,
};

const SHOW_MEMORY_EVERY: Duration = Duration::from_secs(5);

/// What every connection needs.
pub(crate) struct Context {
    pub(crate) config: IngressConfig,
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) policy: PolicyClient,
    pub(crate) publisher: Publisher,
    /// One permit for each connection of this node.
    pub(crate) permits: Arc<Semaphore>,
    pub(crate) clients: Clients,
    pub(crate) memory: Memory,
    pub(crate) lanes: Lanes,
    /// Of clients whom the access table limits.
    pub(crate) rates: Arc<Rates>,
    /// Who watches which sessions.
    pub(crate) watches: Watches,
    pub(crate) tasks: TaskTracker,
    /// Asks sessions to come to an end.
    pub(crate) drain: CancellationToken,
    /// Ends them.
    pub(crate) end: CancellationToken,
}

pub struct App {
    context: Arc<Context>,
    bound: Vec<Listening>,
    listeners: Listeners,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("listeners", &self.listeners).finish_non_exhaustive()
    }
}

impl App {
    /// Without `tls` nothing is encrypted, and nobody can authenticate by a password.
    pub fn build(
        config: IngressConfig,
        bound: Vec<Listening>,
        tls: Option<TlsAcceptor>,
        policy: PolicyClient,
        publisher: Publisher,
        watches: Watches,
    ) -> Self {
        let context = Context {
            tls,
            policy,
            publisher,
            permits: Arc::new(Semaphore::new(config.max_connections.min(Semaphore::MAX_PERMITS))),
            clients: Clients::default(),
            memory: Memory::new(config.max_content_memory_bytes, config.max_message_bytes),
            lanes: Lanes::default(),
            rates: Arc::default(),
            watches,
            tasks: TaskTracker::new(),
            drain: CancellationToken::new(),
            end: CancellationToken::new(),
            config,
        };
        let context = Arc::new(context);
        let listeners = Listeners::new(Arc::clone(&context), &bound);
        Self { context, bound, listeners }
    }

    /// Where it takes mail, and may take it from now on.
    pub fn listeners(&self) -> Listeners {
        self.listeners.clone()
    }

    /// Accepts until `shutdown`, then drains: what a client has begun to send may end, everything
    /// else hears 421 4.3.2.
    pub async fn run(self, shutdown: CancellationToken) {
        let Self { context, bound, listeners } = self;
        if let Some(tls) = &context.tls {
            context
                .tasks
                .spawn(tls.clone().follow_files(context.drain.clone(), crate::metrics::certificate_expires));
        }
        context.tasks.spawn(show_memory(Arc::clone(&context)));
        listeners.open(bound).await;
        shutdown.cancelled().await;
        context.drain.cancel();
        context.tasks.close();
        if tokio::time::timeout(context.config.drain_timeout, context.tasks.wait()).await.is_err() {
            tracing::warn!("sessions still ran when the time to drain was over; their clients will repeat");
            context.end.cancel();
            context.tasks.wait().await;
        }
    }
}

/// For as long as mail is taken.
async fn show_memory(context: Arc<Context>) {
    loop {
        let (used, limit) = context.memory.taken();
        crate::metrics::content_memory(used, limit);
        tokio::select! {
            () = tokio::time::sleep(SHOW_MEMORY_EVERY) => {}
            () = context.drain.cancelled() => return,
        }
    }
}
