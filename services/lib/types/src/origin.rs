//! Where a question about mail comes from.

use std::net::{IpAddr, Ipv6Addr};

use crate::{address::Mailbox, fingerprint::Fingerprint};

/// The kind of port that a client came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Listener {
    /// Port 25: other servers and trusted clients; AUTH is possible (SEED-125).
    Relay,
    /// Ports 587 and 465: nothing without AUTH (SEED-126).
    Submission,
}

impl Listener {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::Submission => "submission",
        }
    }
}

/// Who asks to hand in mail.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Asker {
    client: IpAddr,
    pub listener: Listener,
    /// Address that the client has authenticated as.
    pub identity: Option<Mailbox>,
    /// Certificate that it has shown, and proved to be its own.
    pub certificate: Option<Fingerprint>,
}

impl Asker {
    /// SEED-084: `::ffff:192.168.0.20` is 192.168.0.20.
    pub fn new(client: IpAddr, listener: Listener, identity: Option<Mailbox>) -> Self {
        Self { client: client.to_canonical(), listener, identity, certificate: None }
    }

    /// The same client, after it has shown this.
    #[must_use]
    pub fn showing(self, certificate: Option<Fingerprint>) -> Self {
        Self { certificate, ..self }
    }

    /// A client of port 25 that has not authenticated.
    pub fn anonymous(client: IpAddr) -> Self {
        Self::new(client, Listener::Relay, None)
    }

    /// Never an IPv4-mapped address.
    pub fn client(&self) -> IpAddr {
        self.client
    }
}

/// Whose rate a client spends: an IPv4 address has its own, an IPv6 address is one of the many of its network
/// (/64, RFC 6177).
pub fn limited_as(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_network_are_limited_together() {
        for (client, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:77:1:2:3:4:5", "2001:db8:77:1::"),
            ("::1", "::"),
        ] {
            assert_eq!(limited_as(client.parse().unwrap()).to_string(), expected);
        }
    }
}
