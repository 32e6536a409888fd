//! Times of the week at which an account may send or gets mail (SEED-118), as they are written:
//! `Mon-Fri 09:00-12:00,13:00-18:00 Sat 09:00-12:00 Asia/Tokyo`.
//!
//! The rules of time zones come with the program, so that all nodes have the same.

use std::{fmt, str::FromStr, sync::Arc, time::SystemTime};

use jiff::{
    Timestamp, ToSpan as _,
    civil::{Date, Weekday},
    tz::{Offset, TimeZone},
};

const DAY: u16 = 24 * 60;
/// No clock on earth is further from UTC, in minutes.
const MAX_OFFSET: u16 = 14 * 60;
const DAYS: [(&str, Weekday); 7] = [
    ("Mon", Weekday::Monday),
    ("Tue", Weekday::Tuesday),
    ("Wed", Weekday::Wednesday),
    ("Thu", Weekday::Thursday),
    ("Fri", Weekday::Friday),
    ("Sat", Weekday::Saturday),
    ("Sun", Weekday::Sunday),
];
const EVERY_DAY: &str = "daily";
/// Where the abbreviation means one place only to those who write it.
const JAPAN: (&str, &str) = ("JST", "Asia/Tokyo");

#[derive(Clone)]
pub struct Hours {
    text: Arc<str>,
    windows: Vec<Window>,
    zone: TimeZone,
}

/// From a time of a day to a later one, which may be on the next day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Window {
    /// The day on which it begins.
    day: Weekday,
    /// Minutes since midnight, below a day.
    from: u16,
    /// Minutes since the same midnight, above `from` and at most a day later.
    until: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HoursError {
    #[error("want days, times and a time zone: Mon-Fri 09:00-18:00 Asia/Tokyo")]
    Shape,
    #[error("{0:?} is not a day, a range of days (Mon-Fri) or daily")]
    Day(String),
    #[error("{0:?} is not a range of times (09:00-18:00)")]
    Times(String),
    #[error("{0:?} is not a time zone: want a name (Asia/Tokyo), UTC or an offset (+09:00)")]
    Zone(String),
}

impl Hours {
    /// `None`: now. Otherwise the next time at which a window opens.
    pub fn opens_at(&self, now: SystemTime) -> Option<SystemTime> {
        // A time that no calendar has is not ours to judge.
        let at = Timestamp::try_from(now).ok()?;
        let local = at.to_zoned(self.zone.clone());
        let today = local.date();
        let minute = u16::from(local.hour().unsigned_abs()) * 60 + u16::from(local.minute().unsigned_abs());
        let is_open = self.windows.iter().any(|window| {
            let began_today = window.day == today.weekday() && (window.from..window.until).contains(&minute);
            let began_yesterday = window.day.next() == today.weekday() && minute + DAY < window.until;
            began_today || began_yesterday
        });
        if is_open {
            return None;
        }
        // A week ahead there is each day once, and today's weekday again.
        let days = (0..=7_i32).filter_map(|ahead| today.checked_add(ahead.days()).ok());
        let openings = days.flat_map(|date| self.openings(date));
        openings.filter(|opening| *opening > at).min().map(SystemTime::from)
    }

    fn openings(&self, date: Date) -> impl Iterator<Item = Timestamp> {
        self.windows.iter().filter(move |window| window.day == date.weekday()).filter_map(move |window| {
            let (hour, minute) = (window.from / 60, window.from % 60);
            let time = date.at(i8::try_from(hour).ok()?, i8::try_from(minute).ok()?, 0, 0);
            // A time that the clocks skip is the one behind it.
            Some(time.to_zoned(self.zone.clone()).ok()?.timestamp())
        })
    }
}

impl FromStr for Hours {
    type Err = HoursError;

    fn from_str(text: &str) -> Result<Self, HoursError> {
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let (zone, spans) = words.split_last().ok_or(HoursError::Shape)?;
        if spans.is_empty() || spans.len() % 2 != 0 {
            return Err(HoursError::Shape);
        }
        let mut windows = Vec::new();
        for span in spans.chunks_exact(2) {
            let [days, times] = span else { return Err(HoursError::Shape) };
            let days = read_days(days)?;
            for times in times.split(',') {
                let (from, until) = read_times(times)?;
                windows.extend(days.iter().map(|day| Window { day: *day, from, until }));
            }
        }
        Ok(Self { text: words.join(" ").into(), windows, zone: read_zone(zone)? })
    }
}

fn read_days(text: &str) -> Result<Vec<Weekday>, HoursError> {
    let unreadable = || HoursError::Day(text.to_owned());
    if text.eq_ignore_ascii_case(EVERY_DAY) {
        return Ok(DAYS.map(|(_, day)| day).to_vec());
    }
    let day = |name: &str| {
        let known = DAYS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        known.map(|(_, day)| *day).ok_or_else(unreadable)
    };
    let mut days = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (mut next, last) = (day(first)?, day(last)?);
        days.push(next);
        // Sat-Mon goes over the end of the week.
        while next != last {
            next = next.next();
            days.push(next);
        }
    }
    Ok(days)
}

fn read_times(text: &str) -> Result<(u16, u16), HoursError> {
    let unreadable = || HoursError::Times(text.to_owned());
    let (from, until) = text.split_once('-').ok_or_else(unreadable)?;
    let (from, until) = (read_time(from).ok_or_else(unreadable)?, read_time(until).ok_or_else(unreadable)?);
    match (from, until) {
        (DAY, _) => Err(unreadable()),
        (from, until) if from == until => Err(unreadable()),
        (from, until) if from < until => Ok((from, until)),
        // 22:00-06:00 ends on the next day.
        (from, until) => Ok((from, until + DAY)),
    }
}

/// `hh:mm` as minutes; 24:00 is the end of a day.
fn read_time(text: &str) -> Option<u16> {
    let two_digits = |text: &str| {
        let is_number = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>().ok().filter(|_| is_number)
    };
    let (hour, minute) = text.split_once(':')?;
    let (hour, minute) = (two_digits(hour)?, two_digits(minute)?);
    let time = hour * 60 + minute;
    (minute < 60 && time <= DAY).then_some(time)
}

fn read_zone(text: &str) -> Result<TimeZone, HoursError> {
    let unreadable = || HoursError::Zone(text.to_owned());
    if let Some(sign) = text.chars().next().filter(|sign| matches!(sign, '+' | '-')) {
        let minutes = text.get(1..).and_then(read_time).filter(|minutes| *minutes <= MAX_OFFSET);
        let seconds = i32::from(minutes.ok_or_else(unreadable)?) * 60;
        let seconds = if sign == '-' { -seconds } else { seconds };
        return Ok(TimeZone::fixed(Offset::from_seconds(seconds).map_err(|_| unreadable())?));
    }
    let (abbreviation, name) = JAPAN;
    let name = if text.eq_ignore_ascii_case(abbreviation) { name } else { text };
    TimeZone::get(name).map_err(|_| unreadable())
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hours({:?})", self.text)
    }
}

/// The text says everything.
impl PartialEq for Hours {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Hours {}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SystemTime {
        text.parse::<Timestamp>().unwrap().into()
    }

    /// When these hours open, seen from that time; `now` when they are open.
    fn opening(hours: &str, now: &str) -> String {
        let opening = hours.parse::<Hours>().unwrap().opens_at(at(now));
        opening.map_or("now".to_owned(), |time| Timestamp::try_from(time).unwrap().to_string())
    }

    /// The example of the specification: 18:01 JST on a Friday is 09:01 UTC.
    #[test]
    fn seed_118_office_hours() {
        let office = "Mon-Fri 09:00-18:00 JST";
        for (now, opens) in [
            ("2026-11-20T00:00:00Z", "now"),
            ("2026-11-20T08:59:59Z", "now"),
            ("2026-11-20T09:00:00Z", "2026-11-23T00:00:00Z"),
            ("2026-11-20T09:01:00Z", "2026-11-23T00:00:00Z"),
            ("2026-11-22T23:59:59Z", "2026-11-23T00:00:00Z"),
            ("2026-11-23T00:00:00Z", "now"),
            ("2026-11-23T09:01:00Z", "2026-11-24T00:00:00Z"),
        ] {
            assert_eq!(opening(office, now), opens, "{now}");
        }
    }

    #[test]
    fn windows_of_several_kinds() {
        for (hours, now, opens) in [
            // Over midnight: it belongs to the day on which it begins.
            ("Fri 22:00-06:00 UTC", "2026-11-21T05:59:00Z", "now"),
            ("Fri 22:00-06:00 UTC", "2026-11-21T06:00:00Z", "2026-11-27T22:00:00Z"),
            ("Fri 22:00-06:00 UTC", "2026-11-20T05:00:00Z", "2026-11-20T22:00:00Z"),
            ("Sun 22:00-06:00 UTC", "2026-11-23T01:00:00Z", "now"),
            ("daily 00:00-24:00 UTC", "2026-11-22T23:59:59Z", "now"),
            (
                "Mon-Fri 09:00-12:00,13:00-18:00 Sat 09:00-12:00 UTC",
                "2026-11-20T12:30:00Z",
                "2026-11-20T13:00:00Z",
            ),
            (
                "Mon-Fri 09:00-12:00,13:00-18:00 Sat 09:00-12:00 UTC",
                "2026-11-20T19:00:00Z",
                "2026-11-21T09:00:00Z",
            ),
            ("Sat-Mon 09:00-18:00 UTC", "2026-11-24T09:00:00Z", "2026-11-28T09:00:00Z"),
            // A week later, because this one's is over.
            ("Sun 09:00-10:00 +09:00", "2026-11-22T01:00:00Z", "2026-11-29T00:00:00Z"),
            ("Sun 09:00-10:00 -03:30", "2026-11-22T12:29:00Z", "2026-11-22T12:30:00Z"),
        ] {
            assert_eq!(opening(hours, now), opens, "{hours} at {now}");
        }
    }

    /// On 28 March 2027 the clocks of Berlin go from 02:00 to 03:00, on 31 October back.
    #[test]
    fn clocks_that_are_changed() {
        let nine = "daily 09:00-10:00 Europe/Berlin";
        assert_eq!(opening(nine, "2027-03-27T12:00:00Z"), "2027-03-28T07:00:00Z");
        assert_eq!(opening(nine, "2027-10-30T12:00:00Z"), "2027-10-31T08:00:00Z");
        // The time that is skipped is no reason to wait for a day, and none to go on asking.
        let skipped = "Sun 02:30-03:30 Europe/Berlin";
        assert_eq!(opening(skipped, "2027-03-28T00:00:00Z"), "2027-03-28T01:30:00Z");
    }

    #[test]
    fn refused() {
        let of = |text: &str| text.parse::<Hours>().unwrap_err();
        for text in ["", "UTC", "Mon-Fri UTC", "Mon-Fri 09:00-18:00", "Mon 09:00-10:00 Tue UTC"] {
            assert_eq!(of(text), HoursError::Shape, "{text:?}");
        }
        for days in ["Mo", "Mon-", "Mon--Fri", "1-5", "Mon,", "all"] {
            assert_eq!(of(&format!("{days} 09:00-18:00 UTC")), HoursError::Day(days.to_owned()));
        }
        for times in
            ["9:00-18:00", "09:00", "09:00-24:01", "24:00-01:00", "09:00-09:00", "09:60-10:00", "+9:00-10:00"]
        {
            assert_eq!(of(&format!("Mon {times} UTC")), HoursError::Times(times.to_owned()));
        }
        for zone in ["Mars/Olympus", "+15:00", "+9", "09:00", "+0900"] {
            assert_eq!(of(&format!("Mon 09:00-18:00 {zone}")), HoursError::Zone(zone.to_owned()));
        }
    }

    #[test]
    fn written_as_read() {
        let hours: Hours = "Mon-Fri   09:00-18:00\tAsia/Tokyo".parse().unwrap();
        assert_eq!(hours.to_string(), "Mon-Fri 09:00-18:00 Asia/Tokyo");
        assert_eq!(hours.to_string().parse::<Hours>().unwrap(), hours);
    }
}
