//! The root actor: one child for each shard that this worker owns.
//!
//! It carries messages between the roster and the pure [`Assignment`]. A shard that fails is
//! begun anew, with everything that it had not settled; shards that fail again and again end the
//! process: whoever runs it starts it anew.

use std::{
    collections::HashMap,
    ops::ControlFlow,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{Stream, StreamExt as _};
use hikyaku_queue::{
    kv::KvError,
    roster::{Roster, RosterEvent, WorkerId},
    tenure::Tenure,
};
use hikyaku_runtime::error_chain::chain;
use hikyaku_types::shard::{ShardCount, ShardId};
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio_util::sync::DropGuard;

use crate::{
    context::Context,
    metrics::{ALL_SHARDS, RESTARTS, SHARDS},
    shard::{
        ShardActor, ShardArguments, ShardMessage,
        assignment::{Assignment, BEAT_EVERY, Effect},
    },
    sites,
};

const RESTART_PAUSE: Duration = Duration::from_secs(1);
const REOPEN_PAUSE: Duration = Duration::from_millis(500);
/// A roster that is silent for longer is read anew.
const SILENCE: Duration = Duration::from_secs(2);
/// More failures than this within the window are not bad luck.
const MAX_FAILURES: usize = 10;
const FAILURE_WINDOW: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) enum SupervisorMessage {
    Tick,
    Seen(RosterEvent),
    ClaimFailed(ShardId),
    Begin(ShardId),
    Begun(Tenure),
    Drain,
}

pub(crate) struct Supervisor {
    pub(crate) context: Arc<Context>,
    pub(crate) roster: Roster,
}

#[derive(Debug)]
pub(crate) struct SupervisorArguments {
    pub(crate) id: WorkerId,
    pub(crate) shards: ShardCount,
}

pub(crate) struct State {
    id: WorkerId,
    assignment: Assignment,
    shards: HashMap<ShardId, Child>,
    failures: Vec<Instant>,
    draining: bool,
    /// Dropping it ends the reading of the roster.
    _following: DropGuard,
}

struct Child {
    actor: ActorRef<ShardMessage>,
    tenure: Tenure,
}

impl Actor for Supervisor {
    type Msg = SupervisorMessage;
    type State = State;
    type Arguments = SupervisorArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        arguments: SupervisorArguments,
    ) -> Result<State, ActorProcessingErr> {
        let SupervisorArguments { id, shards } = arguments;
        let stop = tokio_util::sync::CancellationToken::new();
        let following = follow(self.roster.clone(), myself.clone());
        self.context.tasks.spawn(stop.clone().run_until_cancelled_owned(following));
        let keeping = sites::keep(Arc::clone(&self.context), id.to_string(), shards);
        self.context.tasks.spawn(stop.clone().run_until_cancelled_owned(keeping));
        myself.send_interval(BEAT_EVERY, || SupervisorMessage::Tick);
        myself.cast(SupervisorMessage::Tick)?;
        let node = self.context.config.node.clone();
        tracing::info!(worker = %id, "worker begins");
        Ok(State {
            assignment: Assignment::new(id.clone(), node, shards, Instant::now()),
            id,
            shards: HashMap::new(),
            failures: Vec::new(),
            draining: false,
            _following: stop.drop_guard(),
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: SupervisorMessage,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let now = Instant::now();
        let effects = match message {
            SupervisorMessage::Tick => {
                let (all, unowned) = (state.assignment.shards(), state.assignment.unowned(now));
                metrics::gauge!(ALL_SHARDS, "state" => "unowned").set(unowned as f64);
                metrics::gauge!(ALL_SHARDS, "state" => "owned").set(all.saturating_sub(unowned) as f64);
                state.assignment.tick(now)
            }
            SupervisorMessage::Seen(event) => {
                if let (Some(age), RosterEvent::Worker { at, .. }) =
                    (state.assignment.age_of_own(&event, now), &event)
                {
                    self.context.clock.compare(now - age, *at, now);
                }
                let effects = state.assignment.seen(event, now);
                if let Some(until) = state.assignment.valid_until() {
                    self.context.fence.open_until(until);
                }
                effects
            }
            SupervisorMessage::ClaimFailed(shard) => {
                state.assignment.claim_failed(shard);
                Vec::new()
            }
            // It may have been lost, given up or begun meanwhile: to begin takes everything away from
            // whoever has it now.
            SupervisorMessage::Begin(shard) => {
                state.may_begin(shard).then_some(Effect::Start(shard)).into_iter().collect()
            }
            SupervisorMessage::Begun(tenure) => {
                self.begun(&myself, state, tenure).await?;
                Vec::new()
            }
            SupervisorMessage::Drain => {
                state.draining = true;
                state.assignment.leave()
            }
        };
        for effect in effects {
            self.perform(&myself, state, effect, now);
        }
        self.stop_when_drained(&myself, state).await;
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
        let gone = state.shards.iter().find(|(_, child)| child.actor.get_id() == who.get_id());
        let Some(shard) = gone.map(|(shard, _)| *shard) else { return Ok(()) };
        if let Some(child) = state.shards.remove(&shard) {
            child.tenure.end();
        }
        metrics::gauge!(SHARDS).set(state.shards.len() as f64);
        let now = Instant::now();
        if let Some(error) = &failed {
            tracing::error!(%shard, %error, "shard actor failed");
            state.count_failure(now)?;
        }
        // One that failed while it was given up has ended like any other.
        if failed.is_some() && state.assignment.is_running(shard) {
            myself.send_after(RESTART_PAUSE, move || SupervisorMessage::Begin(shard));
        } else if let Some(effect) = state.assignment.stopped(shard, now) {
            self.perform(&myself, state, effect, now);
        }
        Ok(())
    }
}

impl State {
    /// The shard is ours, nobody wants it back, and nothing runs for it.
    fn may_begin(&self, shard: ShardId) -> bool {
        self.assignment.is_running(shard) && !self.shards.contains_key(&shard)
    }

    fn count_failure(&mut self, now: Instant) -> Result<(), ActorProcessingErr> {
        metrics::counter!(RESTARTS, "actor.kind" => "shard").increment(1);
        self.failures.retain(|at| now.duration_since(*at) < FAILURE_WINDOW);
        self.failures.push(now);
        if self.failures.len() > MAX_FAILURES {
            return Err("shard actors fail again and again".into());
        }
        Ok(())
    }
}

impl Supervisor {
    fn perform(&self, myself: &ActorRef<SupervisorMessage>, state: &mut State, effect: Effect, now: Instant) {
        let (roster, id, tasks) = (self.roster.clone(), state.id.clone(), &self.context.tasks);
        match effect {
            Effect::Beat(record) => {
                tasks.spawn(async move {
                    if let Err(error) = roster.beat(&id, &record).await {
                        tracing::debug!(error = chain(&error), "sign of life was not written");
                    }
                });
            }
            Effect::Claim(shard, revision) => {
                let myself = myself.clone();
                tasks.spawn(async move {
                    if let Err(error) = roster.claim(shard, &id, revision).await {
                        tracing::debug!(%shard, error = chain(&error), "shard was not claimed");
                        let _ = myself.cast(SupervisorMessage::ClaimFailed(shard)); // it may be gone
                    }
                });
            }
            Effect::Release(shard, revision) => {
                tasks.spawn(async move {
                    match roster.release(shard, revision).await {
                        Ok(()) => tracing::info!(%shard, "shard was given up"),
                        Err(error) => {
                            tracing::debug!(%shard, error = chain(&error), "shard was not released")
                        }
                    }
                });
            }
            Effect::Start(shard) => {
                let (myself, nats) = (myself.clone(), self.context.nats.clone());
                tasks.spawn(async move {
                    match Tenure::begin(&nats, shard).await {
                        Ok(tenure) => {
                            let _ = myself.cast(SupervisorMessage::Begun(tenure)); // it may be gone
                        }
                        Err(error) => {
                            tracing::warn!(%shard, error = chain(&error), "shard was not begun; trying again");
                            myself.send_after(RESTART_PAUSE, move || SupervisorMessage::Begin(shard));
                        }
                    }
                });
            }
            Effect::Stop(shard) => match state.shards.get(&shard) {
                Some(child) => {
                    let _ = child.actor.cast(ShardMessage::Drain); // gone already: drained
                }
                // It had not begun yet.
                None => {
                    if let Some(release) = state.assignment.stopped(shard, now) {
                        self.perform(myself, state, release, now);
                    }
                }
            },
            Effect::Abandon(shard) => {
                if let Some(child) = state.shards.remove(&shard) {
                    tracing::warn!(%shard, "shard was taken by another worker");
                    child.tenure.end();
                    child.actor.kill();
                    metrics::gauge!(SHARDS).set(state.shards.len() as f64);
                }
            }
        }
    }

    async fn begun(
        &self,
        myself: &ActorRef<SupervisorMessage>,
        state: &mut State,
        tenure: Tenure,
    ) -> Result<(), ActorProcessingErr> {
        let shard = tenure.shard();
        // Also an earlier try may have begun it.
        if !state.may_begin(shard) {
            tenure.end();
            return Ok(());
        }
        let actor = ShardActor(Arc::clone(&self.context));
        let alone = state.assignment.workers_alive(Instant::now()) <= 1;
        let arguments = ShardArguments { tenure: tenure.clone(), alone };
        let (actor, _) = Actor::spawn_linked(None, actor, arguments, myself.get_cell()).await?;
        tracing::info!(%shard, "shard is ours");
        state.shards.insert(shard, Child { actor, tenure });
        metrics::gauge!(SHARDS).set(state.shards.len() as f64);
        Ok(())
    }

    async fn stop_when_drained(&self, myself: &ActorRef<SupervisorMessage>, state: &mut State) {
        if state.draining && !state.assignment.has_shards() {
            let (roster, id, record) = (self.roster.clone(), state.id.clone(), state.assignment.farewell());
            self.context.tasks.spawn(async move {
                if let Err(error) = roster.beat(&id, &record).await {
                    tracing::debug!(error = chain(&error), "farewell was not written; it shows by itself");
                }
            });
            myself.stop(None);
        }
    }
}

/// Reads the roster for ever, from the start each time.
async fn follow(roster: Roster, supervisor: ActorRef<SupervisorMessage>) {
    loop {
        match roster.watch().await {
            Ok(events) => {
                if pass_on(events, &supervisor).await.is_break() {
                    return;
                }
            }
            Err(error) => tracing::warn!(error = chain(&error), "the roster cannot be read"),
        }
        tokio::time::sleep(REOPEN_PAUSE).await;
    }
}

/// Until the reading is cut; it breaks when the supervisor is gone. The broker that serves it may die
/// without a word, but our own signs of life should be heard all the time.
async fn pass_on(
    mut events: impl Stream<Item = Result<RosterEvent, KvError>> + Unpin,
    supervisor: &ActorRef<SupervisorMessage>,
) -> ControlFlow<()> {
    loop {
        match tokio::time::timeout(SILENCE, events.next()).await {
            Ok(Some(Ok(event))) => {
                if supervisor.cast(SupervisorMessage::Seen(event)).is_err() {
                    return ControlFlow::Break(());
                }
            }
            Ok(Some(Err(error))) => {
                tracing::warn!(error = chain(&error), "reading of the roster was cut");
                return ControlFlow::Continue(());
            }
            Ok(None) => return ControlFlow::Continue(()),
            Err(_) => {
                tracing::warn!("nothing is heard of the roster; reading it anew");
                return ControlFlow::Continue(());
            }
        }
    }
}
