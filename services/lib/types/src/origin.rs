//! Where a question about mail comes from.

use std::net::IpAddr;

use crate::address::Mailbox;

/// The kind of port that a client came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Listener {
    /// Port 25: other servers and trusted clients; AUTH is possible (SEED-125).
    Relay,
    /// Ports 587 and 465: nothing without AUTH (SEED-126).
    Submission,
}

/// Who asks to hand in mail.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Asker {
    client: IpAddr,
    pub listener: Listener,
    /// Address that the client has authenticated as.
    pub identity: Option<Mailbox>,
}

impl Asker {
    /// SEED-084: `::ffff:192.168.0.20` is 192.168.0.20.
    pub fn new(client: IpAddr, listener: Listener, identity: Option<Mailbox>) -> Self {
        Self { client: client.to_canonical(), listener, identity }
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
