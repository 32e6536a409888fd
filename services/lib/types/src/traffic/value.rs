//! Values of keys, as they are written: `50/s`, `8h`, `pool-a`, `required`.

use std::{fmt, num::NonZeroU32, str::FromStr, sync::Arc, time::Duration};

const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];
const MAX_NAME: usize = 64;

/// So many in a time: `50/s`, `100/m`, `2000/h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    pub count: NonZeroU32,
    /// A second, a minute or an hour.
    pub per: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("want a number and a unit: 50/s, 100/m or 2000/h")]
pub struct NotARate;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("want a number and a unit: 120s, 2m, 8h or 5d")]
pub struct NotATime;

/// Name of a pool of source addresses.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PoolName(Arc<str>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("want 1 to 64 letters, digits, - or _")]
pub struct NotAName;

/// Name of a login: what it stands for is in the configuration of who delivers, because secrets are
/// no business of the directory.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LoginName(Arc<str>);

/// What of TLS a next hop must offer before it gets mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TlsLevel {
    /// It is not spoken, whatever is offered.
    Off,
    /// RFC 7435: where it is offered, with any certificate; otherwise in the clear.
    Opportunistic,
    /// With any certificate; never in the clear.
    Required,
    /// With a certificate of a trusted authority for the name of the host.
    Verified,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("want off, opportunistic, required or verified")]
pub struct NotATlsLevel;

impl FromStr for Rate {
    type Err = NotARate;

    fn from_str(text: &str) -> Result<Self, NotARate> {
        let (count, unit) = text.split_once('/').ok_or(NotARate)?;
        let per = match unit {
            "s" => 1,
            "m" | "min" => 60,
            "h" => 3_600,
            _ => return Err(NotARate),
        };
        let count = count.parse().map_err(|_| NotARate)?;
        Ok(Self { count, per: Duration::from_secs(per) })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.per.as_secs() {
            ..60 => 's',
            60..3_600 => 'm',
            3_600.. => 'h',
        };
        write!(f, "{}/{unit}", self.count)
    }
}

/// `120s`, `2m`, `8h`, `5d`.
pub fn read_time(text: &str) -> Result<Duration, NotATime> {
    let unit = UNITS.iter().find(|(letter, _)| text.ends_with(*letter)).ok_or(NotATime)?;
    let number: u64 = text.strip_suffix(unit.0).and_then(|it| it.parse().ok()).ok_or(NotATime)?;
    number.checked_mul(unit.1).map(Duration::from_secs).ok_or(NotATime)
}

/// In the largest unit that leaves no rest.
pub fn write_time(time: Duration) -> String {
    let seconds = time.as_secs();
    let unit = UNITS.iter().find(|(_, length)| seconds > 0 && seconds.is_multiple_of(*length));
    let (letter, length) = unit.unwrap_or(&('s', 1));
    format!("{}{letter}", seconds / length)
}

impl PoolName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PoolName {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        name(text).map(Self)
    }
}

fn name(text: &str) -> Result<Arc<str>, NotAName> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let is_name = !text.is_empty() && text.len() <= MAX_NAME && text.bytes().all(legal);
    if is_name { Ok(text.into()) } else { Err(NotAName) }
}

impl fmt::Display for PoolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for LoginName {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        name(text).map(Self)
    }
}

impl fmt::Display for LoginName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TlsLevel {
    pub const ALL: [Self; 4] = [Self::Off, Self::Opportunistic, Self::Required, Self::Verified];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Opportunistic => "opportunistic",
            Self::Required => "required",
            Self::Verified => "verified",
        }
    }
}

impl FromStr for TlsLevel {
    type Err = NotATlsLevel;

    fn from_str(text: &str) -> Result<Self, NotATlsLevel> {
        Self::ALL.into_iter().find(|level| level.name() == text).ok_or(NotATlsLevel)
    }
}

impl fmt::Display for TlsLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates() {
        for text in ["50/s", "100/m", "2000/h"] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
        }
        for text in ["", "50", "0/s", "-1/s", "5/d", "5/", "x/s", "5/s ", "99999999999/s"] {
            assert_eq!(text.parse::<Rate>(), Err(NotARate), "{text:?}");
        }
    }

    #[test]
    fn times() {
        for (text, seconds, written) in [
            ("120s", 120, "2m"),
            ("2m", 120, "2m"),
            ("90s", 90, "90s"),
            ("8h", 28_800, "8h"),
            ("24h", 86_400, "1d"),
            ("5d", 432_000, "5d"),
            ("0s", 0, "0s"),
        ] {
            assert_eq!(read_time(text), Ok(Duration::from_secs(seconds)), "{text:?}");
            assert_eq!(write_time(Duration::from_secs(seconds)), written);
        }
        for text in ["", "120", "s", "1.5h", "-1s", "1w", "99999999999999999999s", "9999999999999999999d"] {
            assert_eq!(read_time(text), Err(NotATime), "{text:?}");
        }
    }

    #[test]
    fn names_of_pools_and_logins() {
        assert_eq!("bulk-2_a".parse::<PoolName>().unwrap().to_string(), "bulk-2_a");
        assert_eq!("bulk-2_a".parse::<LoginName>().unwrap().to_string(), "bulk-2_a");
        for text in ["", "a b", "a.b", "é", &"x".repeat(65)] {
            assert_eq!(text.parse::<PoolName>(), Err(NotAName), "{text:?}");
            assert_eq!(text.parse::<LoginName>(), Err(NotAName), "{text:?}");
        }
    }

    #[test]
    fn tls_levels() {
        for level in TlsLevel::ALL {
            assert_eq!(level.to_string().parse(), Ok(level));
        }
        assert!(TlsLevel::ALL.is_sorted(), "each one asks for more than those before");
        for text in ["", "on", "Off", "verify"] {
            assert_eq!(text.parse::<TlsLevel>(), Err(NotATlsLevel), "{text:?}");
        }
    }
}
