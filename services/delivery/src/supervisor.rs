//! The root actor: one child for each shard.
//!
//! A shard that fails gives its pins up with its pulls; it is started again after a pause.
//! Shards that fail again and again end the process: whoever runs it starts it anew.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use hikyaku_types::shard::{ShardCount, ShardId};
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};

use crate::{
    context::Context,
    metrics::RESTARTS,
    shard::{ShardActor, ShardMessage},
};

const RESTART_PAUSE: Duration = Duration::from_secs(1);
/// More failures than this within the window are not bad luck.
const MAX_FAILURES: usize = 10;
const FAILURE_WINDOW: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) enum SupervisorMessage {
    Start(ShardId),
    Drain,
}

pub(crate) struct Supervisor(pub(crate) Arc<Context>);

pub(crate) struct State {
    shards: HashMap<ShardId, ActorRef<ShardMessage>>,
    failures: Vec<Instant>,
    draining: bool,
}

impl Actor for Supervisor {
    type Msg = SupervisorMessage;
    type State = State;
    type Arguments = ShardCount;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        shards: ShardCount,
    ) -> Result<State, ActorProcessingErr> {
        for shard in shards.shards() {
            myself.cast(SupervisorMessage::Start(shard))?;
        }
        Ok(State { shards: HashMap::new(), failures: Vec::new(), draining: false })
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: SupervisorMessage,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            SupervisorMessage::Start(_) if state.draining => {}
            SupervisorMessage::Start(shard) => {
                let actor = ShardActor(Arc::clone(&self.0));
                let (actor, _) = Actor::spawn_linked(None, actor, shard, myself.get_cell()).await?;
                state.shards.insert(shard, actor);
            }
            SupervisorMessage::Drain => {
                state.draining = true;
                for shard in state.shards.values() {
                    let _ = shard.cast(ShardMessage::Drain); // gone already: drained
                }
                stop_when_drained(&myself, state);
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let (who, failed) = match event {
            SupervisionEvent::ActorTerminated(who, ..) => (who, None),
            SupervisionEvent::ActorFailed(who, error) => (who, Some(error)),
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => return Ok(()),
        };
        let gone = state.shards.iter().find(|(_, actor)| actor.get_id() == who.get_id());
        let Some(shard) = gone.map(|(shard, _)| *shard) else { return Ok(()) };
        state.shards.remove(&shard);
        if let Some(error) = failed {
            tracing::error!(%shard, %error, "shard actor failed; starting it again");
            metrics::counter!(RESTARTS, "actor.kind" => "shard").increment(1);
            state.failures.retain(|at| at.elapsed() < FAILURE_WINDOW);
            state.failures.push(Instant::now());
            if state.failures.len() > MAX_FAILURES {
                return Err("shard actors fail again and again".into());
            }
            myself.send_after(RESTART_PAUSE, move || SupervisorMessage::Start(shard));
        }
        stop_when_drained(&myself, state);
        Ok(())
    }
}

fn stop_when_drained(myself: &ActorRef<SupervisorMessage>, state: &State) {
    if state.draining && state.shards.is_empty() {
        myself.stop(None);
    }
}
