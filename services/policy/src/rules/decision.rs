//! What an answer says: the verdict, the line that decided, and how far the answer
//! may be used again.

use std::{fmt, num::NonZeroU32, sync::Arc, time::Duration};

use hikyaku_queue::recipients::Existence;
use hikyaku_types::{
    address::Mailbox,
    destination::Destination,
    reply::{EnhancedCode, Reply},
    traffic::Rate,
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
    /// SEED-126: nothing without AUTH on this port.
    Submission,
    Authenticated,
    Credentials,
    /// SEED-115.
    SenderTrust,
    /// SEED-117: rules, and none that fits.
    SenderRules,
    /// SEED-228: `user%host` in a domain that takes every address.
    RoutedLocalPart,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The same question.
    Address,
    /// Every address of the same domain from the same client; the address stays unchanged.
    Domain,
}

/// How far an answer may be used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    pub scope: Scope,
    /// For this sender only.
    pub sender_bound: bool,
}

impl Reach {
    pub(crate) const ADDRESS: Self = Self { scope: Scope::Address, sender_bound: false };
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
    pub reach: Reach,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionDecision {
    pub decision: Decision,
    /// No limit of connections for this address.
    pub unlimited: bool,
    /// Received fields that a message of this client may have; absent: what the node has.
    pub max_received: Option<NonZeroU32>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SenderDecision {
    pub decision: Decision,
    /// The client relays because of its address (SEED-096).
    pub trusted: bool,
    /// Messages that this client may send in a time (SEED-081).
    pub rate: Option<Rate>,
    /// The authors of the message are to be looked at too (SEED-115, level 3).
    pub check_author: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecipientVerdict {
    Accept { deliver_to: Mailbox, destination: Destination },
    Refuse(Reply),
}

/// Who knows the recipients of a domain, beside the documents.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RecipientSource {
    /// The host that gets the mail says it at RCPT (SEED-064).
    NextHop,
    /// The LDAP server of this name.
    Ldap(Arc<str>),
}

/// What a client hears while a source does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenDown {
    /// 451, never 550.
    Defer,
    /// 250: the mail may come back.
    Accept,
}

/// Somebody else is to be asked, and has the last word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unconfirmed {
    pub source: RecipientSource,
    pub when_down: WhenDown,
    /// Of the document `sources`.
    pub line: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientDecision {
    pub verdict: RecipientVerdict,
    pub decided_by: DecidedBy,
    pub reach: Reach,
    /// Of an acceptance: it holds only if the source knows the recipient.
    pub unconfirmed: Option<Unconfirmed>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteDecision {
    pub destination: Destination,
    /// Absent: the built-in fall-through, by MX (SEED-021).
    pub decided_by: Option<DecidedBy>,
    /// Another sender may have another next hop (SEED-025).
    pub sender_bound: bool,
}

impl RecipientDecision {
    /// With what the source said.
    #[must_use]
    pub(crate) fn confirmed(self, existence: &Existence) -> Self {
        let Some(Unconfirmed { when_down, line, .. }) = self.unconfirmed else { return self };
        let refused = |reply| RecipientDecision {
            verdict: RecipientVerdict::Refuse(reply),
            decided_by: DecidedBy::Line(DocumentName::Sources, line),
            reach: self.reach,
            unconfirmed: None,
        };
        match (existence, when_down) {
            (Existence::Exists, _) | (Existence::Unclear(_), WhenDown::Accept) => {
                Self { unconfirmed: None, ..self }
            }
            (Existence::Unknown, _) => refused(replies::unknown_recipient()),
            (Existence::Unclear(_), WhenDown::Defer) => refused(replies::recipient_unclear()),
        }
    }
}

impl fmt::Display for RecipientSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NextHop => f.write_str("the next hop"),
            Self::Ldap(name) => write!(f, "LDAP server {name}"),
        }
    }
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
            Self::Submission => f.write_str("builtin:submission"),
            Self::Authenticated => f.write_str("builtin:authenticated"),
            Self::Credentials => f.write_str("builtin:credentials"),
            Self::SenderTrust => f.write_str("builtin:sender-trust"),
            Self::SenderRules => f.write_str("builtin:sender-rules"),
            Self::RoutedLocalPart => f.write_str("builtin:routed-local-part"),
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

    /// SEED-236: what is not known now may be known later.
    pub(in crate::rules) fn recipient_unclear() -> Reply {
        Reply::new(451, Some(EnhancedCode(4, 3, 0)), "recipient cannot be verified now, try again later")
    }

    pub(in crate::rules) fn authentication_required() -> Reply {
        Reply::new(530, Some(EnhancedCode(5, 7, 0)), "authentication required for this sender")
    }

    pub(in crate::rules) fn connection_refused() -> Reply {
        Reply::new(554, Some(EnhancedCode(5, 7, 1)), "no mail is taken from your address")
    }

    pub(in crate::rules) fn sender_refused() -> Reply {
        Reply::new(550, Some(EnhancedCode(5, 7, 1)), "sender or client refused")
    }

    pub(in crate::rules) fn not_your_sender() -> Reply {
        Reply::new(553, Some(EnhancedCode(5, 7, 1)), "you may not use this sender")
    }

    /// SEED-118.
    pub(in crate::rules) fn outside_hours() -> Reply {
        Reply::new(450, Some(EnhancedCode(4, 7, 1)), "this sender may not send at this time, try again later")
    }

    pub(in crate::rules) fn not_your_author() -> Reply {
        Reply::new(550, Some(EnhancedCode(5, 7, 1)), "you may not use this From address")
    }

    pub(in crate::rules) fn recipient_not_allowed() -> Reply {
        Reply::new(550, Some(EnhancedCode(5, 7, 1)), "you may not write to this recipient")
    }

    pub(in crate::rules) fn mailbox_disabled() -> Reply {
        Reply::new(550, Some(EnhancedCode(5, 2, 1)), "mailbox disabled")
    }

    pub(in crate::rules) fn next_hop_is_client() -> Reply {
        Reply::new(554, Some(EnhancedCode(5, 4, 6)), "mail loop: this mail would be sent back to you")
    }

    pub(in crate::rules) fn alias_chain_too_long() -> Reply {
        Reply::new(451, Some(EnhancedCode(4, 3, 5)), "recipient cannot be resolved now")
    }
}
