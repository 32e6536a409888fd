//! How an attempt ended. What a remote server says is a value, never an error.

use std::{fmt, net::SocketAddr, time::SystemTime};

use crate::reply::EnhancedCode;

/// What was being done when an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    Dns,
    Connect,
    Tls,
    Greeting,
    Auth,
    Mail,
    Rcpt,
    Content,
}

impl Phase {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Greeting => "greeting",
            Self::Auth => "auth",
            Self::Mail => "mail",
            Self::Rcpt => "rcpt",
            Self::Content => "content",
        }
    }
}

/// Selects the give-up clock (SEED-170).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureClass {
    /// 4yz of the remote server.
    Temp,
    /// No reply: DNS, connect, time-out, cut.
    NoReply,
    /// 5yz of the remote server, or a domain that does not exist.
    Perm,
    /// We refuse to send.
    Policy,
}

impl FailureClass {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Temp => "temp",
            Self::NoReply => "noreply",
            Self::Perm => "perm",
            Self::Policy => "policy",
        }
    }
}

/// A reply of a remote server, word for word, with the server that gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteReply {
    /// Name of the host, as in the MX record or the route.
    pub host: String,
    pub address: SocketAddr,
    pub code: u16,
    pub enhanced: Option<EnhancedCode>,
    /// All lines, joined by a line feed.
    pub text: String,
}

/// The end of one attempt that did not deliver to a recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub at: SystemTime,
    pub phase: Phase,
    pub class: FailureClass,
    pub cause: Cause,
    /// RFC 3463 status for reports.
    pub status: EnhancedCode,
}

/// A local event is never dressed as a remote reply (SEED-210).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    Remote(RemoteReply),
    /// What happened on our side of the wire, in words.
    Local(String),
}

/// How one recipient left an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecipientOutcome {
    Delivered {
        reply: RemoteReply,
        /// The next hop was told what the sender wants to be told, and reports itself (RFC 3461).
        hop_reports: bool,
    },
    Failed(Failure),
}

impl fmt::Display for RemoteReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]: {}", self.host, self.address, self.code)?;
        if let Some(enhanced) = self.enhanced {
            write!(f, " {enhanced}")?;
        }
        write!(f, " {}", self.text.replace('\n', " "))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Remote(reply) => reply.fmt(f),
            Self::Local(event) => f.write_str(event),
        }
    }
}
