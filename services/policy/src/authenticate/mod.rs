//! Who a client is (SEED-112 to 116). Nothing is kept between the steps of an exchange, so any policy
//! process may answer any of them. A login that does not exist costs as much as one that does.

mod lock; // too many failures, seen by all processes

use std::{
    net::IpAddr,
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, SystemTime},
};

use hikyaku_mail_log::{Event, event::Authentication, record};
use hikyaku_queue::{
    Nats,
    kv::{KvBucket, KvError},
};
use hikyaku_runtime::error_chain::chain;
use hikyaku_types::{
    address::Mailbox,
    reply::{EnhancedCode, Reply},
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;

use crate::{
    credential::{Argon2Verifier, unknown_salt},
    ldap::{LdapServers, LdapUnavailable},
    metrics,
    rules::{
        Rules,
        table::{address::canonical_address, credentials::Credentials},
    },
};
use lock::{Locks, Place};

/// Of logins that do not exist, and of new verifiers.
pub(crate) const SCRAM_ITERATIONS: u32 = 10_000;
/// Longer than the tries of honest clients take together; then the service is overloaded.
const WAIT_FOR_TURN: Duration = Duration::from_secs(5);
/// Each takes a core and up to 64 MiB.
const MOST_AT_ONCE: usize = 8;

pub(crate) struct Question {
    pub(crate) client: IpAddr,
    /// As it was given.
    pub(crate) login: String,
    pub(crate) proof: Proof,
}

#[derive(Clone)]
pub(crate) enum Proof {
    Password(SecretString),
    CramMd5 { challenge: Vec<u8>, digest: Vec<u8> },
    ScramStart,
    Scram { auth_message: Vec<u8>, client_proof: Vec<u8> },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Accept { identity: Mailbox, server_signature: Vec<u8> },
    Continue { salt: Vec<u8>, iterations: u32 },
    Refuse(Reply),
}

/// A handle; clones share the permits.
#[derive(Debug, Clone)]
pub(crate) struct Authenticator {
    locks: Locks,
    ldap: LdapServers,
    permits: Arc<Semaphore>,
    /// The same in all processes: what a login that does not exist is told never changes.
    secret: Arc<[u8]>,
}

#[derive(Debug, thiserror::Error)]
enum Unavailable {
    #[error("the check ended early")]
    Ended,
    #[error("{}", chain(.0))]
    Ldap(#[from] LdapUnavailable),
}

/// What a proof has shown.
enum Shown {
    Right { server_signature: Vec<u8> },
    Wrong,
}

impl Authenticator {
    pub(crate) async fn open(
        nats: &Nats,
        directory: &KvBucket,
        ldap: LdapServers,
        replicas: usize,
    ) -> Result<Self, KvError> {
        let permits = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_AT_ONCE);
        Ok(Self {
            locks: Locks::open(nats, replicas).await?,
            ldap,
            permits: Arc::new(Semaphore::new(permits)),
            secret: lock::shared_secret(directory).await?.into(),
        })
    }

    pub(crate) async fn authenticate(&self, rules: Arc<Rules>, question: Question) -> Answer {
        let Question { client, login, proof } = question;
        // SEED-048: the session has completed a name without a domain, or it is nobody's.
        let mailbox = login.parse().ok().filter(|mailbox: &Mailbox| mailbox.domain().is_some());
        let name = mailbox.as_ref().map_or_else(|| login.to_ascii_lowercase(), canonical_address);
        if let Proof::ScramStart = proof {
            return self.scram_parameters(&rules, mailbox.as_ref(), &name);
        }
        // Counted within the turn: guesses side by side must not all pass before the first one counts.
        let elsewhere = mailbox.as_ref().and_then(|mailbox| rules.login_elsewhere(mailbox));
        let permits = elsewhere.and_then(|server| self.ldap.logins(server));
        let permits = permits.unwrap_or_else(|| Arc::clone(&self.permits));
        let turn = tokio::time::timeout(WAIT_FOR_TURN, permits.acquire_owned());
        let Ok(Ok(_turn)) = turn.await else { return unavailable(&"too many logins at once") };
        let place = Place::new(&name, client);
        let (now, lock) = (SystemTime::now(), rules.lock());
        match self.locks.is_locked(&place, lock, now).await {
            Ok(false) => {}
            Ok(true) => {
                log(&name, client, "locked");
                return Answer::Refuse(locked());
            }
            Err(error) => return unavailable(&error),
        }
        let shown = match self.shown(Arc::clone(&rules), mailbox.clone(), elsewhere, proof).await {
            Ok(shown) => shown,
            Err(why) => return unavailable(&why),
        };
        let (outcome, answer) = match (shown, mailbox) {
            (Shown::Right { server_signature }, Some(identity)) => {
                // However it was spelled, it is this account.
                let identity = name.parse().unwrap_or(identity);
                ("accepted", Answer::Accept { identity, server_signature })
            }
            (Shown::Right { .. } | Shown::Wrong, _) => ("refused", Answer::Refuse(wrong())),
        };
        log(&name, client, outcome);
        let counted = match &answer {
            Answer::Accept { .. } => self.locks.passed(&place, now).await,
            Answer::Continue { .. } | Answer::Refuse(_) => self.locks.count(&place, lock, now).await,
        };
        match counted {
            Ok(()) => answer,
            // Guesses that are not counted are guesses without end.
            Err(error) => unavailable(&error),
        }
    }

    /// Forgets failures of a login and of a client's network; how many counts there were.
    pub(crate) async fn unlock(
        &self,
        login: Option<&Mailbox>,
        client: Option<IpAddr>,
    ) -> Result<u32, KvError> {
        let mut forgotten = 0;
        if let Some(login) = login {
            forgotten += self.locks.forget_login(&canonical_address(login)).await?;
        }
        if let Some(client) = client {
            forgotten += self.locks.forget_network(client).await?;
        }
        Ok(forgotten)
    }

    /// A password of somebody who has none here is shown to who may know it.
    async fn shown(
        &self,
        rules: Arc<Rules>,
        mailbox: Option<Mailbox>,
        elsewhere: Option<&str>,
        proof: Proof,
    ) -> Result<Shown, Unavailable> {
        match (&mailbox, elsewhere, &proof) {
            (Some(mailbox), Some(server), Proof::Password(password)) => {
                let is_right = self.ldap.is_password(server, &mailbox.canonical(), password).await?;
                Ok(if is_right { Shown::Right { server_signature: Vec::new() } } else { Shown::Wrong })
            }
            (Some(_) | None, Some(_) | None, _) => {
                verified(rules, mailbox, proof).await.ok_or(Unavailable::Ended)
            }
        }
    }

    fn scram_parameters(&self, rules: &Rules, mailbox: Option<&Mailbox>, name: &str) -> Answer {
        let known = mailbox.and_then(|mailbox| rules.account_for_login(mailbox));
        match known.and_then(|(_, credentials)| credentials.scram.as_ref()) {
            Some(scram) => Answer::Continue { salt: scram.salt.to_vec(), iterations: scram.iterations },
            None => Answer::Continue { salt: unknown_salt(&self.secret, name), iterations: SCRAM_ITERATIONS },
        }
    }
}

/// Off the runtime's threads: verifying takes long on purpose.
async fn verified(rules: Arc<Rules>, mailbox: Option<Mailbox>, proof: Proof) -> Option<Shown> {
    let verified = tokio::task::spawn_blocking(move || {
        let known = mailbox.as_ref().and_then(|mailbox| rules.account_for_login(mailbox));
        verify(known.map(|(_, credentials)| credentials), &proof)
    });
    verified.await.ok()
}

fn verify(credentials: Option<&Credentials>, proof: &Proof) -> Shown {
    let signature = match proof {
        Proof::Password(password) => is_password(credentials, password.expose_secret()).then(Vec::new),
        Proof::CramMd5 { challenge, digest } => credentials
            .and_then(|credentials| credentials.cram_md5.as_ref())
            .filter(|verifier| verifier.verify(challenge, digest))
            .map(|_| Vec::new()),
        Proof::ScramStart => None,
        Proof::Scram { auth_message, client_proof } => credentials
            .and_then(|credentials| credentials.scram.as_ref())
            .and_then(|verifier| verifier.verify(auth_message, client_proof))
            .map(|signature| signature.to_vec()),
    };
    signature.map_or(Shown::Wrong, |server_signature| Shown::Right { server_signature })
}

/// One Argon2 in every case, so that time tells nothing.
fn is_password(credentials: Option<&Credentials>, password: &str) -> bool {
    match credentials.and_then(|credentials| credentials.argon2.as_ref()) {
        Some(verifier) => verifier.verify(password),
        None => {
            let is_nobodys = Argon2Verifier::of_nobody().verify(password);
            let is_theirs = credentials.is_some_and(|credentials| {
                let scram = credentials.scram.as_ref().is_some_and(|it| it.verify_password(password));
                scram || credentials.cram_md5.as_ref().is_some_and(|it| it.verify_password(password))
            });
            is_theirs && !is_nobodys
        }
    }
}

fn wrong() -> Reply {
    Reply::new(535, Some(EnhancedCode(5, 7, 8)), "authentication failed")
}

fn locked() -> Reply {
    Reply::new(454, Some(EnhancedCode(4, 7, 0)), "too many failed logins; try again later")
}

fn unavailable(error: &dyn std::fmt::Display) -> Answer {
    tracing::warn!(%error, "a login could not be checked");
    metrics::authentication("unavailable");
    Answer::Refuse(Reply::new(
        454,
        Some(EnhancedCode(4, 7, 0)),
        "authentication not available, try again later",
    ))
}

fn log(login: &str, client: IpAddr, outcome: &'static str) {
    metrics::authentication(outcome);
    record(|| {
        let (outcome, login, client) = (outcome.to_owned(), login.to_owned(), client.to_string());
        Event::Authentication(Authentication { outcome, login, client })
    });
}

/// The lock of SEED-116 in the words of the settings.
#[derive(Debug, Clone, Copy)]
struct Limit {
    failures: NonZeroU32,
    window: Duration,
}
