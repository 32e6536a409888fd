//! The record and the policy, as they are written.

use std::time::Duration;

use hikyaku_types::domain::Domain;

/// RFC 8461 3.2: about a year.
const MAX_AGE: u64 = 31_557_600;
const VERSION: &str = "STSv1";
const MAX_ID: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StsMode {
    /// Mail goes to no other host and over no other TLS.
    Enforce,
    /// What enforcing would refuse is told, and delivered.
    Testing,
    /// The domain has no policy any more.
    None,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StsPolicy {
    pub mode: StsMode,
    /// Hosts, some with `*.` in the place of their first label.
    mx: Vec<String>,
    /// How long it holds after it was fetched.
    pub max_age: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    #[error("version is not STSv1")]
    Version,
    #[error("mode is not enforce, testing or none")]
    Mode,
    #[error("max_age is not a number of seconds up to {MAX_AGE}")]
    MaxAge,
    #[error("{0:?} is not a host name")]
    Mx(String),
    #[error("there is no mx")]
    NoMx,
}

impl StsPolicy {
    /// RFC 8461 3.2. What is not known is passed over, of what stands there twice the first counts.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let fields = || text.lines().filter_map(|line| line.split_once(':'));
        let fields = || fields().map(|(key, value)| (key.trim(), value.trim()));
        let first = |wanted: &str| fields().find(|(key, _)| *key == wanted).map(|(_, value)| value);
        if first("version") != Some(VERSION) {
            return Err(PolicyError::Version);
        }
        let mode = match first("mode") {
            Some("enforce") => StsMode::Enforce,
            Some("testing") => StsMode::Testing,
            Some("none") => StsMode::None,
            Some(_) | None => return Err(PolicyError::Mode),
        };
        let seconds = first("max_age").and_then(|value| value.parse().ok());
        let seconds: u64 = seconds.filter(|seconds| *seconds <= MAX_AGE).ok_or(PolicyError::MaxAge)?;
        let mx: Result<Vec<String>, PolicyError> =
            fields().filter(|(key, _)| *key == "mx").map(|(_, value)| pattern(value)).collect();
        let mx = mx?;
        if mx.is_empty() && mode != StsMode::None {
            return Err(PolicyError::NoMx);
        }
        Ok(Self { mode, mx, max_age: Duration::from_secs(seconds) })
    }

    /// RFC 8461 4.1: `*.` stands for one label.
    pub fn allows(&self, host: &Domain) -> bool {
        let host = host.as_str();
        let behind_first = host.split_once('.').map(|(_, rest)| rest);
        self.mx.iter().any(|pattern| match pattern.strip_prefix("*.") {
            Some(parent) => behind_first == Some(parent),
            None => pattern == host,
        })
    }
}

fn pattern(text: &str) -> Result<String, PolicyError> {
    let (star, name) = text.strip_prefix("*.").map_or(("", text), |rest| ("*.", rest));
    let name: Domain = name.parse().map_err(|_| PolicyError::Mx(text.to_owned()))?;
    Ok(format!("{star}{name}"))
}

/// RFC 8461 3.1: of a domain that has two records nothing is known.
pub(super) fn policy_id(texts: &[String]) -> Option<String> {
    let mut records = texts
        .iter()
        .filter_map(|text| text.strip_prefix("v=STSv1"))
        .filter(|rest| rest.trim_start_matches([' ', '\t']).starts_with(';'));
    let (record, None) = (records.next()?, records.next()) else { return None };
    let mut fields = record.split(';').filter_map(|field| field.split_once('='));
    let (_, id) = fields.find(|(key, _)| key.trim() == "id")?;
    let id = id.trim();
    let is_id = !id.is_empty() && id.len() <= MAX_ID && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_id.then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 8461 3.2, with either line ends.
    #[test]
    fn policies() {
        let text = "version: STSv1\nmode: enforce\nmx: mail.example.com\nmx: *.example.net\nmx: backupmx.example.com\nmax_age: 604800\n";
        for text in
            [text.to_owned(), text.replace('\n', "\r\n"), format!("{text}later: unknown\nmode: none\n")]
        {
            let policy = StsPolicy::parse(&text).unwrap();
            assert_eq!((policy.mode, policy.max_age.as_secs()), (StsMode::Enforce, 604_800));
            for (host, allowed) in [
                ("mail.example.com", true),
                ("a.example.net", true),
                ("example.net", false),
                ("a.b.example.net", false),
                ("mail.example.org", false),
                ("xmail.example.com", false),
            ] {
                assert_eq!(policy.allows(&host.parse().unwrap()), allowed, "{host}");
            }
        }
        let none = StsPolicy::parse("version: STSv1\nmode: none\nmax_age: 86400").unwrap();
        assert_eq!(none.mode, StsMode::None);
    }

    #[test]
    fn refused() {
        for (text, error) in [
            ("", PolicyError::Version),
            ("version: STSv2\nmode: none\nmax_age: 1", PolicyError::Version),
            ("version: STSv1\nmode: Enforce\nmx: a.example\nmax_age: 1", PolicyError::Mode),
            ("version: STSv1\nmode: enforce\nmx: a.example", PolicyError::MaxAge),
            ("version: STSv1\nmode: enforce\nmx: a.example\nmax_age: 31557601", PolicyError::MaxAge),
            ("version: STSv1\nmode: enforce\nmx: a.example\nmax_age: -1", PolicyError::MaxAge),
            ("version: STSv1\nmode: enforce\nmax_age: 1", PolicyError::NoMx),
            (
                "version: STSv1\nmode: testing\nmx: a.*.example\nmax_age: 1",
                PolicyError::Mx("a.*.example".into()),
            ),
            ("<html>version: STSv1</html>", PolicyError::Version),
        ] {
            assert_eq!(StsPolicy::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn records() {
        for (texts, id) in [
            (&["v=STSv1; id=20160831085700Z;"][..], Some("20160831085700Z")),
            (&["v=STSv1;id=1"], Some("1")),
            (&["v=spf1 -all", "v=STSv1 ; id=abc ; x=y"], Some("abc")),
            (&["v=STSv1; id=1;", "v=STSv1; id=2;"], None),
            (&["v=STSv1x; id=1;"], None),
            (&["v=STSv1; id=;"], None),
            (&["v=STSv1; id=a-b;"], None),
            (&["v=STSv1;"], None),
            (&["v=STSv1; id=123456789012345678901234567890123"], None),
            (&[], None),
        ] {
            let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
            assert_eq!(policy_id(&texts).as_deref(), id, "{texts:?}");
        }
    }
}
