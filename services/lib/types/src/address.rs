//! Reverse-path and forward-path (RFC 5321 4.1.2), parsed once at the edge.
//!
//! The local part is kept as it was written, quotes included: only the final
//! delivery system may interpret it (RFC 5321 2.3.11).

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

mod spelling; // when two spellings are one address of ours

pub use spelling::canonical_local_part;

use crate::domain::{Domain, DomainError};

/// RFC 5321 4.5.3.1.1.
const MAX_LOCAL_PART: usize = 64;

/// What stands right of the `@`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum MailHost {
    Domain(Domain),
    /// `[192.0.2.1]` or `[IPv6:2001:db8::1]` (RFC 5321 4.1.3).
    Literal(IpAddr),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mailbox {
    local_part: Box<str>,
    host: MailHost,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ReversePath {
    /// `<>`: the sender of reports; nothing is ever reported to it (RFC 5321 4.5.5).
    Null,
    Mailbox(Mailbox),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ForwardPath {
    /// `<Postmaster>` without a domain (RFC 5321 4.5.1).
    Postmaster,
    Mailbox(Mailbox),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("address has no domain")]
    NoDomain,
    #[error("local part is empty or longer than 64 octets")]
    LocalPartLength,
    #[error("local part has a character that is not allowed")]
    LocalPart,
    #[error("address literal is not an IPv4 or IPv6 address")]
    Literal,
    #[error(transparent)]
    Domain(#[from] DomainError),
}

impl Mailbox {
    pub fn new(local_part: &str, host: MailHost) -> Result<Self, AddressError> {
        check_local_part(local_part)?;
        Ok(Self { local_part: local_part.into(), host })
    }

    pub fn local_part(&self) -> &str {
        &self.local_part
    }

    pub fn host(&self) -> &MailHost {
        &self.host
    }

    /// The domain, unless the address ends in an address literal.
    pub fn domain(&self) -> Option<&Domain> {
        match &self.host {
            MailHost::Domain(domain) => Some(domain),
            MailHost::Literal(_) => None,
        }
    }

    /// True when the local part asks a relay to send the mail on: `user%host`, `host!user`,
    /// `"user@host"` (SEED-228). A domain that takes every address does not mean these.
    pub fn asks_to_be_routed(&self) -> bool {
        self.local_part.contains(['%', '!', '@'])
    }

    /// True when the local part needs SMTPUTF8 on the wire (RFC 6531).
    pub fn needs_smtputf8(&self) -> bool {
        !self.local_part.is_ascii()
    }
}

fn check_local_part(local_part: &str) -> Result<(), AddressError> {
    if local_part.is_empty() || local_part.len() > MAX_LOCAL_PART {
        return Err(AddressError::LocalPartLength);
    }
    let legal = match local_part.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(quoted) if local_part.len() >= 2 => is_quoted_content(quoted),
        _ => local_part.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext)),
    };
    if legal { Ok(()) } else { Err(AddressError::LocalPart) }
}

/// RFC 5322 3.2.3, widened by RFC 6531 3.3.
fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || (!c.is_ascii() && !c.is_control())
}

/// RFC 5321 4.1.2 QcontentSMTP: printable characters and blanks, `\` before `"` and `\`.
fn is_quoted_content(text: &str) -> bool {
    let printable = |c: char| (' '..='~').contains(&c) || (!c.is_ascii() && !c.is_control());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return false,
            '\\' if !chars.next().is_some_and(|next| (' '..='~').contains(&next)) => return false,
            c if !printable(c) => return false,
            _ => {}
        }
    }
    true
}

impl FromStr for MailHost {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) else {
            return Ok(Self::Domain(text.parse()?));
        };
        let tag = inner.get(..5).filter(|tag| tag.eq_ignore_ascii_case("IPv6:"));
        let address = match tag {
            Some(_) => inner.get(5..).and_then(|rest| rest.parse::<Ipv6Addr>().ok()).map(IpAddr::V6),
            None => inner.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        };
        address.map(Self::Literal).ok_or(AddressError::Literal)
    }
}

impl FromStr for Mailbox {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        // The last "@": a quoted local part may hold others.
        let (local_part, host) = text.rsplit_once('@').ok_or(AddressError::NoDomain)?;
        Self::new(local_part, host.parse()?)
    }
}

impl FromStr for ReversePath {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.is_empty() { Ok(Self::Null) } else { Ok(Self::Mailbox(text.parse()?)) }
    }
}

impl FromStr for ForwardPath {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.eq_ignore_ascii_case("postmaster") {
            Ok(Self::Postmaster)
        } else {
            Ok(Self::Mailbox(text.parse()?))
        }
    }
}

impl fmt::Display for MailHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(domain) => domain.fmt(f),
            Self::Literal(IpAddr::V4(address)) => write!(f, "[{address}]"),
            Self::Literal(IpAddr::V6(address)) => write!(f, "[IPv6:{address}]"),
        }
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local_part, self.host)
    }
}

/// Without angle brackets; the null reverse-path is the empty text.
impl fmt::Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => Ok(()),
            Self::Mailbox(mailbox) => mailbox.fmt(f),
        }
    }
}

impl fmt::Display for ForwardPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postmaster => f.write_str("postmaster"),
            Self::Mailbox(mailbox) => mailbox.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        for text in [
            "a@example.org",
            "a.b+c@example.org",
            "\"q uoted\"@example.org",
            "\"a@b\"@example.org",
            "\"a\\\"b\"@example.org",
            "user%z@own.example",
            "x@[192.0.2.1]",
            "x@[IPv6:2001:db8::1]",
            "用户@example.org",
        ] {
            assert_eq!(text.parse::<Mailbox>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn refused() {
        for (text, error) in [
            ("a", AddressError::NoDomain),
            ("@example.org", AddressError::LocalPartLength),
            ("a..b@example.org", AddressError::LocalPart),
            ("a b@example.org", AddressError::LocalPart),
            ("a\"b@example.org", AddressError::LocalPart),
            ("\"@example.org", AddressError::LocalPart),
            ("\"a\\\"@example.org", AddressError::LocalPart),
            ("a\r@example.org", AddressError::LocalPart),
            ("a@", AddressError::Domain(DomainError::Empty)),
            ("a@[300.1.1.1]", AddressError::Literal),
            ("a@[IPv6:192.0.2.1]", AddressError::Literal),
        ] {
            assert_eq!(text.parse::<Mailbox>(), Err(error), "{text:?}");
        }
    }

    #[test]
    fn postmaster_is_not_the_null_path() {
        assert_eq!("PostMaster".parse(), Ok(ForwardPath::Postmaster));
        assert_eq!("".parse(), Ok(ReversePath::Null));
        assert!("".parse::<ForwardPath>().is_err());
    }
}
