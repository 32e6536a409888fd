//! Failures are counted for a login from one network, for a login from everywhere and for a network over
//! all logins; the counts are in JetStream KV, so all policy processes see them. A login that does not
//! exist is counted like one that does. Somebody who guesses locks his own network out long before he
//! locks out the user, and never a network from which the user has just logged in.

use std::{
    net::IpAddr,
    num::NonZeroU32,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hikyaku_queue::{
    Nats,
    kv::{KvBucket, KvError},
};
use hikyaku_types::origin::limited_as;
use rand::RngCore as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Limit;
use crate::rules::table::settings::Lock;

const BUCKET: &str = "hikyaku-locks";
/// The longest lock.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(24 * 3_600);
/// From everywhere together so many times more.
const EVERYWHERE: u32 = 10;
/// From one network for all logins together so many times more.
const ALL_LOGINS: u32 = 20;
/// Who guesses in parallel races with himself.
const TRIES: u32 = 20;
const SECRET_KEY: &str = "secret.unknown-logins";

#[derive(Debug, Clone)]
pub(super) struct Locks {
    bucket: KvBucket,
}

/// The keys of a login: digests, because a login may hold anything.
pub(super) struct Place {
    /// This login from this network.
    from_network: String,
    /// This login from everywhere.
    from_everywhere: String,
    /// All logins from this network.
    network: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Failures {
    count: u32,
    /// Seconds since 1970: of the first failure that counts.
    since: u64,
    /// Seconds since 1970: of the last success.
    #[serde(default)]
    passed: u64,
}

impl Place {
    pub(super) fn new(login: &str, client: IpAddr) -> Self {
        let login = digest(login.to_ascii_lowercase().as_bytes());
        let network = network_digest(client);
        Self {
            from_network: format!("{login}.{network}"),
            from_everywhere: login,
            network: format!("network.{network}"),
        }
    }

    fn limits(&self, lock: Lock) -> [(&str, Limit); 3] {
        let window = Duration::from_secs(u64::from(lock.minutes.get()) * 60);
        let of = |times: NonZeroU32| Limit { failures: lock.after_failures.saturating_mul(times), window };
        [
            (&self.from_network, of(NonZeroU32::MIN)),
            (&self.network, of(NonZeroU32::new(ALL_LOGINS).unwrap_or(NonZeroU32::MIN))),
            (&self.from_everywhere, of(NonZeroU32::new(EVERYWHERE).unwrap_or(NonZeroU32::MIN))),
        ]
    }
}

impl Locks {
    pub(super) async fn open(nats: &Nats, replicas: usize) -> Result<Self, KvError> {
        Ok(Self { bucket: KvBucket::open_forgetting(nats, BUCKET, replicas, FORGOTTEN_AFTER).await? })
    }

    pub(super) async fn is_locked(
        &self,
        place: &Place,
        lock: Lock,
        now: SystemTime,
    ) -> Result<bool, KvError> {
        let mut has_passed = false;
        for (key, limit) in place.limits(lock) {
            let Some(failures) = self.failures(key).await?.1 else { continue };
            has_passed |= key == place.from_network && failures.has_passed(now);
            let is_theirs = key == place.from_everywhere && has_passed;
            if failures.lock(limit, now) && !is_theirs {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) async fn count(&self, place: &Place, lock: Lock, now: SystemTime) -> Result<(), KvError> {
        for (key, limit) in place.limits(lock) {
            self.count_one(key, limit, now).await?;
        }
        Ok(())
    }

    /// A success from a network shows that it is not the one that guesses.
    pub(super) async fn passed(&self, place: &Place, now: SystemTime) -> Result<(), KvError> {
        let (revision, failures) = self.failures(&place.from_network).await?;
        // Written once an hour, not with each of a thousand logins.
        if failures.is_some_and(|it| it.count == 0 && seconds(now).saturating_sub(it.passed) < 3_600) {
            return Ok(());
        }
        let none = Failures { count: 0, since: 0, passed: seconds(now) };
        match self.bucket.update(&place.from_network, none.encode(), revision).await {
            // Somebody has just failed or passed from there.
            Ok(_) | Err(KvError::Conflict) => Ok(()),
            Err(error @ KvError::Failed { .. }) => Err(error),
        }
    }

    /// Forgets the failures of a login, from wherever; how many counts there were.
    pub(super) async fn forget_login(&self, login: &str) -> Result<u32, KvError> {
        let login = digest(login.to_ascii_lowercase().as_bytes());
        let from_network = format!("{login}.");
        self.forget(|key| key == login || key.starts_with(&from_network)).await
    }

    /// Forgets the failures of all logins from the network of this client.
    pub(super) async fn forget_network(&self, client: IpAddr) -> Result<u32, KvError> {
        let network = network_digest(client);
        let of_login = format!(".{network}");
        // `network.` and a login's digest stand before the network alike.
        self.forget(|key| key.ends_with(&of_login)).await
    }

    async fn forget(&self, is_meant: impl Fn(&str) -> bool) -> Result<u32, KvError> {
        let mut forgotten = 0;
        for key in self.bucket.keys().await?.into_iter().filter(|key| is_meant(key)) {
            self.bucket.delete(&key).await?;
            forgotten += 1;
        }
        Ok(forgotten)
    }

    async fn count_one(&self, key: &str, limit: Limit, now: SystemTime) -> Result<(), KvError> {
        for _ in 0..TRIES {
            let (revision, failures) = self.failures(key).await?;
            let next = Failures::after(failures, limit, now);
            match self.bucket.update(key, next.encode(), revision).await {
                Ok(_) => return Ok(()),
                Err(KvError::Conflict) => {}
                Err(error @ KvError::Failed { .. }) => return Err(error),
            }
        }
        Err(KvError::Conflict)
    }

    async fn failures(&self, key: &str) -> Result<(u64, Option<Failures>), KvError> {
        let Some(entry) = self.bucket.get(key).await? else { return Ok((0, None)) };
        Ok((entry.revision, serde_json::from_slice(&entry.value).ok()))
    }
}

impl Failures {
    fn after(earlier: Option<Self>, limit: Limit, now: SystemTime) -> Self {
        let passed = earlier.map_or(0, |earlier| earlier.passed);
        match earlier {
            Some(earlier) if earlier.count > 0 && earlier.counts(limit, now) => {
                Self { count: earlier.count.saturating_add(1), ..earlier }
            }
            Some(_) | None => Self { count: 1, since: seconds(now), passed },
        }
    }

    fn has_passed(self, now: SystemTime) -> bool {
        self.passed > 0 && seconds(now).saturating_sub(self.passed) < FORGOTTEN_AFTER.as_secs()
    }

    fn lock(self, limit: Limit, now: SystemTime) -> bool {
        self.count >= limit.failures.get() && self.counts(limit, now)
    }

    fn counts(self, limit: Limit, now: SystemTime) -> bool {
        seconds(now).saturating_sub(self.since) < limit.window.as_secs()
    }

    fn encode(self) -> bytes::Bytes {
        let Self { count, since, passed } = self;
        format!(r#"{{"count":{count},"since":{since},"passed":{passed}}}"#).into()
    }
}

/// Made by the first process that asks for it.
pub(super) async fn shared_secret(directory: &KvBucket) -> Result<Vec<u8>, KvError> {
    let mut fresh = vec![0; 32];
    rand::rng().fill_bytes(&mut fresh);
    loop {
        if let Some(entry) = directory.get(SECRET_KEY).await? {
            return Ok(entry.value.to_vec());
        }
        match directory.update(SECRET_KEY, fresh.clone().into(), 0).await {
            Ok(_) => return Ok(fresh),
            Err(KvError::Conflict) => {}
            Err(error @ KvError::Failed { .. }) => return Err(error),
        }
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Who guesses has many addresses of IPv4 as well.
fn network_digest(client: IpAddr) -> String {
    let network = match limited_as(client) {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(network) => format!("{network}/64"),
    };
    digest(network.as_bytes())
}

fn digest(octets: &[u8]) -> String {
    Sha256::digest(octets).iter().take(16).map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Limit =
        Limit { failures: std::num::NonZeroU32::new(3).unwrap(), window: Duration::from_secs(900) };

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn failures_count_within_their_window() {
        let mut failures = None;
        for second in [1_000, 1_100, 1_200] {
            assert!(!failures.is_some_and(|it: Failures| it.lock(LIMIT, at(second))));
            failures = Some(Failures::after(failures, LIMIT, at(second)));
        }
        let failures = failures.unwrap();
        assert!(failures.lock(LIMIT, at(1_201)));
        assert!(!failures.lock(LIMIT, at(1_900)), "the window began with the first failure");
        assert_eq!(Failures::after(Some(failures), LIMIT, at(1_900)).count, 1);
        assert_eq!(serde_json::from_slice::<Failures>(&failures.encode()).unwrap(), failures);
    }

    #[test]
    fn a_login_has_the_same_place_in_every_spelling() {
        let place = |login, client: &str| Place::new(login, client.parse().unwrap());
        let (a, b) = (place("User1@Domain.jp", "192.0.2.1"), place("user1@domain.jp", "192.0.2.200"));
        assert_eq!(
            (&a.from_network, &a.from_everywhere, &a.network),
            (&b.from_network, &b.from_everywhere, &b.network)
        );
        let elsewhere = place("user1@domain.jp", "198.51.100.1");
        assert_eq!(elsewhere.from_everywhere, a.from_everywhere);
        assert_ne!(elsewhere.from_network, b.from_network);
    }

    /// The digests are keys in the bucket, which all versions share.
    #[test]
    fn a_network_has_one_digest() {
        for (client, network) in [
            ("192.0.2.200", "192.0.2.0/24"),
            ("::ffff:192.0.2.200", "192.0.2.0/24"),
            ("2001:db8:77:1:2:3:4:5", "2001:db8:77:1::/64"),
        ] {
            assert_eq!(network_digest(client.parse().unwrap()), digest(network.as_bytes()));
        }
    }
}
