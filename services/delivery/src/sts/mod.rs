//! The MTA-STS policy of a destination (RFC 8461): from memory, from the workers' shared store, or fetched.

mod known; // how long a policy holds; pure

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use hikyaku_queue::sts::{StoredPolicy, StsStore};
use hikyaku_route::{
    resolver::Resolver,
    sts::{PolicyFetcher, StsMode, StsPolicy},
};
use hikyaku_runtime::error_chain::chain;
use hikyaku_types::domain::Domain;

use crate::{
    metrics::STS_FETCHES,
    sts::known::{Known, is_to_be_fetched},
};

/// Domains that are remembered. The store remembers all that have a policy.
const MAX_DOMAINS: usize = 50_000;

pub(crate) struct StsPolicies {
    resolver: Resolver,
    fetcher: PolicyFetcher,
    /// `None`: the broker had no room for it.
    store: Option<StsStore>,
    domains: Mutex<HashMap<Domain, Arc<tokio::sync::Mutex<State>>>>,
}

/// What is known of one domain. Whoever asks meanwhile waits for what is being fetched.
#[derive(Debug, Default)]
struct State {
    known: Option<Known>,
    /// The store was asked.
    is_loaded: bool,
    tried_at: Option<SystemTime>,
}

impl StsPolicies {
    pub(crate) fn new(resolver: Resolver, fetcher: PolicyFetcher, store: Option<StsStore>) -> Self {
        Self { resolver, fetcher, store, domains: Mutex::default() }
    }

    /// `None`: the domain has no policy, or one that asks for nothing.
    pub(crate) async fn policy(&self, domain: &Domain) -> Option<Arc<StsPolicy>> {
        let state = self.state(domain);
        let mut state = state.lock().await;
        // A record that cannot be had is none (RFC 8461 3.1); a policy that is known holds all the same.
        let id = self.resolver.sts_id(domain).await.unwrap_or_default();
        if !state.is_loaded {
            self.load(domain, &mut state).await;
        }
        let now = SystemTime::now();
        if let Some(id) =
            id.filter(|id| is_to_be_fetched(state.known.as_ref(), Some(id), state.tried_at, now))
        {
            self.fetch(domain, id, &mut state, now).await;
        }
        let known = state.known.as_ref().filter(|known| known.holds(now))?;
        (known.policy.mode != StsMode::None).then(|| Arc::clone(&known.policy))
    }

    fn state(&self, domain: &Domain) -> Arc<tokio::sync::Mutex<State>> {
        let mut domains = self.domains.lock().unwrap_or_else(PoisonError::into_inner);
        if domains.len() >= MAX_DOMAINS && !domains.contains_key(domain) {
            domains.clear();
        }
        Arc::clone(domains.entry(domain.clone()).or_default())
    }

    async fn load(&self, domain: &Domain, state: &mut State) {
        let Some(store) = &self.store else {
            state.is_loaded = true;
            return;
        };
        match store.get(domain).await {
            Ok(stored) => {
                state.is_loaded = true;
                state.known = stored.and_then(|StoredPolicy { id, text, fetched_at }| {
                    let policy = Arc::new(StsPolicy::parse(&text).ok()?);
                    Some(Known { id, policy, fetched_at })
                });
            }
            // It is asked again with the next message.
            Err(error) => {
                tracing::warn!(%domain, error = chain(&error), "the stored MTA-STS policy cannot be read");
            }
        }
    }

    async fn fetch(&self, domain: &Domain, id: String, state: &mut State, now: SystemTime) {
        state.tried_at = Some(now);
        match self.fetcher.fetch(domain).await {
            Ok((policy, text)) => {
                metrics::counter!(STS_FETCHES, "result" => "fetched").increment(1);
                let stored = StoredPolicy { id: id.clone(), text, fetched_at: now };
                state.known = Some(Known { id, policy: Arc::new(policy), fetched_at: now });
                state.tried_at = None;
                let Some(store) = &self.store else { return };
                if let Err(error) = store.put(domain, &stored).await {
                    tracing::warn!(%domain, error = chain(&error), "an MTA-STS policy is known to this worker only");
                }
            }
            Err(error) => {
                metrics::counter!(STS_FETCHES, "result" => "failed").increment(1);
                let held = state.known.as_ref().is_some_and(|known| known.holds(now));
                tracing::warn!(%domain, error = chain(&error), held, "the MTA-STS policy cannot be fetched");
            }
        }
    }
}
