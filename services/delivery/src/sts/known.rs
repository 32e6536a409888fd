//! Whether a policy that is known holds, and when it is fetched again (RFC 8461 3.3, 5.1). Pure.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use hikyaku_route::sts::StsPolicy;

/// A policy is fetched again at half of its age, and each day.
const REFRESH: Duration = Duration::from_secs(24 * 3_600);
/// RFC 8461 3.3 wants no more than one try in five minutes.
const BETWEEN_TRIES: Duration = Duration::from_secs(5 * 60);

#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) id: String,
    pub(super) policy: Arc<StsPolicy>,
    pub(super) fetched_at: SystemTime,
}

impl Known {
    pub(super) fn holds(&self, now: SystemTime) -> bool {
        // A clock that was set back makes nothing older.
        self.age(now) < self.policy.max_age
    }

    fn age(&self, now: SystemTime) -> Duration {
        now.duration_since(self.fetched_at).unwrap_or_default()
    }
}

/// `id`: what the domain's record says now, if there is one. A domain that says nothing any more is held to
/// what it said.
pub(super) fn is_to_be_fetched(
    known: Option<&Known>,
    id: Option<&str>,
    tried_at: Option<SystemTime>,
    now: SystemTime,
) -> bool {
    let Some(id) = id else { return false };
    let has_just_failed =
        tried_at.is_some_and(|tried| now.duration_since(tried).is_ok_and(|passed| passed < BETWEEN_TRIES));
    let is_old = |known: &Known| {
        known.id != id || known.age(now) >= (known.policy.max_age / 2).min(REFRESH) || !known.holds(now)
    };
    !has_just_failed && known.is_none_or(is_old)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_a_policy_is_fetched() {
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let at = |seconds| start + Duration::from_secs(seconds);
        let policy = |max_age: u64| {
            StsPolicy::parse(&format!("version: STSv1\nmode: enforce\nmx: mx.own.test\nmax_age: {max_age}"))
        };
        let known = |max_age| Known {
            id: "1".to_owned(),
            policy: Arc::new(policy(max_age).unwrap()),
            fetched_at: start,
        };
        let (hour, day, week) = (3_600, 86_400, 604_800);
        for (known, id, tried_at, now, fetched) in [
            // Nothing is published.
            (None, None, None, 0, false),
            (Some(known(week)), None, None, day * 3, false),
            // Something new.
            (None, Some("1"), None, 0, true),
            (Some(known(week)), Some("2"), None, 10, true),
            // The same as before.
            (Some(known(week)), Some("1"), None, hour, false),
            (Some(known(week)), Some("1"), None, day, true),
            (Some(known(hour)), Some("1"), None, hour / 2, true),
            (Some(known(hour)), Some("1"), None, hour / 2 - 1, false),
            // It could not be had a moment ago.
            (None, Some("1"), Some(0), 299, false),
            (None, Some("1"), Some(0), 300, true),
            (Some(known(week)), Some("2"), Some(0), 10, false),
        ] {
            let tried_at = tried_at.map(at);
            assert_eq!(
                is_to_be_fetched(known.as_ref(), id, tried_at, at(now)),
                fetched,
                "{known:?} {id:?} {now}"
            );
        }
        assert!(known(hour).holds(at(hour - 1)));
        assert!(!known(hour).holds(at(hour)));
        assert!(known(hour).holds(start - Duration::from_secs(5)), "a clock was set back");
    }
}
