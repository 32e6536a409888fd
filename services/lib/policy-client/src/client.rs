//! The questions. Each is answered from the cache or, within a deadline, by one of the pods of the
//! service.

use std::{
    fmt,
    hash::Hash,
    net::IpAddr,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use hikyaku_grpc::{
    ClientConfig,
    client::{Patience, pods::Pods},
};
use hikyaku_proto::policy::v1 as proto;
use hikyaku_types::{
    address::{ForwardPath, Mailbox, ReversePath},
    destination::Destination,
    domain::Domain,
    fingerprint::Fingerprint,
    origin::Asker,
    traffic::TrafficRules,
};
use tokio::sync::watch;
use tonic::{Request, Response, Status};
use tracing::warn;

use crate::{
    answer::{AuthenticationAnswer, ConnectionAnswer, Decision, Proof, RecipientAnswer, SenderAnswer},
    ask::{Grpc, Question, Repeat},
    cache::Cache,
    error::{InvalidEndpoint, PolicyUnavailable},
    hosts::HostMap,
    hours::{self, MailHours},
    known::{DecisionName as _, Keys, KnownRecipient, RecipientKey, RouteKey, SenderKey},
    metrics::{Source, record},
    traffic,
    wire::{self, Reach},
};

/// Answers of each kind that are kept.
const CACHE_CAPACITY: usize = 100_000;
const REFRESH_EVERY: Duration = Duration::from_secs(2);
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(2);
/// Verifying a password takes long on purpose, and others may be in line.
const AUTHENTICATION_TIMEOUT: Duration = Duration::from_secs(10);
const READINESS_PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug, Clone)]
pub struct PolicyClientConfig {
    /// `http://host:port` or `https://host:port`, several separated by commas. Each address of a host is a
    /// pod of the service.
    pub endpoint: String,
    /// What is shown to it, and whom we trust.
    pub access: ClientConfig,
    /// Longest wait for one answer, connecting and asking another pod included.
    pub timeout: Duration,
}

impl PolicyClientConfig {
    pub fn new(endpoint: impl Into<String>) -> Self {
        Self { endpoint: endpoint.into(), access: ClientConfig::default(), timeout: Duration::from_secs(1) }
    }
}

/// A handle; clones share connections, cache, host map, hours and traffic rules.
#[derive(Clone)]
pub struct PolicyClient {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) pods: Pods,
    timeout: Duration,
    connections: Cache<IpAddr, ConnectionAnswer>,
    senders: Cache<SenderKey, SenderAnswer>,
    recipients: Cache<RecipientKey, KnownRecipient>,
    routes: Cache<RouteKey, Destination>,
    hosts: watch::Sender<Arc<HostMap>>,
    hours: watch::Sender<Arc<MailHours>>,
    traffic: watch::Sender<Arc<TrafficRules>>,
    /// 0 before the first answer.
    traffic_version: AtomicU64,
}

impl PolicyClient {
    /// Does not connect yet; see [`PolicyClient::wait_ready`]. Must run inside a tokio runtime.
    pub fn new(config: PolicyClientConfig) -> Result<Self, InvalidEndpoint> {
        let patience = Patience { connect: config.timeout, keep_alive: KEEP_ALIVE_EVERY };
        let pods = Pods::find(&config.endpoint, &config.access, patience);
        let pods =
            pods.map_err(|source| InvalidEndpoint { endpoint: config.endpoint, source: source.into() })?;
        let inner = Arc::new(Inner {
            pods,
            timeout: config.timeout,
            connections: Cache::new(CACHE_CAPACITY),
            senders: Cache::new(CACHE_CAPACITY),
            recipients: Cache::new(CACHE_CAPACITY),
            routes: Cache::new(CACHE_CAPACITY),
            hosts: watch::Sender::new(Arc::default()),
            hours: watch::Sender::new(Arc::default()),
            traffic: watch::Sender::new(Arc::default()),
            traffic_version: AtomicU64::new(0),
        });
        tokio::spawn(keep_fresh(Arc::downgrade(&inner)));
        Ok(Self { inner })
    }

    pub async fn check_connection(&self, client: IpAddr) -> Result<ConnectionAnswer, PolicyUnavailable> {
        let asked = Instant::now();
        let client = client.to_canonical();
        let connections = &self.inner.connections;
        if let Some(known) = connections.fresh(&client, asked) {
            record(known.decision.verdict.decision_name(), Source::Cache, asked);
            return Ok(known);
        }
        let question = proto::CheckConnectionRequest { client: client.to_string() };
        let response = self
            .inner
            .call("CheckConnection", question, |mut grpc, question| async move {
                grpc.check_connection(question).await
            })
            .await
            .inspect_err(|_| record("defer", Source::Fallback, asked))?;
        let wire::Answer { decision, valid_for, .. } = wire::answer(response.decision);
        let max_received = usize::try_from(response.max_received).ok().filter(|count| *count > 0);
        let answer = ConnectionAnswer { decision, unlimited: response.unlimited, max_received };
        record(answer.decision.verdict.decision_name(), Source::Remote, asked);
        connections.insert(client, answer.clone(), valid_for, asked);
        Ok(answer)
    }

    pub async fn check_sender(
        &self,
        asker: &Asker,
        reverse_path: &ReversePath,
    ) -> Result<SenderAnswer, PolicyUnavailable> {
        let asked = Instant::now();
        let keys = SenderKey::of(asker, reverse_path);
        if let Some(known) = find(&self.inner.senders, &keys, asked) {
            record(known.decision.verdict.decision_name(), Source::Cache, asked);
            return Ok(known);
        }
        let question = proto::CheckSenderRequest {
            client: asker.client().to_string(),
            reverse_path: reverse_path.to_string(),
            listener: wire::listener(asker.listener),
            identity: identity(asker),
            certificate: certificate(asker),
        };
        let response =
            self.inner
                .call("CheckSender", question, |mut grpc, question| async move {
                    grpc.check_sender(question).await
                })
                .await
                .inspect_err(|_| record("defer", Source::Fallback, asked))?;
        let wire::Answer { decision, reach, valid_for } = wire::answer(response.decision);
        let proto::CheckSenderResponse { trusted, check_author, rate, .. } = response;
        let rate = rate.map(traffic::answered_rate).transpose()?;
        let answer = SenderAnswer { decision, trusted, rate, check_author };
        record(answer.decision.verdict.decision_name(), Source::Remote, asked);
        self.inner.senders.insert(keys.of_reach(reach), answer.clone(), valid_for, asked);
        Ok(answer)
    }

    pub async fn check_recipient(
        &self,
        asker: &Asker,
        reverse_path: &ReversePath,
        recipient: &ForwardPath,
    ) -> Result<RecipientAnswer, PolicyUnavailable> {
        let asked = Instant::now();
        let keys = RecipientKey::of(asker, reverse_path, recipient);
        if let Some(known) = find(&self.inner.recipients, &keys, asked) {
            let answer = known.answer_for(recipient)?;
            record(answer.verdict.decision_name(), Source::Cache, asked);
            return Ok(answer);
        }
        let question = proto::CheckRecipientRequest {
            client: asker.client().to_string(),
            reverse_path: reverse_path.to_string(),
            recipient: recipient.to_string(),
            listener: wire::listener(asker.listener),
            identity: identity(asker),
            certificate: certificate(asker),
        };
        let remembered = self
            .inner
            .call("CheckRecipient", question, |mut grpc, question| async move {
                grpc.check_recipient(question).await
            })
            .await
            .and_then(wire::recipient);
        let (known, reach, valid_for) =
            remembered.inspect_err(|_| record("defer", Source::Fallback, asked))?;
        let answer = known.clone().answer_for(recipient)?;
        record(answer.verdict.decision_name(), Source::Remote, asked);
        let key = keys.of_reach(known.narrow(reach));
        self.inner.recipients.insert(key, known, valid_for, asked);
        Ok(answer)
    }

    /// One step of AUTH. Heard by one pod at most, and never answered from memory. A login without a domain is
    /// unknown (SEED-048).
    pub async fn authenticate(
        &self,
        client: IpAddr,
        login: &str,
        proof: Proof<'_>,
    ) -> Result<AuthenticationAnswer, PolicyUnavailable> {
        let question = proto::AuthenticateRequest {
            client: client.to_canonical().to_string(),
            login: login.to_owned(),
            proof: Some(wire::proof(proof)),
        };
        let question = Question {
            method: "Authenticate",
            text: question,
            repeat: Repeat::Unheard,
            limit: AUTHENTICATION_TIMEOUT,
        };
        let ask = |mut grpc: Grpc, question| async move { grpc.authenticate(question).await };
        let response = question.ask(&self.inner.pods, ask).await?;
        wire::authentication(response)
    }

    /// Whether `identity` may be the author of a message whose From field names `authors` (SEED-115).
    pub async fn check_author(
        &self,
        identity: &Mailbox,
        authors: &[Mailbox],
    ) -> Result<Decision, PolicyUnavailable> {
        let question = proto::CheckAuthorRequest {
            identity: identity.to_string(),
            authors: authors.iter().map(ToString::to_string).collect(),
        };
        let response =
            self.inner
                .call("CheckAuthor", question, |mut grpc, question| async move {
                    grpc.check_author(question).await
                })
                .await?;
        Ok(wire::answer(response.decision).decision)
    }

    /// Where mail of this sender for `domain` goes now. An old answer is none: mail must not be moved by it.
    pub async fn resolve_route(
        &self,
        domain: &Domain,
        reverse_path: &ReversePath,
    ) -> Result<Destination, PolicyUnavailable> {
        let asked = Instant::now();
        let known = [false, true]
            .into_iter()
            .find_map(|bound| self.inner.routes.fresh(&route_key(domain, reverse_path, bound), asked));
        if let Some(known) = known {
            record("route", Source::Cache, asked);
            return Ok(known);
        }
        match self.inner.ask_route(domain, reverse_path).await {
            Ok(destination) => {
                record("route", Source::Remote, asked);
                Ok(destination)
            }
            Err(unavailable) => {
                record("defer", Source::Fallback, asked);
                Err(unavailable)
            }
        }
    }

    /// The same with the line that decides, `document:line`, or nothing where MX records do. Never from memory.
    pub async fn explain_route(
        &self,
        domain: &Domain,
        reverse_path: &ReversePath,
    ) -> Result<(Destination, String), PolicyUnavailable> {
        let response = self.inner.call_route(domain, reverse_path).await?;
        Ok((wire::destination(&response.destination)?, response.decided_by))
    }

    /// The host map as of the last two seconds, or the last one that could be had.
    pub fn hosts(&self) -> Arc<HostMap> {
        Arc::clone(&self.inner.hosts.borrow())
    }

    /// The hours of mail as of the last two seconds, or the last ones that could be had.
    pub fn hours(&self) -> Arc<MailHours> {
        Arc::clone(&self.inner.hours.borrow())
    }

    /// The traffic rules as of the last two seconds, or the last ones that could be had.
    pub fn traffic(&self) -> Arc<TrafficRules> {
        Arc::clone(&self.inner.traffic.borrow())
    }

    /// Told when the traffic rules change; the present ones are there at once.
    pub fn traffic_changes(&self) -> watch::Receiver<Arc<TrafficRules>> {
        self.inner.traffic.subscribe()
    }

    /// Waits until the service answers and the host map and the traffic rules are here.
    pub async fn wait_ready(&self, timeout: Duration) -> Result<(), PolicyUnavailable> {
        let deadline = tokio::time::Instant::now() + timeout;
        loop {
            let unavailable = match self.inner.refresh().await {
                Ok(()) => return Ok(()),
                Err(unavailable) => unavailable,
            };
            if tokio::time::Instant::now() + READINESS_PAUSE >= deadline {
                return Err(unavailable);
            }
            tokio::time::sleep(READINESS_PAUSE).await;
        }
    }
}

impl Inner {
    async fn call<Q, A, F>(
        &self,
        method: &'static str,
        question: Q,
        rpc: impl Fn(Grpc, Request<Q>) -> F,
    ) -> Result<A, PolicyUnavailable>
    where
        Q: Clone,
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let question = Question { method, text: question, repeat: Repeat::Always, limit: self.timeout };
        question.ask(&self.pods, rpc).await
    }

    async fn ask_route(
        &self,
        domain: &Domain,
        reverse_path: &ReversePath,
    ) -> Result<Destination, PolicyUnavailable> {
        let asked = Instant::now();
        let response = self.call_route(domain, reverse_path).await?;
        let destination = wire::destination(&response.destination)?;
        let key = route_key(domain, reverse_path, response.sender_bound);
        self.routes.insert(key, destination.clone(), wire::valid_for(response.valid_for), asked);
        Ok(destination)
    }

    async fn call_route(
        &self,
        domain: &Domain,
        reverse_path: &ReversePath,
    ) -> Result<proto::ResolveRouteResponse, PolicyUnavailable> {
        let question =
            proto::ResolveRouteRequest { domain: domain.to_string(), reverse_path: reverse_path.to_string() };
        self.call(
            "ResolveRoute",
            question,
            |mut grpc, question| async move { grpc.resolve_route(question).await },
        )
        .await
    }

    async fn refresh(&self) -> Result<(), PolicyUnavailable> {
        self.refresh_hosts().await?;
        self.refresh_hours().await?;
        self.refresh_traffic().await
    }

    async fn refresh_traffic(&self) -> Result<(), PolicyUnavailable> {
        let known_version = self.traffic_version.load(Ordering::Relaxed);
        let question = proto::GetTrafficRequest { known_version };
        let response =
            self.call("GetTraffic", question, |mut grpc, question| async move {
                grpc.get_traffic(question).await
            })
            .await?;
        if !response.unchanged {
            let version = response.version;
            self.traffic.send_replace(Arc::new(traffic::rules(response)?));
            self.traffic_version.store(version, Ordering::Relaxed);
        }
        Ok(())
    }

    async fn refresh_hours(&self) -> Result<(), PolicyUnavailable> {
        let question = proto::ListHoursRequest { known_version: self.hours.borrow().version };
        let response = self
            .call("ListHours", question, |mut grpc, question| async move { grpc.list_hours(question).await })
            .await?;
        if !response.unchanged {
            self.hours.send_replace(Arc::new(hours::mail_hours(response)?));
        }
        Ok(())
    }

    async fn refresh_hosts(&self) -> Result<(), PolicyUnavailable> {
        let question = proto::ListHostsRequest { known_version: self.hosts.borrow().version };
        let response = self
            .call("ListHosts", question, |mut grpc, question| async move { grpc.list_hosts(question).await })
            .await?;
        if !response.unchanged {
            self.hosts.send_replace(Arc::new(wire::host_map(response)?));
        }
        Ok(())
    }
}

/// Ends when the last client is dropped.
async fn keep_fresh(inner: Weak<Inner>) {
    let mut was_fresh = true;
    while let Some(inner) = inner.upgrade() {
        let refreshed = inner.refresh().await;
        if let Err(unavailable) = &refreshed
            && was_fresh
        {
            warn!(error = %unavailable, "host map, hours and traffic rules cannot be refreshed, the last ones stay in use");
        }
        was_fresh = refreshed.is_ok();
        drop(inner);
        tokio::time::sleep(REFRESH_EVERY).await;
    }
}

/// The widest answer is looked for first: it is the one that a busy domain has.
fn find<K: Eq + Hash, V: Clone>(
    cache: &Cache<K, V>,
    keys: &Keys<impl Fn(Reach) -> K>,
    now: Instant,
) -> Option<V> {
    keys.iter().find_map(|key| cache.fresh(&key, now))
}

fn route_key(domain: &Domain, reverse_path: &ReversePath, sender_bound: bool) -> RouteKey {
    (domain.clone(), sender_bound.then(|| reverse_path.clone()))
}

fn certificate(asker: &Asker) -> Vec<u8> {
    asker.certificate.map(|Fingerprint(octets)| octets.to_vec()).unwrap_or_default()
}

fn identity(asker: &Asker) -> String {
    asker.identity.as_ref().map(ToString::to_string).unwrap_or_default()
}

impl fmt::Debug for PolicyClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyClient").field("timeout", &self.inner.timeout).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
