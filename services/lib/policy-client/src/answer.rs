//! The answers as the caller sees them. An accepted recipient always has an
//! address and a next hop, by type.

use std::{fmt, sync::Arc};

use hikyaku_types::{
    address::Mailbox,
    destination::Destination,
    reply::{EnhancedCode, Reply},
    traffic::Rate,
};
use secrecy::SecretString;

/// What a client shows in one step of AUTH.
#[derive(Clone, Copy)]
pub enum Proof<'a> {
    Password(&'a SecretString),
    CramMd5 { challenge: &'a [u8], digest: &'a [u8] },
    ScramStart,
    Scram { auth_message: &'a [u8], client_proof: &'a [u8] },
}

impl fmt::Debug for Proof<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password(_) => "Password",
            Self::CramMd5 { .. } => "CramMd5",
            Self::ScramStart => "ScramStart",
            Self::Scram { .. } => "Scram",
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthenticationAnswer {
    Accept {
        identity: Mailbox,
        /// ServerSignature; empty but for SCRAM.
        scram_server_signature: Vec<u8>,
    },
    /// The exchange goes on (SCRAM).
    Continue { salt: Vec<u8>, iterations: u32 },
    /// 4yz or 5yz, to be said as it is.
    Refuse { reply: Reply, decided_by: Arc<str> },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Accept,
    /// 4yz or 5yz, to be said as it is.
    Refuse(Reply),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub verdict: Verdict,
    /// `document:line`, or the name of a built-in rule.
    pub decided_by: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionAnswer {
    pub decision: Decision,
    /// No limit of connections for this address.
    pub unlimited: bool,
    /// Received fields that a message of this client may have; absent: what the node has.
    pub max_received: Option<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SenderAnswer {
    pub decision: Decision,
    /// The client relays because of its address: X-Relay is added (SEED-096).
    pub trusted: bool,
    /// Messages that this client may send in a time (SEED-081).
    pub rate: Option<Rate>,
    /// The authors of the message are to be asked about (SEED-115, level 3).
    pub check_author: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecipientVerdict {
    Accept {
        /// Where the message is delivered to, after aliases.
        deliver_to: Mailbox,
        destination: Destination,
    },
    /// 4yz or 5yz, to be said as it is.
    Refuse(Reply),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientAnswer {
    /// `document:line`, or the name of a built-in rule.
    pub decided_by: Arc<str>,
    pub verdict: RecipientVerdict,
}

/// What is said when policy gives no usable verdict.
pub fn unavailable_reply() -> Reply {
    Reply::new(451, Some(EnhancedCode(4, 3, 0)), "policy not available, try again later")
}
