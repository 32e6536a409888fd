//! What one node saw, from where it delivers.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::past::Past;
use crate::facts::Lookup;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    pub node: String,
    pub resolvers: Vec<ResolverSeen>,
    /// As in the queue: `example.org` or `[host]:port`.
    pub destination: String,
    /// The line of the directory that leads there; empty: none, its MX records do.
    pub decided_by: String,
    pub names: Names,
    /// What the destination publishes about TLS beside that, in words.
    pub published: Vec<String>,
    pub envelope: Envelope,
    pub past: Past,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolverSeen {
    pub server: String,
    /// Milliseconds, or why there is no answer.
    pub answer: Result<u64, String>,
}

/// The hosts of a destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Names {
    /// In the order in which a delivery tries them.
    Hosts(Vec<Host>),
    /// There are none, and the DNS says so: why.
    Never(String),
    /// Nobody has said.
    Unanswered(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    pub name: String,
    pub origin: Origin,
    pub addresses: Lookup<Vec<Contact>>,
    /// Seconds for which its addresses are true, as the resolver says.
    pub ttl: Option<u32>,
}

/// Why it is a host of the destination, or where its addresses are from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    Mx {
        preference: u16,
        ttl: u32,
    },
    /// The domain itself: it has no MX records.
    Domain,
    /// The domain itself, where the rules say so, behind its MX hosts.
    BehindMx,
    /// A line of the directory names it.
    Route,
}

/// One address, as far as its session came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    pub address: SocketAddr,
    /// The host map of the directory has it, not the DNS.
    pub is_mapped: bool,
    /// Milliseconds, or why there is no connection.
    pub connected: Result<u64, Unreached>,
    pub banner: Option<Said>,
    /// The last reply to EHLO, or HELO where EHLO is not known.
    pub hello: Option<Said>,
    pub tls: Option<Tls>,
    /// What TLS must be there, by the rules and by what the domain publishes: off, opportunistic, required,
    /// verified, mta-sts, dane.
    pub level: String,
    /// No mail without it.
    pub needs_tls: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unreached {
    /// Somebody is there and said no.
    pub is_refused: bool,
    pub what: String,
}

/// To what we said, or as a greeting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Said {
    Reply {
        code: u16,
        text: String,
    },
    /// Why there is no reply.
    Nothing(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tls {
    NotOffered,
    /// The rules want none.
    NotAsked,
    /// What was said to STARTTLS instead of 220, or that nothing was.
    Refused(Said),
    /// The handshake failed, or the certificate is not good enough.
    Failed(String),
    On {
        version: String,
        cipher: String,
        is_verified: bool,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Envelope {
    NotAsked,
    /// It could not be asked: why.
    NotPossible(String),
    Asked {
        at: SocketAddr,
        mail: Said,
        rcpt: Option<Said>,
    },
}

impl Said {
    pub(super) fn is_positive(&self) -> bool {
        matches!(self, Self::Reply { code: 200..300, .. })
    }

    pub(super) fn words(&self) -> String {
        match self {
            Self::Reply { code, text } => format!("{code} {}", text.replace('\n', " ")),
            Self::Nothing(why) => why.clone(),
        }
    }
}

impl View {
    /// All addresses, the best first.
    pub fn contacts(&self) -> impl Iterator<Item = &Contact> {
        let hosts = match &self.names {
            Names::Hosts(hosts) => hosts.as_slice(),
            Names::Never(_) | Names::Unanswered(_) => &[],
        };
        hosts.iter().flat_map(|host| match &host.addresses {
            Lookup::Found(contacts) => contacts.as_slice(),
            Lookup::None | Lookup::Failed(_) => &[],
        })
    }

    /// There is a connection to an address at least.
    pub(super) fn is_reached(&self) -> bool {
        self.contacts().any(|contact| contact.connected.is_ok())
    }
}

impl Contact {
    /// It greets as a server that takes mail, or TLS comes before the greeting.
    pub(super) fn is_spoken_with(&self) -> bool {
        self.banner.as_ref().map_or(self.tls.is_some(), Said::is_positive)
    }
}
