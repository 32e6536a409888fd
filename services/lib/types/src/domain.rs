//! A mail domain in its one canonical spelling: lower-case A-labels, no final dot.

use std::{fmt, str::FromStr, sync::Arc};

/// RFC 1035 2.3.4: a name has at most 253 visible octets.
const MAX_NAME: usize = 253;
/// RFC 1035 2.3.4.
const MAX_LABEL: usize = 63;

/// A domain name. Equal domains are equal values, whatever the client wrote.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Domain(Arc<str>);

/// Why a text is not a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DomainError {
    #[error("domain is empty")]
    Empty,
    #[error("domain is longer than 253 octets or a label is longer than 63")]
    TooLong,
    #[error("domain has a character or an empty label that the DNS does not allow")]
    Illegal,
    #[error("domain looks like an IPv4 address; an address is written [192.0.2.1]")]
    LooksLikeAddress,
}

impl Domain {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The domain without its first label, for looking up `*.parent`.
    pub fn parent(&self) -> Option<&str> {
        self.0.split_once('.').map(|(_, parent)| parent)
    }
}

impl FromStr for Domain {
    type Err = DomainError;

    fn from_str(text: &str) -> Result<Self, DomainError> {
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.is_empty() {
            return Err(DomainError::Empty);
        }
        let canonical = if text.is_ascii() {
            text.to_ascii_lowercase()
        } else {
            // RFC 6531 3.2: U-labels are compared as A-labels.
            idna::domain_to_ascii_strict(text).map_err(|_| DomainError::Illegal)?
        };
        if canonical.len() > MAX_NAME {
            return Err(DomainError::TooLong);
        }
        for label in canonical.split('.') {
            check_label(label)?;
        }
        // RFC 3696 2: the last label is not all-numeric, so no name can be taken for an address.
        let last = canonical.rsplit('.').next().unwrap_or_default();
        if last.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(DomainError::LooksLikeAddress);
        }
        Ok(Self(canonical.into()))
    }
}

/// Letters, digits and inner hyphens (RFC 5321 4.1.2); the underscore is let through because
/// names with it exist and a relay that refuses them loses mail for no gain.
fn check_label(label: &str) -> Result<(), DomainError> {
    if label.len() > MAX_LABEL {
        return Err(DomainError::TooLong);
    }
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if label.is_empty() || label.starts_with('-') || label.ends_with('-') || !label.bytes().all(legal) {
        return Err(DomainError::Illegal);
    }
    Ok(())
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Domain({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling() {
        for text in ["Example.ORG", "example.org.", "example.org"] {
            assert_eq!(text.parse::<Domain>().unwrap().as_str(), "example.org");
        }
        assert_eq!("MÜNCHEN.de".parse::<Domain>().unwrap().as_str(), "xn--mnchen-3ya.de");
        assert_eq!("a.b.example".parse::<Domain>().unwrap().parent(), Some("b.example"));
    }

    #[test]
    fn refused() {
        let long_label = format!("{}.example", "a".repeat(64));
        let long_name = format!("{}example", "abcdefg.".repeat(31));
        for (text, error) in [
            ("", DomainError::Empty),
            (".", DomainError::Empty),
            ("a..b", DomainError::Illegal),
            ("-a.example", DomainError::Illegal),
            ("a b.example", DomainError::Illegal),
            ("exam\u{0}ple.org", DomainError::Illegal),
            ("a@b.example", DomainError::Illegal),
            ("192.0.2.1", DomainError::LooksLikeAddress),
            (&long_label, DomainError::TooLong),
            (&long_name, DomainError::TooLong),
        ] {
            assert_eq!(text.parse::<Domain>(), Err(error), "{text:?}");
        }
    }
}
