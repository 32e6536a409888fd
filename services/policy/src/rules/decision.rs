//! What an answer says: the verdict, the line that decided, and how far the answer
//! may be used again.

use std::{fmt, time::Duration};

use hikyaku_types::{
    address::Mailbox,
    destination::Destination,
    reply::{EnhancedCode, Reply},
};

use crate::document::DocumentName;

/// A change of the rules is felt everywhere within this time and the time of a commit (SEED-022).
pub const VALID_FOR: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecidedBy {
    Line(DocumentName, u32),
    Default,
    OwnSender,
    UnknownRecipient,
    Postmaster,
    /// SEED-004 (b).
    NextHopIsClient,
}

/// How far an answer may be used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The same question.
    Address,
    /// Every address of the same domain from the same client; the address stays unchanged.
    Domain,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Accept,
    Refuse(Reply),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub verdict: Verdict,
    pub decided_by: DecidedBy,
    pub scope: Scope,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionDecision {
    pub decision: Decision,
    pub relay_network: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecipientVerdict {
    Accept { deliver_to: Mailbox, destination: Destination },
    Refuse(Reply),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientDecision {
    pub verdict: RecipientVerdict,
    pub decided_by: DecidedBy,
    pub scope: Scope,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteDecision {
    pub destination: Destination,
    /// Absent: the built-in fall-through, by MX (SEED-021).
    pub decided_by: Option<DecidedBy>,
}

impl fmt::Display for DecidedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(document, line) => write!(f, "{document}:{line}"),
            Self::Default => f.write_str("builtin:default"),
            Self::OwnSender => f.write_str("builtin:own-sender"),
            Self::UnknownRecipient => f.write_str("builtin:unknown-recipient"),
            Self::Postmaster => f.write_str("builtin:postmaster"),
            Self::NextHopIsClient => f.write_str("loop:next-hop-is-client"),
        }
    }
}

/// The replies of spec.md 0.1. The texts are for outsiders and name no address, so that an
/// answer for a domain fits each of its addresses.
pub(super) mod replies {
    use super::{EnhancedCode, Reply};

    pub(in crate::rules) fn relaying_denied() -> Reply {
        Reply::new(550, Some(EnhancedCode(5, 7, 1)), "relaying denied")
    }

    pub(in crate::rules) fn unknown_recipient() -> Reply {
        Reply::new(550, Some(EnhancedCode(5, 1, 1)), "no such recipient here")
    }

    pub(in crate::rules) fn authentication_required() -> Reply {
        Reply::new(530, Some(EnhancedCode(5, 7, 0)), "authentication required for this sender")
    }

    pub(in crate::rules) fn next_hop_is_client() -> Reply {
        Reply::new(554, Some(EnhancedCode(5, 4, 6)), "mail loop: this mail would be sent back to you")
    }

    pub(in crate::rules) fn alias_chain_too_long() -> Reply {
        Reply::new(451, Some(EnhancedCode(4, 3, 5)), "recipient cannot be resolved now")
    }
}
