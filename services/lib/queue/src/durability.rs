//! Does an acknowledgement mean "on disk"?
//!
//! A broker with default settings acknowledges before it syncs, and loses the last
//! minutes in a power cut. So the brokers' own settings are read, again and again, and
//! [`DurabilityGate::check`] fails unless every broker with JetStream syncs each write
//! and no stream of ours has switched that off. Ingress then answers 451, never 250.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use async_nats::{
    Client,
    jetstream::{self, stream::PersistenceMode},
};
use futures::TryStreamExt as _;
use tokio::sync::watch;

use crate::{metrics::DURABLE, servers, topology::STREAM_PREFIX};

const CHECK_INTERVAL: Duration = Duration::from_secs(10);
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// Settings that were good so lately are not bad because nobody answers: while a broker hands over or an election
/// goes on, nobody does for some seconds. An acknowledgement is waited for all the same.
const TRUSTED: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotDurable {
    #[error("the brokers' settings were not read yet")]
    Unknown,
    #[error("no login of the NATS system account is configured, so the brokers' settings cannot be read")]
    NoSystemLogin,
    #[error("no broker answered when asked for its settings")]
    NoAnswer,
    #[error("broker {0} does not sync each write; set jetstream.sync_interval to always")]
    NotSynced(String),
    #[error("stream {0} has persist_mode async, which switches syncing off")]
    AsyncStream(String),
}

/// The verdict, kept fresh in the background; cheap to clone.
#[derive(Clone)]
pub struct DurabilityGate(Arc<watch::Receiver<Result<(), NotDurable>>>);

impl fmt::Debug for DurabilityGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DurabilityGate").field(&*self.0.borrow()).finish()
    }
}

impl DurabilityGate {
    pub(crate) fn start(system: Option<Client>, jetstream: jetstream::Context) -> Self {
        let (sender, receiver) = watch::channel(Err(NotDurable::Unknown));
        tokio::spawn(keep_checking(system, jetstream, sender));
        Self(Arc::new(receiver))
    }

    pub fn check(&self) -> Result<(), NotDurable> {
        self.0.borrow().clone()
    }

    /// Waits for the first verdict, so that a process that has just started does not refuse mail.
    pub async fn first_verdict(&self) -> Result<(), NotDurable> {
        let mut receiver = (*self.0).clone();
        match receiver.wait_for(|verdict| *verdict != Err(NotDurable::Unknown)).await {
            Ok(verdict) => verdict.clone(),
            Err(_) => Err(NotDurable::Unknown),
        }
    }
}

async fn keep_checking(
    system: Option<Client>,
    jetstream: jetstream::Context,
    sender: watch::Sender<Result<(), NotDurable>>,
) {
    let mut good: Option<Instant> = None;
    loop {
        let found = match &system {
            Some(system) => check(system, &jetstream).await,
            None => Err(NotDurable::NoSystemLogin),
        };
        let wait = if found.is_ok() { CHECK_INTERVAL } else { RETRY_INTERVAL };
        if found.is_ok() {
            good = Some(Instant::now());
        }
        let verdict = judged(found, good.map(|good| good.elapsed()));
        metrics::gauge!(DURABLE).set(if verdict.is_ok() { 1.0 } else { 0.0 });
        let changed = *sender.borrow() != verdict;
        if changed {
            match &verdict {
                Ok(()) => tracing::info!("every broker syncs each write"),
                Err(reason) => tracing::error!(%reason, "mail is not accepted"),
            }
            if sender.send(verdict).is_err() {
                return;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = sender.closed() => return,
        }
    }
}

/// What was found now, and how long ago the settings were seen to be good.
fn judged(found: Result<(), NotDurable>, good: Option<Duration>) -> Result<(), NotDurable> {
    match found {
        Err(NotDurable::NoAnswer) if good.is_some_and(|age| age < TRUSTED) => Ok(()),
        found => found,
    }
}

async fn check(system: &Client, jetstream: &jetstream::Context) -> Result<(), NotDurable> {
    let servers = servers::ask(system).await;
    if servers.is_empty() {
        return Err(NotDurable::NoAnswer);
    }
    if let Some(server) = servers.into_iter().find(|server| !server.syncs) {
        return Err(NotDurable::NotSynced(server.name));
    }
    let mut streams = jetstream.streams();
    while let Some(stream) = streams.try_next().await.map_err(|_| NotDurable::NoAnswer)? {
        let ours = stream.config.name.starts_with(STREAM_PREFIX);
        if ours && stream.config.persist_mode == Some(PersistenceMode::Async) {
            return Err(NotDurable::AsyncStream(stream.config.name));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_borne_for_a_while_and_a_bad_answer_never() {
        let silent = || Err(NotDurable::NoAnswer);
        assert_eq!(judged(silent(), None), silent());
        assert_eq!(judged(silent(), Some(TRUSTED / 2)), Ok(()));
        assert_eq!(judged(silent(), Some(TRUSTED)), silent());
        let bad = || Err(NotDurable::NotSynced("n1".to_owned()));
        assert_eq!(judged(bad(), Some(Duration::ZERO)), bad());
        assert_eq!(judged(Ok(()), None), Ok(()));
    }
}
