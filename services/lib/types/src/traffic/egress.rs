//! Named pools of addresses that sessions come from.

use std::{fmt, net::IpAddr, str::FromStr};

use super::{RuleLine, value::PoolName};
use crate::{
    destination::{Destination, DestinationError, HostName},
    domain::Domain,
};

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EgressAddress {
    pub address: IpAddr,
    /// The SOCKS5 proxy that owns the address; absent: this machine does.
    pub via: Option<Proxy>,
    /// What is said in EHLO; absent: the name of the relay.
    pub name: Option<Domain>,
}

/// `host:port` or `[2001:db8::1]:port`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Proxy {
    pub host: HostName,
    pub port: u16,
}

/// One `egress` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EgressRule {
    pub pool: PoolName,
    pub address: EgressAddress,
    pub line: RuleLine,
}

impl FromStr for Proxy {
    type Err = DestinationError;

    fn from_str(text: &str) -> Result<Self, DestinationError> {
        let bracketed = match text.rsplit_once(':') {
            Some((host, port)) if !text.starts_with('[') && !host.contains(':') => format!("[{host}]:{port}"),
            Some(_) | None => text.to_owned(),
        };
        match bracketed.parse()? {
            Destination::Host { host, port } => Ok(Self { host, port }),
            Destination::Mx(_) => Err(DestinationError::Port),
        }
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            HostName::Address(address @ IpAddr::V6(_)) => write!(f, "[{address}]:{}", self.port),
            host @ (HostName::Name(_) | HostName::Address(IpAddr::V4(_))) => {
                write!(f, "{host}:{}", self.port)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies() {
        for text in ["proxy.example:1080", "192.0.2.1:1080", "[2001:db8::1]:1080"] {
            assert_eq!(text.parse::<Proxy>().unwrap().to_string(), text);
        }
        for text in ["", "proxy.example", "192.0.2.1:0", "2001:db8::1:1080", "a b:1", "192.0.2.x:1"] {
            assert!(text.parse::<Proxy>().is_err(), "{text:?}");
        }
    }
}
