//! The life of one session: wait for a permit, dial, then message after message until nobody
//! wants more of it.

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use hikyaku_queue::{Lease, lease::RENEW_EVERY, topology::PIN_TIMEOUT};
use hikyaku_types::{destination::Destination, outcome::RecipientOutcome};
use ractor::ActorRef;
use tokio::sync::mpsc;
use tracing::Instrument as _;

use crate::{
    connection::{
        dial,
        transfer::{Delivered, RemoteSession},
    },
    context::Context,
    destination::{DestinationMessage, SessionId},
    mail_log,
    metrics::{CONNECTIONS, FENCED},
    outcome::{classify, settle},
};

pub(crate) struct Session {
    pub(crate) context: Arc<Context>,
    pub(crate) id: SessionId,
    pub(crate) destination: Arc<Destination>,
    pub(crate) owner: ActorRef<DestinationMessage>,
    pub(crate) work: mpsc::Receiver<Lease>,
}

pub(crate) async fn run(mut session: Session) {
    let permits = Arc::clone(&session.context.sessions);
    // Closed only when the process ends.
    let Ok(_permit) = permits.acquire_owned().await else { return };
    if session.work.is_closed() {
        return;
    }
    let _open = OpenSession::count();
    let mut remote = match dial::open(&session.context, &session.destination).await {
        Ok(remote) => remote,
        Err(failure) => {
            session.tell(DestinationMessage::OpenFailed(session.id, Box::new(failure)));
            return;
        }
    };
    session.tell(DestinationMessage::Opened(session.id));
    let mut left = session.context.config.messages_per_connection;
    loop {
        let lease = tokio::select! {
            lease = session.work.recv() => lease,
            // The peer may say 421 or close while nothing is asked of it.
            () = remote.until_lost() => {
                session.tell(DestinationMessage::Closed(session.id));
                return;
            }
        };
        let Some(lease) = lease else { break };
        left = left.saturating_sub(1);
        let usable = session.attempt(&mut remote, lease).await && left > 0 && remote.is_usable().await;
        session.tell(DestinationMessage::Finished { session: session.id, usable });
        if !usable {
            break;
        }
    }
    remote.quit().await;
}

impl Session {
    fn tell(&self, message: DestinationMessage) {
        let _ = self.owner.cast(message); // an owner that is gone wants no news
    }

    /// One attempt, settled. `false` when the session must not be used again.
    async fn attempt(&self, remote: &mut RemoteSession, lease: Lease) -> bool {
        let span = tracing::info_span!(
            "deliver",
            otel.kind = "client",
            mail.queue_id = %lease.envelope().entry.queue_id,
            mail.attempt = lease.envelope().attempt + 1,
            server.address = %remote.address,
        );
        async {
            lease.origin().link_current_span();
            let delivered = self.transfer(remote, &lease).await;
            match delivered {
                Delivered::Ended(outcomes) => {
                    settle::attempted(&self.context, lease, outcomes).await;
                    true
                }
                // Somebody else may own this entry by now: nothing is written about it.
                Delivered::Fenced => {
                    metrics::counter!(FENCED).increment(1);
                    tracing::warn!(entry = %lease.envelope().entry, "broker not heard; attempt given up");
                    false
                }
            }
        }
        .instrument(span)
        .await
    }

    async fn transfer(&self, remote: &mut RemoteSession, lease: &Lease) -> Delivered {
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
        mail_log::attempt(envelope, &remote.host, remote.address);
        let contact = self.context.nats.contact();
        let may_go_on = || contact.age(Instant::now()) < PIN_TIMEOUT;
        let renewal = lease.renewal();
        let renewing = async {
            loop {
                tokio::time::sleep(RENEW_EVERY).await;
                renewal.renew().await;
            }
        };
        tokio::select! {
            delivered = remote.deliver(envelope, content, may_go_on) => delivered,
            () = renewing => Delivered::Fenced, // never: it has no end
        }
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
