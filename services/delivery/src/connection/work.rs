//! The life of one session: wait for a permit, dial, then message after message until nobody
//! wants more of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use hikyaku_queue::{Lease, tenure::Tenure};
use hikyaku_spans::Span;
use hikyaku_types::{
    destination::Destination,
    outcome::{Failure, Phase, RecipientOutcome},
    traffic::EgressAddress,
};
use ractor::ActorRef;
use tokio::sync::mpsc;

use crate::{
    connection::{
        dial::{self, Wish},
        transfer::{Delivered, Gate, RemoteSession},
    },
    context::Context,
    destination::{DestinationMessage, SessionId, Waiting},
    fair::Class,
    history::{Ending, Reach},
    mail_log,
    metrics::{CONNECTIONS, FENCED},
    outcome::{classify, settle},
    sites::Place,
    spans,
};

/// A session does not wait longer for the end of an attempt to be written.
const SETTLED_WITHIN: Duration = Duration::from_secs(5);

pub(crate) struct Session {
    pub(crate) context: Arc<Context>,
    pub(crate) id: SessionId,
    pub(crate) egress: Option<EgressAddress>,
    pub(crate) class: Class,
    pub(crate) destination: Arc<Destination>,
    pub(crate) owner: ActorRef<DestinationMessage>,
    pub(crate) work: mpsc::Receiver<Lease>,
    /// Sessions of the destination that wait for a turn of this process.
    pub(crate) waiting: Waiting,
    /// The peer ended the session before its first message.
    pub(crate) was_useless: Arc<AtomicBool>,
}

pub(crate) async fn run(mut session: Session) {
    let context = Arc::clone(&session.context);
    let span = spans::session(&session.destination);
    // The semaphores are closed only when the process ends.
    let hosts = match span.around(dial::hosts(&context, &session.destination)).await {
        Ok(hosts) => hosts,
        Err(failure) => {
            spans::failed(&span, &failure);
            return session.tell_open_failed(failure);
        }
    };
    // Destinations that share MX hosts are one site; a fixed next hop has its own limit only.
    let site = match *session.destination {
        Destination::Mx(_) => Some(context.policy.traffic().site(&hosts)),
        Destination::Host { .. } => None,
    };
    let mut place = match &site {
        Some(site) => Some(context.sites.enter(site, session.class).await),
        None => None,
    };
    let Ok(opening) = context.openings.acquire().await else { return };
    // Whoever may have lost the shard opens nothing: the next owner counts sessions too.
    context.fence.opened().await;
    let _open = OpenSession::count();
    let egress = session.egress.as_ref();
    let opening_session = dial::open(&context, &session.destination, &hosts, Wish::Nothing, egress);
    let mut remote = match span.around(opening_session).await {
        Ok(remote) => remote,
        Err(failure) => {
            spans::failed(&span, &failure);
            return session.tell_open_failed(failure);
        }
    };
    spans::peer(&span, &remote.host);
    span.set("tls.protocol.version", remote.channel().secured.map_or("none", |secured| secured.version));
    let waits = session.waiting.one_more();
    let mut slot = tokio::select! {
        slot = context.slots.acquire(session.class) => slot,
        // It was kept waiting by us: that says nothing about the destination.
        _ = remote.until_lost() => {
            session.tell(DestinationMessage::Closed(session.id));
            return;
        }
    };
    drop((opening, waits));
    session.tell(DestinationMessage::Opened(session.id));
    let loads = context.loads(&session.destination, site.as_ref());
    let mut tenure = None;
    for done in 1..=loads.messages {
        let lease = tokio::select! {
            lease = session.work.recv() => lease,
            // The peer may say 421 or close while nothing is asked of it.
            failure = remote.until_lost() => {
                if done == 1 {
                    session.lost_before_first(failure);
                    return;
                }
                None
            }
            () = context.slots.until_wanted() => None,
            () = until_wanted(place.as_ref()) => None,
            // The next owner counts sessions too.
            () = context.fence.shut() => None,
        };
        let Some(lease) = lease else { break };
        let class = context.class(&lease);
        tenure = Some(lease.tenure().clone());
        slot.now_for(class);
        if let Some(place) = &mut place {
            place.now_for(class);
            let is_hastened = tokio::select! {
                () = context.paced(place, &lease) => false,
                () = lease.tenure().hastened() => true,
            };
            if is_hastened {
                session.give_back(Box::new(lease));
                break;
            }
        }
        // SEED-157: what the rules ask for by now needs another session.
        if !session.is_as_wanted(&remote) {
            session.give_back(Box::new(lease));
            break;
        }
        if !remote.has_room_for(lease.envelope().recipients.len(), loads.recipients) {
            session.give_back(Box::new(lease));
            break;
        }
        span.set("smtp.transactions", i64::from(done));
        let attempt = session.attempt(&mut remote, lease, loads.recipients, done > 1, &span);
        let (usable, too_much) = match attempt.await {
            Attempted::Settled { recorded, too_much } => {
                let is_last = done == loads.messages
                    || !remote.has_room_for(1, 1)
                    || place.as_ref().is_some_and(Place::is_surplus);
                let goes_on = recorded && !is_last && session.is_as_wanted(&remote);
                let usable =
                    goes_on && unless_hastened(tenure.as_ref(), remote.is_usable()).await == Some(true);
                (usable, too_much)
            }
            Attempted::NotBegun(lease) => {
                // Another session will do it; this one had its time.
                session.give_back(lease);
                break;
            }
            Attempted::Left(lease) => {
                session.give_back(lease);
                drop(remote);
                session.tell(DestinationMessage::Closed(session.id));
                return;
            }
            Attempted::Fenced => (false, false),
        };
        session.tell_finished(usable, too_much);
        if !usable {
            break;
        }
    }
    // An entry may have been handed over at this very moment.
    session.work.close();
    while let Ok(lease) = session.work.try_recv() {
        session.give_back(Box::new(lease));
    }
    session.tell(DestinationMessage::Leaving(session.id));
    unless_hastened(tenure.as_ref(), remote.quit()).await;
    session.tell(DestinationMessage::Closed(session.id));
}

/// Nobody waits for the good manners of a session whose shard is to be handed over.
async fn unless_hastened<T>(tenure: Option<&Tenure>, work: impl Future<Output = T>) -> Option<T> {
    let Some(tenure) = tenure else { return Some(work.await) };
    tokio::select! {
        done = work => Some(done),
        () = tenure.hastened() => None,
    }
}

async fn until_wanted(place: Option<&Place>) {
    match place {
        Some(place) => place.until_wanted().await,
        None => std::future::pending().await,
    }
}

enum Attempted {
    Settled {
        recorded: bool,
        /// The peer said that it gets too much from us.
        too_much: bool,
    },
    /// The peer ended the session before it took the sender: that says nothing about the message.
    NotBegun(Box<Lease>),
    /// The next owner begins with it.
    Left(Box<Lease>),
    /// Somebody else may own the entry by now.
    Fenced,
}

impl Session {
    fn tell(&self, message: DestinationMessage) {
        let _ = self.owner.cast(message); // an owner that is gone wants no news
    }

    fn tell_open_failed(&self, failure: Failure) {
        // Of each address that was tried its session tells.
        if failure.phase == Phase::Dns {
            self.context.history.session(&self.destination, Reach::Nameless, Instant::now());
            self.context.failed(&self.destination, &failure, Ending::default());
        }
        self.tell(DestinationMessage::OpenFailed(self.id, Box::new(failure)));
    }

    fn tell_finished(&self, usable: bool, too_much: bool) {
        self.tell(DestinationMessage::Finished { session: self.id, usable, too_much });
    }

    /// The rules ask for what they asked for when the session was opened.
    fn is_as_wanted(&self, remote: &RemoteSession) -> bool {
        self.context.security(&self.destination) == remote.security
    }

    fn give_back(&self, lease: Box<Lease>) {
        self.tell(DestinationMessage::Returned { session: self.id, lease });
    }

    /// A session that was good for nothing is no session: what was meant for it has had its
    /// attempt, or it would be tried with the next one at once, and for ever.
    fn lost_before_first(mut self, failure: Failure) {
        self.was_useless.store(true, Ordering::SeqCst);
        self.work.close();
        while let Ok(lease) = self.work.try_recv() {
            settle::unreachable(&self.context, lease, failure.clone());
        }
        self.tell(DestinationMessage::OpenFailed(self.id, Box::new(failure)));
    }

    /// One attempt, settled. `used`: the session has carried a message before.
    async fn attempt(
        &self,
        remote: &mut RemoteSession,
        lease: Lease,
        recipients: usize,
        used: bool,
        session: &Span,
    ) -> Attempted {
        let span = spans::attempt(&lease, session);
        let attempt = async {
            let delivered = match self.protected(remote, &lease).await {
                Ok(()) => self.transfer(remote, &lease, recipients).await,
                Err(not_begun) => not_begun,
            };
            match delivered {
                Delivered::Ended(outcomes) if used && remote.ended_before_mail(&outcomes) => {
                    Attempted::NotBegun(Box::new(lease))
                }
                Delivered::Ended(outcomes) => {
                    self.remember(remote, &lease, &outcomes);
                    let too_much = outcomes.iter().any(classify::is_too_much);
                    let recorded = self.settled(remote, lease, outcomes).await;
                    Attempted::Settled { recorded, too_much }
                }
                Delivered::Left => Attempted::Left(Box::new(lease)),
                // Somebody else may own this entry by now: nothing is written about it.
                Delivered::Fenced => {
                    metrics::counter!(FENCED).increment(1);
                    span.fail("fenced");
                    tracing::warn!(entry = %lease.envelope().entry, "lease or broker lost; attempt given up");
                    if lease.is_expired(Instant::now()) {
                        lease.forget();
                        return Attempted::Fenced;
                    }
                    // If it is still ours once that is known again, it is attempted again.
                    Attempted::NotBegun(Box::new(lease))
                }
            }
        };
        span.around(attempt).await
    }

    /// A message that must stay protected has a session opened for it, in the place of one that was not; that
    /// carries what comes after it too.
    async fn protected(&self, remote: &mut RemoteSession, lease: &Lease) -> Result<(), Delivered> {
        if !lease.envelope().transfer.require_tls || remote.keeps_require_tls {
            return Ok(());
        }
        let renewal = lease.renewal();
        let opening = async {
            let hosts = dial::hosts(&self.context, &self.destination).await?;
            dial::open(&self.context, &self.destination, &hosts, Wish::RequireTls, self.egress.as_ref()).await
        };
        self.context.fence.opened().await;
        let opened = tokio::select! {
            opened = opening => opened,
            () = lease.tenure().hastened() => return Err(Delivered::Left),
            () = renewal.keep() => return Err(Delivered::Fenced), // never: it has no end
        };
        match opened {
            Ok(opened) => {
                let before = std::mem::replace(remote, opened);
                unless_hastened(Some(lease.tenure()), before.quit()).await;
                Ok(())
            }
            Err(failure) => {
                let recipients = lease.envelope().recipients.len();
                Err(Delivered::Ended(vec![RecipientOutcome::Failed(failure); recipients]))
            }
        }
    }

    /// What an attempt failed by first, for who looks for faults.
    fn remember(&self, remote: &RemoteSession, lease: &Lease, outcomes: &[RecipientOutcome]) {
        let failure = outcomes.iter().find_map(|outcome| match outcome {
            RecipientOutcome::Delivered { .. } => None,
            RecipientOutcome::Failed(failure) => Some(failure),
        });
        if let Some(failure) = failure {
            let ending = remote.ending(lease.envelope().body.size());
            self.context.failed(&self.destination, failure, ending);
        }
    }

    /// The end of an attempt is written for as long as it takes; the connection and its places are not
    /// kept for that, or a stream that is down would take those of all others.
    async fn settled(
        &self,
        remote: &mut RemoteSession,
        lease: Lease,
        outcomes: Vec<RecipientOutcome>,
    ) -> bool {
        let (context, tasks) = (Arc::clone(&self.context), lease.tenure().tasks().clone());
        let channel = remote.channel();
        let settling = async move { settle::attempted(&context, lease, outcomes, Some(channel)).await };
        let span = Span::current();
        let settling = tasks.spawn(async move { span.around(settling).await });
        tokio::select! {
            recorded = settling => recorded.unwrap_or(false),
            () = tokio::time::sleep(SETTLED_WITHIN) => false,
            () = self.context.fence.shut() => {
                remote.hang_up().await;
                false
            }
        }
    }

    async fn transfer(&self, remote: &mut RemoteSession, lease: &Lease, recipients: usize) -> Delivered {
        let (renewal, content_begun) = (lease.renewal(), remote.content_begun());
        let left = async {
            lease.tenure().hastened().await;
            if content_begun.load(Ordering::SeqCst) {
                std::future::pending().await
            }
        };
        tokio::select! {
            biased;
            delivered = self.transfer_kept(remote, lease, recipients) => delivered,
            () = renewal.keep() => Delivered::Fenced, // never: it has no end
            () = left => Delivered::Left,
        }
    }

    /// The lease is kept meanwhile.
    async fn transfer_kept(&self, remote: &mut RemoteSession, lease: &Lease, recipients: usize) -> Delivered {
        let envelope = lease.envelope();
        let content = match self.context.bodies.load(&envelope.body).await {
            Ok(content) => content,
            Err(error) => {
                let what = hikyaku_runtime::error_chain::chain(&error);
                tracing::error!(entry = %envelope.entry, error = what, "content cannot be read");
                let failure =
                    classify::our_fault("the relay could not read the content".to_owned(), SystemTime::now());
                let outcomes = vec![RecipientOutcome::Failed(failure); envelope.recipients.len()];
                return Delivered::Ended(outcomes);
            }
        };
        let gate = || {
            let now = Instant::now();
            let fence = &self.context.fence;
            match (lease.is_expired(now) || fence.is_shut(now), fence.is_open(now)) {
                (true, _) => Gate::Lost,
                (false, true) => Gate::Open,
                (false, false) => Gate::Closed,
            }
        };
        if gate() == Gate::Lost {
            return Delivered::Fenced;
        }
        let (host, channel) = (&remote.host, remote.channel());
        mail_log::attempt(envelope, &host.name, host.address, channel, self.egress.as_ref());
        remote.set_timeouts(self.context.timeouts(&self.destination).dialogue);
        let seven_bit = self.context.policy.traffic().destination(&self.destination).seven_bit;
        let message = match remote.fitted(envelope, content, seven_bit == Some(true)).await {
            Ok(message) => message,
            Err(outcome) => return Delivered::Ended(vec![outcome; envelope.recipients.len()]),
        };
        let span = spans::transfer(&remote.host, envelope.recipients.len());
        let delivered = remote.deliver_in_parts(envelope, message, recipients, gate);
        let delivered = span.around(delivered).await;
        if let Delivered::Ended(outcomes) = &delivered
            && let Some(error) = outcomes.iter().find_map(spans::local_error)
        {
            span.fail(error);
        }
        delivered
    }
}

/// Keeps the gauge right on every way out.
struct OpenSession;

impl OpenSession {
    fn count() -> Self {
        metrics::gauge!(CONNECTIONS).increment(1.0);
        Self
    }
}

impl Drop for OpenSession {
    fn drop(&mut self) {
        metrics::gauge!(CONNECTIONS).decrement(1.0);
    }
}
