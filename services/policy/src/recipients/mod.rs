//! Whether somebody else knows a recipient (SEED-064, SEED-236): asked once, remembered by all processes.
//! A client is not kept waiting; the question goes on without it, so that its next try finds the answer.

mod known; // what was answered, and for how long it holds

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::{FutureExt as _, future::BoxFuture, future::Shared};
use hikyaku_queue::{
    Nats,
    kv::KvError,
    recipients::{Existence, RecipientQuestion, ask_next_hop},
};
use hikyaku_runtime::error_chain::chain;
use hikyaku_types::{address::Mailbox, destination::Destination};

use crate::{
    ldap::LdapServers,
    metrics,
    rules::decision::{RecipientDecision, RecipientSource, RecipientVerdict, Unconfirmed},
};
use known::{Key, Known};

/// Ingress waits a second for its answer, and less where it has another pod to ask.
const CLIENT_WAITS: Duration = Duration::from_millis(700);
/// For the way back.
const ANSWER_TAKES: Duration = Duration::from_millis(60);
/// As long as a worker tries, and a little more.
const NEXT_HOP_ANSWERS: Duration = Duration::from_secs(25);
/// More are not asked of one source at once: whoever invents names must not fill the memory, nor keep other
/// sources from being asked.
const MOST_OF_A_SOURCE: usize = 200;
/// A source that is down is told of so often, not with each recipient.
const LOG_EVERY: Duration = Duration::from_secs(10);

type Asking = Shared<BoxFuture<'static, Existence>>;

/// A handle; clones share what is known.
#[derive(Clone)]
pub(crate) struct Recipients {
    nats: Nats,
    ldap: LdapServers,
    known: Arc<Known>,
    /// The questions that are under way, by source.
    asking: Arc<Mutex<HashMap<SourceName, HashMap<Key, Asking>>>>,
    unclear: Arc<Unclear>,
}

/// Who is asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum SourceName {
    NextHop(Destination),
    Ldap(Arc<str>),
}

impl SourceName {
    fn new(source: &RecipientSource, next_hop: &Destination) -> Self {
        match source {
            RecipientSource::NextHop => Self::NextHop(next_hop.clone()),
            RecipientSource::Ldap(name) => Self::Ldap(Arc::clone(name)),
        }
    }
}

impl std::fmt::Debug for Recipients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recipients").field("known", &self.known).finish_non_exhaustive()
    }
}

impl Recipients {
    pub(crate) async fn open(nats: &Nats, ldap: LdapServers, replicas: usize) -> Result<Self, KvError> {
        let known = Arc::new(Known::open(nats, replicas).await?);
        Ok(Self { nats: nats.clone(), ldap, known, asking: Arc::default(), unclear: Arc::default() })
    }

    /// The decision with what the source says of the recipient. Who asks waits for `patience` at most.
    pub(crate) async fn confirm(
        &self,
        decision: RecipientDecision,
        patience: Option<Duration>,
    ) -> RecipientDecision {
        let (Some(Unconfirmed { source, .. }), RecipientVerdict::Accept { deliver_to, destination }) =
            (&decision.unconfirmed, &decision.verdict)
        else {
            return decision;
        };
        let patience = patience.map_or(CLIENT_WAITS, |it| it.saturating_sub(ANSWER_TAKES).min(CLIENT_WAITS));
        let address = deliver_to.canonical();
        let existence = self.ask(SourceName::new(source, destination), address, patience).await;
        if let Existence::Unclear(why) = &existence
            && let Some(more) = self.unclear.tell()
        {
            tracing::warn!(recipient = %deliver_to, %source, why, more, "recipients cannot be verified");
        }
        metrics::recipient(source, &existence);
        decision.confirmed(&existence)
    }

    async fn ask(&self, source: SourceName, address: Mailbox, patience: Duration) -> Existence {
        let key = Key::new(&source, &address);
        if let Some(existence) = self.known.here(&key) {
            return existence;
        }
        let Some(asking) = self.asking(key, source, address) else {
            return Existence::Unclear("it is being asked about too many recipients".to_owned());
        };
        tokio::time::timeout(patience, asking)
            .await
            .unwrap_or_else(|_| Existence::Unclear(format!("no answer within {patience:?} so far")))
    }

    /// One question for all that ask it at the same time.
    fn asking(&self, key: Key, source: SourceName, address: Mailbox) -> Option<Asking> {
        let mut all = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        let all = all.entry(source.clone()).or_default();
        if let Some(asking) = all.get(&key) {
            return Some(asking.clone());
        }
        if all.len() >= MOST_OF_A_SOURCE {
            return None;
        }
        let this = self.clone();
        let asking = async move { this.find_out(key, source, address).await };
        let asking: Asking = asking.boxed().shared();
        all.insert(key, asking.clone());
        // It goes on when nobody waits any more.
        tokio::spawn(asking.clone());
        Some(asking)
    }

    async fn find_out(&self, key: Key, source: SourceName, address: Mailbox) -> Existence {
        let existence = match self.known.elsewhere(&key).await {
            Some(existence) => existence,
            None => {
                let existence = self.ask_source(&source, address).await;
                self.known.note(&key, &existence).await;
                existence
            }
        };
        let mut all = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_source) = all.get_mut(&source) {
            of_source.remove(&key);
            if of_source.is_empty() {
                all.remove(&source);
            }
        }
        existence
    }

    async fn ask_source(&self, source: &SourceName, address: Mailbox) -> Existence {
        match source {
            SourceName::NextHop(next_hop) => {
                let question = RecipientQuestion { address, next_hop: next_hop.clone() };
                ask_next_hop(&self.nats, &question, NEXT_HOP_ANSWERS).await
            }
            SourceName::Ldap(server) => self
                .ldap
                .knows(server, &address)
                .await
                .unwrap_or_else(|error| Existence::Unclear(chain(&error).to_string())),
        }
    }
}

/// How many recipients could not be verified since the log has told of it.
#[derive(Debug, Default)]
struct Unclear(Mutex<(Option<Instant>, u64)>);

impl Unclear {
    /// Now and then: how many more there were.
    fn tell(&self) -> Option<u64> {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if since.0.is_some_and(|at| at.elapsed() < LOG_EVERY) {
            since.1 += 1;
            return None;
        }
        let more = since.1;
        *since = (Some(Instant::now()), 0);
        Some(more)
    }
}
