//! The next hop of a message: the key by which the queue keeps destinations apart.

use std::{fmt, net::IpAddr, str::FromStr};

use crate::domain::Domain;

pub const SMTP_PORT: u16 = 25;
pub const HTTPS_PORT: u16 = 443;

/// Written `example.org` (the hosts come from its MX records) or `[host]:port`
/// (that host, no MX look-up: SEED-017).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Destination {
    Mx(Domain),
    Host { host: HostName, port: u16 },
}

/// A host that is connected to without asking for MX records.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostName {
    Name(Domain),
    Address(IpAddr),
}

impl Destination {
    /// Of mail to an address literal (RFC 5321 4.1.3).
    pub fn literal(address: IpAddr) -> Self {
        Self::Host { host: HostName::Address(address.to_canonical()), port: SMTP_PORT }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    #[error("destination is neither a domain nor [host]:port")]
    Shape,
    #[error("port is not 1-65535")]
    Port,
    #[error("looks like an IPv4 address but is not one")]
    Address,
}

impl FromStr for HostName {
    type Err = DestinationError;

    /// `192.0.2.1`, `2001:db8::1`, `[2001:db8::1]` or a host name.
    fn from_str(text: &str) -> Result<Self, DestinationError> {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse() {
            return Ok(Self::Address(address));
        }
        let name: Domain = text.parse().map_err(|_| DestinationError::Shape)?;
        // 192.168.0.x passes as a host name and is always a slip (spec.md 4.1), however it is spelled: what is
        // shown of a host must be read as that host.
        let labels: Vec<&str> = name.as_str().split('.').collect();
        let numeric = labels.iter().filter(|label| label.bytes().all(|b| b.is_ascii_digit())).count();
        if labels.len() == 4 && numeric == 3 {
            return Err(DestinationError::Address);
        }
        Ok(Self::Name(name))
    }
}

impl FromStr for Destination {
    type Err = DestinationError;

    fn from_str(text: &str) -> Result<Self, DestinationError> {
        let Some(rest) = text.strip_prefix('[') else {
            return text.parse().map(Self::Mx).map_err(|_| DestinationError::Shape);
        };
        let (host, port) = rest.rsplit_once("]:").ok_or(DestinationError::Shape)?;
        let port = port.parse().ok().filter(|port| *port > 0).ok_or(DestinationError::Port)?;
        Ok(Self::Host { host: host.parse()?, port })
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Address(address) => address.fmt(f),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mx(domain) => domain.fmt(f),
            Self::Host { host, port } => write!(f, "[{host}]:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        for text in ["example.org", "[192.0.2.1]:25", "[2001:db8::1]:2525", "[mx.example.org]:587"] {
            assert_eq!(text.parse::<Destination>().unwrap().to_string(), text);
        }
        assert_eq!("[1.2.x.]:25".parse::<Destination>().unwrap().to_string(), "[1.2.x]:25");
    }

    #[test]
    fn refused() {
        for (text, error) in [
            ("", DestinationError::Shape),
            ("[mx.example.org]", DestinationError::Shape),
            ("[mx.example.org]:0", DestinationError::Port),
            ("[mx.example.org]:70000", DestinationError::Port),
            ("[192.168.0.x]:25", DestinationError::Address),
            ("[192.168.0.x.]:25", DestinationError::Address),
            ("[\u{ff11}92.168.0.x]:25", DestinationError::Address),
            ("192.0.2.1", DestinationError::Shape),
        ] {
            assert_eq!(text.parse::<Destination>(), Err(error), "{text:?}");
        }
    }
}
