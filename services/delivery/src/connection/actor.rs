//! Owns the task in which a session lives: the task ends with the actor and the actor with
//! the task, so that neither outlives the other, whatever goes wrong.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

use hikyaku_queue::Lease;
use hikyaku_types::{
    destination::Destination,
    outcome::{LocalError, LocalErrorKind, Phase},
    traffic::EgressAddress,
};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    task::AbortHandle,
};

use crate::{
    connection::work::{self, Session},
    context::Context,
    destination::{DestinationMessage, SessionId, Waiting},
    fair::Class,
    outcome::{classify, settle},
};

#[derive(Debug)]
pub(crate) enum ConnectionMessage {
    Deliver(Box<Lease>),
    Close,
    /// The task has ended, in whatever way.
    Ended,
}

#[derive(Debug)]
pub(crate) struct ConnectionArguments {
    pub(crate) session: SessionId,
    /// The address that it leaves from; `None`: any.
    pub(crate) egress: Option<EgressAddress>,
    /// Of the entry that it is opened for.
    pub(crate) class: Class,
    pub(crate) destination: Arc<Destination>,
    pub(crate) waiting: Waiting,
    pub(crate) owner: ActorRef<DestinationMessage>,
}

pub(crate) struct ConnectionActor(pub(crate) Arc<Context>);

pub(crate) struct State {
    /// One place: the owner hands out the next entry when the last is finished.
    work: Option<mpsc::Sender<Lease>>,
    session: SessionId,
    owner: ActorRef<DestinationMessage>,
    was_useless: Arc<AtomicBool>,
    _task: AbortOnDrop,
}

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Actor for ConnectionActor {
    type Msg = ConnectionMessage;
    type State = State;
    type Arguments = ConnectionArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        arguments: ConnectionArguments,
    ) -> Result<State, ActorProcessingErr> {
        let (sender, receiver) = mpsc::channel(1);
        let (id, owner) = (arguments.session, arguments.owner.clone());
        let was_useless = Arc::<AtomicBool>::default();
        let session = Session {
            context: Arc::clone(&self.0),
            id: arguments.session,
            egress: arguments.egress,
            class: arguments.class,
            destination: arguments.destination,
            owner: arguments.owner,
            work: receiver,
            waiting: arguments.waiting,
            was_useless: Arc::clone(&was_useless),
        };
        let ended = TellWhenDropped(myself);
        let task = self.0.tasks.spawn(async move {
            let _ended = ended;
            work::run(session).await;
        });
        let _task = AbortOnDrop(task.abort_handle());
        Ok(State { work: Some(sender), session: id, owner, was_useless, _task })
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: ConnectionMessage,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            ConnectionMessage::Deliver(lease) => {
                let sent = match &state.work {
                    Some(work) => work.try_send(*lease),
                    None => Err(TrySendError::Closed(*lease)),
                };
                let Err(TrySendError::Closed(lease) | TrySendError::Full(lease)) = sent else {
                    return Ok(());
                };
                match state.was_useless.load(Ordering::SeqCst) {
                    // The session ended a moment ago: the entry is for another one.
                    false => {
                        let (session, lease) = (state.session, Box::new(lease));
                        state.owner.cast(DestinationMessage::Returned { session, lease })?;
                    }
                    // The peer ended it before its first message: that is this entry's attempt.
                    true => {
                        let what = "connection closed by peer before MAIL";
                        let error = LocalError::new(LocalErrorKind::Eof, what);
                        let failure = classify::no_reply(Phase::Greeting, error, SystemTime::now());
                        settle::unreachable(&self.0, lease, failure);
                    }
                }
            }
            // The task says QUIT when it finds its channel closed.
            ConnectionMessage::Close => state.work = None,
            ConnectionMessage::Ended => myself.stop(None),
        }
        Ok(())
    }
}

/// Also when the task panics.
struct TellWhenDropped(ActorRef<ConnectionMessage>);

impl Drop for TellWhenDropped {
    fn drop(&mut self) {
        let _ = self.0.cast(ConnectionMessage::Ended); // the actor may be gone
    }
}
