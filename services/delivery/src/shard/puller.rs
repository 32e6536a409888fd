//! Takes entries out of one lane and hands them to the shard's actor. Before that it looks
//! whether the entry still belongs here: a retry may have been written already, its recipients
//! may have hours (SEED-118), and the route may have changed while the entry waited (SEED-022).

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use hikyaku_queue::{Lease, pull::LanePuller, tenure::Tenure};
use hikyaku_runtime::error_chain::chain;
use hikyaku_types::{
    address::{MailHost, ReversePath},
    destination::Destination,
    envelope::{Envelope, Lane, Recipient},
};
use ractor::ActorRef;
use tokio_util::sync::CancellationToken;

use super::hours::by_opening;
use crate::{context::Context, mail_log, metrics::REROUTED, shard::ShardMessage};

/// A policy service that did not answer is not asked again for so long: entries must not wait
/// for one time-out after the other.
const POLICY_PAUSE: Duration = Duration::from_secs(5);
/// Hours may change while mail waits for them, so they are looked at again after this time.
const HOURS_STEP: Duration = Duration::from_secs(15 * 60);
/// Ingress has just asked for the route of an entry that is younger.
const ROUTE_IS_NEW: Duration = Duration::from_secs(2);

pub(crate) async fn run(
    context: Arc<Context>,
    tenure: Tenure,
    lane: Lane,
    actor: ActorRef<ShardMessage>,
    stop: CancellationToken,
) {
    let _ended = TellWhenDropped { actor: actor.clone(), stop: stop.clone() };
    let mut puller = {
        let context = Arc::clone(&context);
        LanePuller::new(context.nats.clone(), tenure, lane, Arc::new(move || context.clock.now()))
    };
    let mut routes = Routes { context: &context, silent_until: Instant::now() };
    loop {
        let next = async {
            context.fence.opened().await;
            puller.next().await
        };
        let Some(lease) = stop.run_until_cancelled(next).await else { return };
        let Some(lease) = still_ours(&context, &mut routes, lease).await else { continue };
        // The mailbox is bounded by the entries that the broker lets a lane hold.
        if actor.cast(ShardMessage::Work(Box::new(lease))).is_err() {
            return;
        }
    }
}

/// Also when the task panics: a lane that nobody pulls is mail that nobody delivers.
struct TellWhenDropped {
    actor: ActorRef<ShardMessage>,
    stop: CancellationToken,
}

impl Drop for TellWhenDropped {
    fn drop(&mut self) {
        if !self.stop.is_cancelled() {
            let _ = self.actor.cast(ShardMessage::PullerEnded); // the actor may be gone
        }
    }
}

async fn still_ours(context: &Context, routes: &mut Routes<'_>, lease: Lease) -> Option<Lease> {
    if lease.is_redelivery() {
        match context.rescheduler.is_scheduled(&lease).await {
            Ok(false) => {}
            Ok(true) => {
                lease.done().await;
                return None;
            }
            Err(error) => {
                tracing::warn!(entry = %lease.envelope().entry, error = chain(&error), "entry is looked at later");
                lease.give_back().await;
                return None;
            }
        }
    }
    let (holds, now) = (context.holds.holds(), context.clock.now());
    if let Some(hold) = holds.is_held(&lease.envelope().destination, now) {
        let entry = lease.envelope().entry;
        mail_log::held(lease.envelope(), hold);
        if let Err(error) = context.rescheduler.hold(lease, hold, now).await {
            tracing::warn!(%entry, error = chain(&error), "entry was not held; it comes again");
        }
        return None;
    }
    let lease = in_hours(context, lease, now).await?;
    if lease.origin().is_routed_by_hand() {
        return Some(lease);
    }
    let parts = routes.current(lease.envelope()).await;
    if let [(only, _)] = parts.as_slice()
        && *only == lease.envelope().destination
    {
        return Some(lease);
    }
    let entry = lease.envelope().entry;
    for (destination, recipients) in &parts {
        mail_log::rerouted(lease.envelope(), recipients, destination);
    }
    metrics::counter!(REROUTED).increment(1);
    if let Err(error) = context.rescheduler.reroute(lease, parts).await {
        tracing::warn!(%entry, error = chain(&error), "entry was not rerouted; it comes again");
    }
    None
}

/// Sets aside what nobody may get now. When only some may, the entry is parted, and the parts come again.
async fn in_hours(context: &Context, lease: Lease, now: SystemTime) -> Option<Lease> {
    let hours = context.policy.hours();
    if hours.is_empty() {
        return Some(lease);
    }
    let groups = by_opening(lease.envelope(), &hours, now);
    let entry = lease.envelope().entry;
    let written = match groups.as_slice() {
        [] | [(None, _)] => return Some(lease),
        [(Some(opens_at), _)] => {
            mail_log::waits(lease.envelope(), *opens_at);
            context.rescheduler.park(lease, (now + HOURS_STEP).min(*opens_at)).await.map(|_| ())
        }
        _ => {
            let destination = lease.envelope().destination.clone();
            let parts = groups.into_iter().map(|(_, recipients)| (destination.clone(), recipients)).collect();
            context.rescheduler.reroute(lease, parts).await
        }
    };
    if let Err(error) = written {
        tracing::warn!(%entry, error = chain(&error), "entry was not set aside for its hours; it comes again");
    }
    None
}

struct Routes<'a> {
    context: &'a Context,
    silent_until: Instant,
}

impl Routes<'_> {
    /// The recipients of an envelope by where they go now. One whose route the policy does not
    /// tell stays where it is.
    async fn current(&mut self, envelope: &Envelope) -> Vec<(Destination, Vec<Recipient>)> {
        let age = self.context.clock.now().duration_since(envelope.accepted_at).unwrap_or_default();
        if envelope.attempt == 0 && age < ROUTE_IS_NEW {
            return vec![(envelope.destination.clone(), envelope.recipients.clone())];
        }
        let mut known: HashMap<&MailHost, Destination> = HashMap::new();
        let mut parts: Vec<(Destination, Vec<Recipient>)> = Vec::new();
        for recipient in &envelope.recipients {
            let host = recipient.address.host();
            let destination = match known.get(host) {
                Some(destination) => destination.clone(),
                None => {
                    let destination = self
                        .ask(host, &envelope.reverse_path)
                        .await
                        .unwrap_or_else(|| envelope.destination.clone());
                    known.entry(host).or_insert(destination).clone()
                }
            };
            match parts.iter_mut().find(|(place, _)| *place == destination) {
                Some((_, recipients)) => recipients.push(recipient.clone()),
                None => parts.push((destination, vec![recipient.clone()])),
            }
        }
        parts
    }

    async fn ask(&mut self, host: &MailHost, sender: &ReversePath) -> Option<Destination> {
        let domain = match host {
            MailHost::Domain(domain) => domain,
            MailHost::Literal(address) => return Some(Destination::literal(*address)),
        };
        if Instant::now() < self.silent_until {
            return None;
        }
        let answer = self.context.policy.resolve_route(domain, sender).await;
        if answer.is_err() {
            self.silent_until = Instant::now() + POLICY_PAUSE;
        }
        answer.ok()
    }
}
