//! Carries messages between the brain, the sessions and the queue. It decides nothing and
//! never waits for a network.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use hikyaku_queue::{
    Lease,
    lease::{RENEW_EVERY, Renewal},
    reschedule::Aside,
    topology::LANE_CAPACITY,
};
use hikyaku_types::{destination::Destination, ids::EntryId, outcome::Failure, traffic::EgressAddress};
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};

use crate::{
    connection::{ConnectionActor, ConnectionArguments, ConnectionMessage},
    context::Context,
    destination::{
        brain::{Brain, Effect, EgressId, Event, JobId, Limits, SessionId},
        held_back::{Share, Waiting},
    },
    outcome::settle,
    shard::ShardMessage,
};

const TICK: Duration = Duration::from_secs(1);
/// Entries set aside that a destination remembers.
const MAX_ASIDE: usize = 20_000;

#[derive(Debug)]
pub(crate) enum DestinationMessage {
    /// From the shard, whose lane has `room` for so many more.
    Work {
        lease: Box<Lease>,
        room: usize,
    },
    /// From a session that has ended, or is about to, before it began with it.
    Returned {
        session: SessionId,
        lease: Box<Lease>,
    },
    Opened(SessionId),
    OpenFailed(SessionId, Box<Failure>),
    Finished {
        session: SessionId,
        usable: bool,
        too_much: bool,
    },
    /// It takes nothing more, and says QUIT.
    Leaving(SessionId),
    Closed(SessionId),
    /// This one can be recalled.
    SetAside(Aside),
    /// Those that were recalled are back, but for these.
    Recalled(Vec<Aside>),
    Tick,
    Drain,
}

#[derive(Debug)]
pub(crate) struct DestinationArguments {
    pub(crate) destination: Destination,
    pub(crate) shard: ActorRef<ShardMessage>,
}

pub(crate) struct DestinationActor(pub(crate) Arc<Context>);

pub(crate) struct State {
    destination: Arc<Destination>,
    shard: ActorRef<ShardMessage>,
    brain: Brain,
    limits: Limits,
    /// The addresses that entries leave from; their places are what the brain knows of them.
    egress: Vec<Option<EgressAddress>>,
    /// Entries that wait; those in transfer are with their session.
    jobs: Jobs,
    /// Entries that were set aside, the oldest first.
    aside: VecDeque<Aside>,
    /// Entries taken from the shard since the start, so that it can tell whether more are on the way.
    taken: u64,
    sessions: HashMap<SessionId, ActorRef<ConnectionMessage>>,
    /// What each session is busy with.
    transfers: HashMap<SessionId, EntryId>,
    renewed_at: Instant,
    held_back: Share,
    due_aside: Share,
    /// Sessions that wait for a turn of this process.
    waiting: Waiting,
}

/// Entries that wait, by number and by name.
#[derive(Default)]
struct Jobs {
    leases: HashMap<JobId, Lease>,
    of_entries: HashMap<EntryId, JobId>,
    next: u64,
}

impl Jobs {
    /// `None`: the entry was here, and has a newer lease now.
    fn insert(&mut self, lease: Lease) -> Option<JobId> {
        let entry = lease.envelope().entry;
        if let Some(held) = self.of_entries.get(&entry).and_then(|job| self.leases.get_mut(job)) {
            std::mem::replace(held, lease).forget();
            return None;
        }
        let job = JobId(self.next);
        self.next += 1;
        self.of_entries.insert(entry, job);
        self.leases.insert(job, lease);
        Some(job)
    }

    fn remove(&mut self, job: JobId) -> Option<Lease> {
        let lease = self.leases.remove(&job)?;
        self.of_entries.remove(&lease.envelope().entry);
        Some(lease)
    }
}

impl Actor for DestinationActor {
    type Msg = DestinationMessage;
    type State = State;
    type Arguments = DestinationArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        arguments: DestinationArguments,
    ) -> Result<State, ActorProcessingErr> {
        myself.send_interval(TICK, || DestinationMessage::Tick);
        let limits = self.0.limits(&arguments.destination);
        let now = Instant::now();
        Ok(State {
            destination: Arc::new(arguments.destination),
            shard: arguments.shard,
            brain: Brain::new(limits, now),
            limits,
            egress: Vec::new(),
            jobs: Jobs::default(),
            aside: VecDeque::new(),
            taken: 0,
            sessions: HashMap::new(),
            transfers: HashMap::new(),
            renewed_at: now,
            held_back: self.0.depths.held_back().share(),
            due_aside: self.0.depths.due_aside().share(),
            waiting: Waiting::default(),
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: DestinationMessage,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let (event, failure) = match message {
            DestinationMessage::Work { lease, room } => {
                state.taken += 1;
                match state.take(&self.0, *lease, room) {
                    Some(event) => (event, None),
                    None => return Ok(()),
                }
            }
            DestinationMessage::Returned { session, lease } => {
                state.transfers.remove(&session);
                match state.take(&self.0, *lease, usize::from(LANE_CAPACITY)) {
                    Some(event) => (event, None),
                    None => return Ok(()),
                }
            }
            DestinationMessage::Opened(session) => (Event::Opened(session), None),
            DestinationMessage::OpenFailed(session, failure) => {
                state.transfers.remove(&session);
                state.sessions.remove(&session);
                (Event::OpenFailed(session), Some(failure))
            }
            DestinationMessage::Finished { session, usable, too_much } => {
                state.transfers.remove(&session);
                (Event::Finished { session, usable, too_much }, None)
            }
            DestinationMessage::Leaving(session) => (Event::Leaving(session), None),
            DestinationMessage::Closed(session) => {
                state.transfers.remove(&session);
                state.sessions.remove(&session);
                (Event::Closed(session), None)
            }
            DestinationMessage::SetAside(aside) => {
                // The rest comes at its own time.
                if state.aside.len() >= MAX_ASIDE {
                    return Ok(());
                }
                state.aside.push_back(aside);
                (Event::SetAside, None)
            }
            DestinationMessage::Recalled(failed) => {
                let count = failed.len();
                failed.into_iter().for_each(|aside| state.aside.push_front(aside));
                (Event::Recalled { failed: count }, None)
            }
            DestinationMessage::Tick => {
                state.renew(&self.0);
                (self.tick(state), None)
            }
            DestinationMessage::Drain => (Event::Drain, None),
        };
        for effect in state.brain.on(event, Instant::now()) {
            self.perform(&myself, state, effect, failure.as_deref()).await?;
        }
        let (waits, now) = (state.waiting.any(), Instant::now());
        state.held_back.set(state.brain.held_back(waits, now));
        state.due_aside.set(state.brain.due_aside(waits, now));
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let (who, failed) = match event {
            SupervisionEvent::ActorTerminated(who, ..) => (who, false),
            SupervisionEvent::ActorFailed(who, error) => {
                tracing::error!(destination = %state.destination, %error, "session actor failed");
                (who, true)
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => return Ok(()),
        };
        // Its entry, if it had one, went back to the stream when the lease was dropped.
        let gone = state.sessions.iter().find(|(_, actor)| actor.get_id() == who.get_id());
        if let Some(session) = gone.map(|(session, _)| *session) {
            if failed {
                metrics::counter!(crate::metrics::RESTARTS, "actor.kind" => "connection").increment(1);
            }
            myself.cast(DestinationMessage::Closed(session))?;
        }
        Ok(())
    }
}

impl DestinationActor {
    fn tick(&self, state: &mut State) -> Event {
        // What is set aside comes back to the puller, which keeps it until the hold ends.
        if self.0.holds.holds().is_held(&state.destination, self.0.clock.now()).is_some() {
            return Event::Held;
        }
        let limits = self.0.limits(&state.destination);
        if limits == state.limits {
            return Event::Tick;
        }
        state.limits = limits;
        Event::Limits(limits)
    }

    async fn perform(
        &self,
        myself: &ActorRef<DestinationMessage>,
        state: &mut State,
        effect: Effect,
        failure: Option<&Failure>,
    ) -> Result<(), ActorProcessingErr> {
        match effect {
            Effect::Open(session, egress, class) => {
                let arguments = ConnectionArguments {
                    session,
                    egress: state.egress.get(egress.0).cloned().flatten(),
                    class,
                    destination: Arc::clone(&state.destination),
                    waiting: state.waiting.clone(),
                    owner: myself.clone(),
                };
                let actor = ConnectionActor(Arc::clone(&self.0));
                // Starting an actor waits for its own start-up code only.
                let (connection, _) = Actor::spawn_linked(None, actor, arguments, myself.get_cell()).await?;
                state.sessions.insert(session, connection);
            }
            Effect::Assign(session, job) => {
                if let (Some(lease), Some(connection)) =
                    (state.jobs.remove(job), state.sessions.get(&session))
                {
                    state.transfers.insert(session, lease.envelope().entry);
                    // When the session is gone the lease goes back by being dropped.
                    let _ = connection.cast(ConnectionMessage::Deliver(Box::new(lease)));
                }
            }
            Effect::Close(session) => {
                if let Some(connection) = state.sessions.get(&session) {
                    let _ = connection.cast(ConnectionMessage::Close); // gone already: the same
                }
            }
            Effect::Abandon(session) => {
                if let Some(connection) = state.sessions.remove(&session) {
                    connection.stop(None);
                }
            }
            Effect::Park(job, after) => {
                if let Some(lease) = state.jobs.remove(job) {
                    let myself = myself.clone();
                    let known = move |aside| {
                        let _ = myself.cast(DestinationMessage::SetAside(aside)); // gone: it comes at its time
                    };
                    settle::park(&self.0, lease, after, known);
                }
            }
            Effect::Recall(count) => {
                let aside = state.aside.drain(..count.min(state.aside.len())).collect();
                let (context, destination) = (Arc::clone(&self.0), Arc::clone(&state.destination));
                let told = TellRecalled { actor: myself.clone(), failed: Vec::new() };
                self.0.tasks.spawn(async move {
                    let mut told = told;
                    told.failed = settle::recall(&context, &destination, aside).await;
                    drop(told);
                });
            }
            Effect::Defer(jobs) => {
                let Some(failure) = failure else { return Ok(()) };
                for lease in jobs.into_iter().filter_map(|job| state.jobs.remove(job)) {
                    settle::unreachable(&self.0, lease, failure.clone());
                }
            }
            Effect::GiveBack(jobs) => {
                for lease in jobs.into_iter().filter_map(|job| state.jobs.remove(job)) {
                    lease.forget(); // the shard's next owner gets all that is unsettled
                }
            }
            Effect::Idle => {
                let (destination, taken) = (Arc::clone(&state.destination), state.taken);
                state.shard.cast(ShardMessage::Idle { destination, taken })?;
            }
        }
        Ok(())
    }
}

/// Also when the task panics: one that waits for this recalls nothing more.
struct TellRecalled {
    actor: ActorRef<DestinationMessage>,
    failed: Vec<Aside>,
}

impl Drop for TellRecalled {
    fn drop(&mut self) {
        let failed = std::mem::take(&mut self.failed);
        let _ = self.actor.cast(DestinationMessage::Recalled(failed)); // gone: they come at their time
    }
}

impl State {
    /// An entry that is here already came again: the broker had not heard of it for too long, or hands
    /// out anew. One attempt at a time is enough; the newer lease takes the place of the older one.
    fn take(&mut self, context: &Context, lease: Lease, room: usize) -> Option<Event> {
        let entry = lease.envelope().entry;
        let is_in_transfer = self.transfers.values().any(|in_transfer| *in_transfer == entry);
        if is_in_transfer || lease.tenure().is_settling(entry) {
            lease.forget();
            return None;
        }
        let envelope = lease.envelope();
        let egress = self.egress_id(context.egress(&envelope.reverse_path, &envelope.destination));
        let class = context.class(&lease);
        let job = self.jobs.insert(lease)?;
        Some(Event::Arrived { job, class, egress, room })
    }

    fn egress_id(&mut self, egress: Option<EgressAddress>) -> EgressId {
        let place = self.egress.iter().position(|known| *known == egress).unwrap_or_else(|| {
            self.egress.push(egress);
            self.egress.len() - 1
        });
        EgressId(place)
    }

    /// Entries that wait long must not be handed out to another worker.
    fn renew(&mut self, context: &Context) {
        if self.renewed_at.elapsed() < RENEW_EVERY || self.jobs.leases.is_empty() {
            return;
        }
        self.renewed_at = Instant::now();
        let renewals: Vec<Renewal> = self.jobs.leases.values().map(Lease::renewal).collect();
        context.tasks.spawn(async move {
            for renewal in renewals {
                renewal.renew().await;
            }
        });
    }
}
