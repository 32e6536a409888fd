//! Knows the destinations of one shard that have work, and nothing about mail.

use std::{collections::HashMap, sync::Arc};

use hikyaku_queue::{Lease, pull, topology::LANE_CAPACITY};
use hikyaku_types::{destination::Destination, envelope::Lane, shard::ShardId};
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    context::Context,
    destination::{DestinationActor, DestinationArguments, DestinationMessage},
    metrics::{DESTINATIONS, RESTARTS},
    shard::puller,
};

#[derive(Debug)]
pub(crate) enum ShardMessage {
    Work(Box<Lease>),
    /// The destination has nothing left after `taken` entries.
    Idle {
        destination: Arc<Destination>,
        taken: u64,
    },
    Drain,
    /// A lane is not pulled any more, and nobody asked for that.
    PullerEnded,
}

pub(crate) struct ShardActor(pub(crate) Arc<Context>);

pub(crate) struct State {
    shard: ShardId,
    destinations: HashMap<Destination, Child>,
    /// Dropping it stops the pullers, also when this actor fails.
    pulling: Option<DropGuard>,
}

struct Child {
    actor: ActorRef<DestinationMessage>,
    /// Entries sent to it.
    sent: u64,
}

impl Actor for ShardActor {
    type Msg = ShardMessage;
    type State = State;
    type Arguments = ShardId;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        shard: ShardId,
    ) -> Result<State, ActorProcessingErr> {
        let stop_pulling = CancellationToken::new();
        for lane in Lane::ALL {
            let context = Arc::clone(&self.0);
            self.0.tasks.spawn(puller::run(context, shard, lane, myself.clone(), stop_pulling.clone()));
        }
        Ok(State { shard, destinations: HashMap::new(), pulling: Some(stop_pulling.drop_guard()) })
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: ShardMessage,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            ShardMessage::Work(lease) => self.send_on(&myself, state, lease).await?,
            ShardMessage::Idle { destination, taken } => {
                // An entry may be on its way to it: then it is not idle.
                let idle = state.destinations.get(&*destination).is_some_and(|child| child.sent == taken);
                if idle && let Some(child) = state.destinations.remove(&*destination) {
                    child.actor.stop(None);
                    metrics::gauge!(DESTINATIONS).decrement(1.0);
                }
            }
            ShardMessage::PullerEnded => return Err("a puller ended by itself".into()),
            ShardMessage::Drain => {
                state.pulling = None;
                for child in state.destinations.values() {
                    let _ = child.actor.cast(DestinationMessage::Drain); // gone already: drained
                }
            }
        }
        if state.pulling.is_none() && state.destinations.is_empty() {
            let (nats, shard) = (self.0.nats.clone(), state.shard);
            self.0.tasks.spawn(async move { pull::release(&nats, shard).await });
            myself.stop(None);
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let SupervisionEvent::ActorFailed(who, error) = event else { return Ok(()) };
        // Its entries went back to the stream with their leases; the next one starts it anew.
        tracing::error!(shard = %state.shard, %error, "destination actor failed");
        metrics::counter!(RESTARTS, "actor.kind" => "destination").increment(1);
        let before = state.destinations.len();
        state.destinations.retain(|_, child| child.actor.get_id() != who.get_id());
        if state.destinations.len() < before {
            metrics::gauge!(DESTINATIONS).decrement(1.0);
        }
        Ok(())
    }
}

impl ShardActor {
    async fn send_on(
        &self,
        myself: &ActorRef<ShardMessage>,
        state: &mut State,
        lease: Box<Lease>,
    ) -> Result<(), ActorProcessingErr> {
        if state.pulling.is_none() {
            self.0.tasks.spawn(lease.give_back());
            return Ok(());
        }
        let destination = &lease.envelope().destination;
        let child = match state.destinations.get_mut(destination) {
            Some(child) => child,
            None => {
                let arguments =
                    DestinationArguments { destination: destination.clone(), shard: myself.clone() };
                let actor = DestinationActor(Arc::clone(&self.0));
                let (actor, _) = Actor::spawn_linked(None, actor, arguments, myself.get_cell()).await?;
                metrics::gauge!(DESTINATIONS).increment(1.0);
                state.destinations.entry(destination.clone()).or_insert(Child { actor, sent: 0 })
            }
        };
        child.sent += 1;
        let room = usize::from(LANE_CAPACITY).saturating_sub(lease.held_in_lane());
        let _ = child.actor.cast(DestinationMessage::Work { lease, room }); // failed: the lease goes back
        Ok(())
    }
}
