//! Whether somebody else knows a recipient (SEED-064, SEED-236): asked once, remembered by all processes.
//! A client is not kept waiting; the question goes on without it, so that its next try finds the answer.

mod known; // what was answered, and for how long it holds

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures::{FutureExt as _, future::BoxFuture, future::Shared};
use hikyaku_queue::{
    Nats,
    kv::KvError,
    recipients::{Existence, RecipientQuestion, ask_next_hop},
};
use hikyaku_runtime::error_chain::chain;
use hikyaku_types::{address::Mailbox, destination::Destination};
use std::sync::{Mutex, PoisonError};

use crate::{
    ldap::LdapServers,
    metrics,
    rules::decision::{RecipientDecision, RecipientSource, RecipientVerdict, Unconfirmed},
};
use known::{Key, Known};

/// Ingress waits a second for its answer.
const CLIENT_WAITS: Duration = Duration::from_millis(700);
/// As long as a worker tries, and a little more.
const NEXT_HOP_ANSWERS: Duration = Duration::from_secs(25);
/// More are not asked at once: whoever invents names must not fill the memory.
const MOST_AT_ONCE: usize = 2_000;

type Asking = Shared<BoxFuture<'static, Existence>>;

/// A handle; clones share what is known.
#[derive(Clone)]
pub(crate) struct Recipients {
    nats: Nats,
    ldap: LdapServers,
    known: Arc<Known>,
    /// The questions that are under way.
    asking: Arc<Mutex<HashMap<Key, Asking>>>,
}

impl std::fmt::Debug for Recipients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recipients").field("known", &self.known).finish_non_exhaustive()
    }
}

impl Recipients {
    pub(crate) async fn open(nats: &Nats, ldap: LdapServers, replicas: usize) -> Result<Self, KvError> {
        let known = Arc::new(Known::open(nats, replicas).await?);
        Ok(Self { nats: nats.clone(), ldap, known, asking: Arc::default() })
    }

    /// The decision with what the source says of the recipient.
    pub(crate) async fn confirm(&self, decision: RecipientDecision) -> RecipientDecision {
        let (Some(Unconfirmed { source, .. }), RecipientVerdict::Accept { deliver_to, destination }) =
            (&decision.unconfirmed, &decision.verdict)
        else {
            return decision;
        };
        let existence = self.ask(source, deliver_to, destination).await;
        if let Existence::Unclear(why) = &existence {
            tracing::warn!(recipient = %deliver_to, %source, why, "a recipient cannot be verified");
        }
        metrics::recipient(source, &existence);
        decision.confirmed(&existence)
    }

    async fn ask(&self, source: &RecipientSource, address: &Mailbox, next_hop: &Destination) -> Existence {
        let key = Key::new(source, address, next_hop);
        if let Some(existence) = self.known.here(&key) {
            return existence;
        }
        let Some(asking) = self.asking(key, source, address, next_hop) else {
            return Existence::Unclear("too many recipients are being asked about".to_owned());
        };
        tokio::time::timeout(CLIENT_WAITS, asking)
            .await
            .unwrap_or_else(|_| Existence::Unclear(format!("no answer within {CLIENT_WAITS:?} so far")))
    }

    /// One question for all that ask it at the same time.
    fn asking(
        &self,
        key: Key,
        source: &RecipientSource,
        address: &Mailbox,
        next_hop: &Destination,
    ) -> Option<Asking> {
        let mut all = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(asking) = all.get(&key) {
            return Some(asking.clone());
        }
        if all.len() >= MOST_AT_ONCE {
            return None;
        }
        let (this, source) = (self.clone(), source.clone());
        let question = RecipientQuestion { address: address.clone(), next_hop: next_hop.clone() };
        let asking = async move { this.find_out(key, &source, &question).await };
        let asking: Asking = asking.boxed().shared();
        all.insert(key, asking.clone());
        // It goes on when nobody waits any more.
        tokio::spawn(asking.clone());
        Some(asking)
    }

    async fn find_out(&self, key: Key, source: &RecipientSource, question: &RecipientQuestion) -> Existence {
        let existence = match self.known.elsewhere(&key).await {
            Some(existence) => existence,
            None => {
                let existence = self.ask_source(source, question).await;
                self.known.note(&key, &existence).await;
                existence
            }
        };
        self.asking.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        existence
    }

    async fn ask_source(&self, source: &RecipientSource, question: &RecipientQuestion) -> Existence {
        match source {
            RecipientSource::NextHop => ask_next_hop(&self.nats, question, NEXT_HOP_ANSWERS).await,
            RecipientSource::Ldap(server) => self
                .ldap
                .knows(server, &question.address)
                .await
                .unwrap_or_else(|error| Existence::Unclear(chain(&error).to_string())),
        }
    }
}
