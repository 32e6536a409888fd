//! Takes entries out of one lane and hands them to the shard's actor. Before that it looks
//! whether the entry still belongs here: a retry may have been written already, and the
//! route may have changed while the entry waited (SEED-022).

use std::sync::Arc;

use hikyaku_queue::{Lease, pull::LanePuller};
use hikyaku_types::{
    address::MailHost,
    destination::{Destination, HostName, SMTP_PORT},
    envelope::{Envelope, Lane},
    shard::ShardId,
};
use ractor::ActorRef;
use tokio_util::sync::CancellationToken;

use crate::{context::Context, metrics::REROUTED, shard::ShardMessage};

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
    let envelope = lease.envelope();
    let Some(destination) = current_route(context, envelope).await else { return Some(lease) };
    if destination == envelope.destination {
        return Some(lease);
    }
    tracing::info!(target: "mail", event = "rerouted", queue_id = %envelope.entry.queue_id,
        entry = %envelope.entry, from = %envelope.destination, to = %destination);
    metrics::counter!(REROUTED).increment(1);
    let changed = Envelope { destination, ..envelope.clone() };
    if let Err(error) = context.rescheduler.reroute(lease, &changed).await {
        tracing::warn!(entry = %changed.entry, %error, "entry was not rerouted; it comes again");
    }
    None
}

/// Where the recipients of an envelope go now. All of an envelope have one next hop; when a
/// change of routes parts them, the first recipient's route moves the whole, and what does
/// not belong there is moved on from there. Without an answer the entry stays where it is.
async fn current_route(context: &Context, envelope: &Envelope) -> Option<Destination> {
    match envelope.recipients.first()?.address.host() {
        MailHost::Domain(domain) => context.policy.resolve_route(domain).await.ok(),
        MailHost::Literal(address) => {
            Some(Destination::Host { host: HostName::Address(*address), port: SMTP_PORT })
        }
    }
}
