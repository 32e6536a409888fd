//! Takes entries out of one lane and hands them to the shard's actor. Before that it looks
//! whether the entry still belongs here: a retry may have been written already, and the
//! route may have changed while the entry waited (SEED-022).

use std::sync::Arc;

use hikyaku_queue::{Lease, pull::LanePuller};
use hikyaku_runtime::error_chain::chain;
use hikyaku_types::{
    address::MailHost,
    destination::{Destination, HostName, SMTP_PORT},
    envelope::{Envelope, Lane, Recipient},
    shard::ShardId,
};
use ractor::ActorRef;
use tokio_util::sync::CancellationToken;

use crate::{context::Context, mail_log, metrics::REROUTED, shard::ShardMessage};

pub(crate) async fn run(
    context: Arc<Context>,
    shard: ShardId,
    lane: Lane,
    actor: ActorRef<ShardMessage>,
    stop: CancellationToken,
) {
    let mut puller = LanePuller::new(context.nats.clone(), shard, lane);
    loop {
        let lease = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            lease = puller.next() => lease,
        };
        let Some(lease) = still_ours(&context, lease).await else { continue };
        // The mailbox is bounded by the entries that the broker lets a lane hold.
        if actor.cast(ShardMessage::Work(Box::new(lease))).is_err() {
            return;
        }
    }
}

async fn still_ours(context: &Context, lease: Lease) -> Option<Lease> {
    if lease.is_redelivery() && context.rescheduler.is_scheduled(lease.envelope()).await {
        lease.done().await;
        return None;
    }
    let parts = current_routes(context, lease.envelope()).await;
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

/// The recipients of an envelope by where they go now. One whose route the policy does not tell
/// stays where it is.
async fn current_routes(context: &Context, envelope: &Envelope) -> Vec<(Destination, Vec<Recipient>)> {
    let mut parts: Vec<(Destination, Vec<Recipient>)> = Vec::new();
    for recipient in &envelope.recipients {
        let destination = match recipient.address.host() {
            MailHost::Domain(domain) => context.policy.resolve_route(domain).await.ok(),
            MailHost::Literal(address) => {
                Some(Destination::Host { host: HostName::Address(*address), port: SMTP_PORT })
            }
        };
        let destination = destination.unwrap_or_else(|| envelope.destination.clone());
        match parts.iter_mut().find(|(known, _)| *known == destination) {
            Some((_, recipients)) => recipients.push(recipient.clone()),
            None => parts.push((destination, vec![recipient.clone()])),
        }
    }
    parts
}
