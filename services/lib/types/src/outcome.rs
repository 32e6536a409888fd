//! How an attempt ended. What a remote server says is a value, never an error.

use std::{
    fmt,
    net::SocketAddr,
    time::{Duration, SystemTime},
};

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
    Local(LocalError),
}

/// What happened on our side of the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalError {
    /// In words, with the host where there is one.
    pub what: String,
    pub kind: LocalErrorKind,
    /// Octets that came since the last one was sent: of a reply that had no end.
    pub bytes: u64,
    /// Since the last octet went either way, or since the beginning when none did.
    pub elapsed: Duration,
}

impl Cause {
    /// One of few: a reply, or what went wrong on our side.
    pub fn error_type(&self) -> &'static str {
        match self {
            Self::Remote(_) => "REPLY",
            Self::Local(error) => error.kind.name(),
        }
    }
}

impl LocalError {
    pub fn new(kind: LocalErrorKind, what: impl Into<String>) -> Self {
        Self { what: what.into(), kind, bytes: 0, elapsed: Duration::ZERO }
    }
}

/// What a local error was, apart from its words (SEED-210, SEED-211).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LocalErrorKind {
    /// The peer ended the connection as one ends connections.
    Eof,
    /// A time limit of ours passed.
    Timeout,
    /// The operating system said this number.
    Os(i32),
    /// What came is not SMTP, or not TLS.
    Protocol,
    /// No name, or no address.
    Dns,
    /// The rules, the sender or the message ask for what the peer does not offer.
    Unmet,
    /// Our own configuration, store or decision.
    Internal,
}

/// The errors that administrators know by name (SEED-211): the numbers of Linux.
const OS_ERRORS: [(i32, &str); 8] = [
    (32, "EPIPE"),
    (99, "EADDRNOTAVAIL"),
    (101, "ENETUNREACH"),
    (103, "ECONNABORTED"),
    (104, "ECONNRESET"),
    (110, "ETIMEDOUT"),
    (111, "ECONNREFUSED"),
    (113, "EHOSTUNREACH"),
];

impl LocalErrorKind {
    /// Nothing listens there.
    pub const REFUSED: Self = Self::Os(111);

    /// All of [`Self::name`].
    pub const NAMES: &[&str] = &[
        "EOF",
        "TIMEOUT",
        "PROTOCOL",
        "DNS",
        "UNMET",
        "INTERNAL",
        "EPIPE",
        "EADDRNOTAVAIL",
        "ENETUNREACH",
        "ECONNABORTED",
        "ECONNRESET",
        "ETIMEDOUT",
        "ECONNREFUSED",
        "EHOSTUNREACH",
        "EOTHER",
    ];

    /// One of few.
    pub fn name(self) -> &'static str {
        match self {
            Self::Eof => "EOF",
            Self::Timeout => "TIMEOUT",
            Self::Os(number) => {
                OS_ERRORS.iter().find(|(known, _)| *known == number).map_or("EOTHER", |(_, name)| *name)
            }
            Self::Protocol => "PROTOCOL",
            Self::Dns => "DNS",
            Self::Unmet => "UNMET",
            Self::Internal => "INTERNAL",
        }
    }

    pub const fn errno(self) -> Option<i32> {
        match self {
            Self::Os(number) => Some(number),
            Self::Eof | Self::Timeout | Self::Protocol | Self::Dns | Self::Unmet | Self::Internal => None,
        }
    }
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
            Self::Local(error) => f.write_str(&error.what),
        }
    }
}
