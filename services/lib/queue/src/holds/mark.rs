//! Headers of an entry that is or was held. They travel with it: from a schedule into its lane,
//! and as a sum into every schedule after that.

use std::time::{Duration, SystemTime};

use async_nats::{HeaderMap, HeaderValue};

use crate::stamp;

/// `forever`, or when it ends.
const HELD: &str = "Hikyaku-Held";
const HELD_SINCE: &str = "Hikyaku-Held-Since";
/// `entry` or `destination`.
const HELD_BY: &str = "Hikyaku-Held-By";
/// Seconds of earlier holds.
const HELD_BEFORE: &str = "Hikyaku-Held-Before";
const WITHOUT_END: &str = "forever";

/// Why an entry is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldBy {
    /// An operator named it.
    Entry,
    /// Its destination is held.
    Destination,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeldMark {
    /// Absent: until it is released.
    pub(crate) until: Option<SystemTime>,
    pub(crate) since: SystemTime,
    pub(crate) by: HeldBy,
}

impl HeldBy {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Entry => "entry",
            Self::Destination => "destination",
        }
    }
}

impl HeldMark {
    pub(crate) fn read(headers: &HeaderMap) -> Option<Self> {
        let until = match headers.get(HELD)?.as_str() {
            WITHOUT_END => None,
            text => Some(stamp::read(text)?),
        };
        let since = stamp::read(headers.get(HELD_SINCE)?.as_str())?;
        let by = headers.get(HELD_BY).map(HeaderValue::as_str);
        let is_destination = by == Some(HeldBy::Destination.name());
        Some(Self { until, since, by: if is_destination { HeldBy::Destination } else { HeldBy::Entry } })
    }

    /// When it ended; now, if it has not.
    pub(crate) fn end(&self, now: SystemTime) -> SystemTime {
        self.until.unwrap_or(now).min(now)
    }

    fn length(&self, now: SystemTime) -> Duration {
        self.end(now).duration_since(self.since).unwrap_or_default()
    }
}

/// Marks an entry as held; an earlier mark must have been folded.
pub(crate) fn put(headers: &mut HeaderMap, mark: HeldMark) {
    let until = mark.until.map_or_else(|| WITHOUT_END.to_owned(), text);
    headers.insert(HELD, until);
    headers.insert(HELD_SINCE, text(mark.since));
    headers.insert(HELD_BY, mark.by.name());
}

/// All the time that an entry was held: its give-up clocks stood still.
pub(crate) fn held_for(headers: &HeaderMap, now: SystemTime) -> Duration {
    let before = headers.get(HELD_BEFORE).and_then(|text| text.as_str().parse().ok());
    let before = Duration::from_secs(before.unwrap_or(0));
    before + HeldMark::read(headers).map_or(Duration::ZERO, |mark| mark.length(now))
}

/// Ends a hold: the mark goes, its time is kept.
pub(crate) fn fold(headers: &mut HeaderMap, now: SystemTime) {
    let sum = held_for(headers, now);
    *headers = headers
        .iter()
        .filter(|(name, _)| ![HELD, HELD_SINCE, HELD_BY, HELD_BEFORE].contains(&name.as_ref()))
        .flat_map(|(name, values)| values.iter().map(move |value| (name.clone(), value.clone())))
        .collect();
    put_before(headers, sum);
}

/// Time of holds that are over.
pub(crate) fn put_before(headers: &mut HeaderMap, sum: Duration) {
    if sum.as_secs() > 0 {
        headers.insert(HELD_BEFORE, sum.as_secs().to_string());
    }
}

fn text(time: SystemTime) -> String {
    stamp::write(time).unwrap_or_else(|| WITHOUT_END.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn the_time_of_all_holds_is_kept() {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", "x");
        assert_eq!(held_for(&headers, at(9)), Duration::ZERO);
        let mark = HeldMark { until: None, since: at(10), by: HeldBy::Destination };
        put(&mut headers, mark);
        assert_eq!(HeldMark::read(&headers), Some(mark));
        assert_eq!(held_for(&headers, at(15)), Duration::from_secs(5));
        fold(&mut headers, at(20));
        assert_eq!(HeldMark::read(&headers), None);
        assert_eq!(held_for(&headers, at(99)), Duration::from_secs(10));
        // The second one ends by itself.
        put(&mut headers, HeldMark { until: Some(at(40)), since: at(30), by: HeldBy::Entry });
        assert_eq!(held_for(&headers, at(99)), Duration::from_secs(20));
        fold(&mut headers, at(99));
        assert_eq!(held_for(&headers, at(999)), Duration::from_secs(20));
        assert_eq!(headers.get("traceparent").unwrap().as_str(), "x");
    }

    #[test]
    fn a_mark_that_cannot_be_read_is_none() {
        let mut headers = HeaderMap::new();
        headers.insert(HELD, "sometime");
        headers.insert(HELD_SINCE, "1970-01-01T00:00:00Z");
        assert_eq!(HeldMark::read(&headers), None);
        headers.insert(HELD, WITHOUT_END);
        headers.insert(HELD_SINCE, "");
        assert_eq!(HeldMark::read(&headers), None);
    }
}
