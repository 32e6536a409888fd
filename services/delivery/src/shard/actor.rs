//! Knows the destinations of one shard that have work, and nothing about mail.

use std::{collections::HashMap, sync::Arc, time::Duration};

use hikyaku_queue::{Lease, tenure::Tenure};
use hikyaku_types::{destination::Destination, envelope::Lane};
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    context::Context,
    destination::{DestinationActor, DestinationArguments, DestinationMessage},
    metrics::{DESTINATIONS, RESTARTS},
    shard::{depth, orphans, puller},
    sites,
};

/// What runs when a shard is given up may go on for so long. Nobody else works on the shard
/// meanwhile, so it is short; what is cut is tried again by the next owner.
const HAND_OVER: Duration = Duration::from_secs(8);
/// Transactions with a usual server are through by then. Those that have not come to their content
/// end, without harm; fresh mail of the shard waits for the others only.
const HASTE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) enum ShardMessage {
    Work(Box<Lease>),
    /// The destination has nothing left after `taken` entries.
    Idle {
        destination: Arc<Destination>,
        taken: u64,
    },
    Drain,
    /// What has not come to its content ends.
    Hasten,
    /// The time to hand over is up.
    Cut,
    /// Everything that was decided is written.
    Settled,
    /// A lane is not pulled any more, and nobody asked for that.
    PullerEnded,
}

#[derive(Debug)]
pub(crate) struct ShardArguments {
    pub(crate) tenure: Tenure,
    /// No other worker lives.
    pub(crate) alone: bool,
}

pub(crate) struct ShardActor(pub(crate) Arc<Context>);

pub(crate) struct State {
    tenure: Tenure,
    destinations: HashMap<Destination, Child>,
    /// Dropping it stops the pullers, also when this actor fails.
    pulling: Option<DropGuard>,
    /// Dropping it ends the answers about sites and everything else that goes on beside the work.
    _answering: DropGuard,
    settling: bool,
}

struct Child {
    actor: ActorRef<DestinationMessage>,
    /// Entries sent to it.
    sent: u64,
}

impl Actor for ShardActor {
    type Msg = ShardMessage;
    type State = State;
    type Arguments = ShardArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        arguments: ShardArguments,
    ) -> Result<State, ActorProcessingErr> {
        let ShardArguments { tenure, alone } = arguments;
        let stop_pulling = CancellationToken::new();
        let (context, shard) = (Arc::clone(&self.0), tenure.shard());
        let stop_answering = CancellationToken::new();
        let answering = sites::answer(context, shard, alone);
        self.0.tasks.spawn(stop_answering.clone().run_until_cancelled_owned(answering));
        let watching = depth::watch(Arc::clone(&self.0), shard);
        self.0.tasks.spawn(stop_answering.clone().run_until_cancelled_owned(watching));
        let collecting = orphans::collect(Arc::clone(&self.0), shard);
        self.0.tasks.spawn(stop_answering.clone().run_until_cancelled_owned(collecting));
        for lane in Lane::ALL {
            let context = Arc::clone(&self.0);
            self.0.tasks.spawn(puller::run(
                context,
                tenure.clone(),
                lane,
                myself.clone(),
                stop_pulling.clone(),
            ));
        }
        let pulling = Some(stop_pulling.drop_guard());
        let _answering = stop_answering.drop_guard();
        Ok(State { tenure, destinations: HashMap::new(), pulling, _answering, settling: false })
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
                myself.send_after(HASTE, || ShardMessage::Hasten);
                myself.send_after(HAND_OVER, || ShardMessage::Cut);
            }
            ShardMessage::Hasten => state.tenure.hasten(),
            ShardMessage::Cut => {
                for (_, child) in state.destinations.drain() {
                    tracing::warn!(shard = %state.tenure.shard(), "transactions were cut to hand over");
                    child.actor.kill();
                    metrics::gauge!(DESTINATIONS).decrement(1.0);
                }
            }
            ShardMessage::Settled => myself.stop(None),
        }
        self.settle_when_empty(&myself, state);
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let SupervisionEvent::ActorFailed(who, error) = event else { return Ok(()) };
        // Its entries went back to the stream with their leases; the next one starts it anew.
        tracing::error!(shard = %state.tenure.shard(), %error, "destination actor failed");
        metrics::counter!(RESTARTS, "actor.kind" => "destination").increment(1);
        let before = state.destinations.len();
        state.destinations.retain(|_, child| child.actor.get_id() != who.get_id());
        if state.destinations.len() < before {
            metrics::gauge!(DESTINATIONS).decrement(1.0);
        }
        self.settle_when_empty(&myself, state);
        Ok(())
    }
}

impl ShardActor {
    /// A shard is given up when nothing runs for it and everything that was decided is written, or
    /// cannot be written for long. What is held unsettled then is the next owner's.
    fn settle_when_empty(&self, myself: &ActorRef<ShardMessage>, state: &mut State) {
        if state.pulling.is_some() || !state.destinations.is_empty() || state.settling {
            return;
        }
        state.settling = true;
        let (context, tenure, myself) = (Arc::clone(&self.0), state.tenure.clone(), myself.clone());
        self.0.tasks.spawn(async move {
            let (tasks, shard) = (tenure.tasks(), tenure.shard());
            tasks.close();
            if tokio::time::timeout(HAND_OVER, tasks.wait()).await.is_ok() {
                tenure.until_removed(&context.nats).await;
            } else {
                tracing::warn!(%shard, writes = tasks.len(), "shard is handed over with writes that do not end");
            }
            let _ = myself.cast(ShardMessage::Settled); // killed meanwhile: settled anyway
        });
    }

    async fn send_on(
        &self,
        myself: &ActorRef<ShardMessage>,
        state: &mut State,
        lease: Box<Lease>,
    ) -> Result<(), ActorProcessingErr> {
        if state.pulling.is_none() {
            lease.forget(); // for the next owner
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
        let room = lease.room_in_lane();
        let _ = child.actor.cast(DestinationMessage::Work { lease, room }); // failed: the lease goes back
        Ok(())
    }
}
