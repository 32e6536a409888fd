//! What a session asks of its driver about an identity, and what it may be told.

use hikyaku_types::{address::Mailbox, reply::Reply};
use secrecy::SecretString;

/// One question of an exchange. Logins and passwords are prepared (RFC 4013); a login is
/// complete.
#[derive(Debug)]
pub enum AuthStep {
    /// PLAIN and LOGIN: is this the password?
    Password { login: Mailbox, password: SecretString },
    /// RFC 2195: is this the keyed digest of the challenge?
    CramMd5 { login: Mailbox, challenge: String, digest: [u8; 16] },
    /// RFC 5802: which salt and how many iterations? An answer that tells whether the login
    /// exists tells it to everybody.
    ScramStart { login: Mailbox },
    /// RFC 5802: does the client know the key?
    ScramFinish { login: Mailbox, auth_message: String, client_proof: Vec<u8> },
}

/// The answer to a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthAnswer {
    Accepted {
        identity: Mailbox,
        /// Only, and always, after [`AuthStep::ScramFinish`].
        server_signature: Option<Vec<u8>>,
    },
    /// Only after [`AuthStep::ScramStart`].
    Challenge { salt: Vec<u8>, iterations: u32 },
    /// Said word for word. A 5yz counts as a failure of the client, a 4yz does not.
    Refused(Reply),
}

/// How an exchange ended; for the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuthOutcome {
    Accepted,
    /// Wrong credentials.
    Refused,
    /// Nobody could say.
    Deferred,
    /// Cancelled, malformed, or the client left.
    Aborted,
}

impl AuthOutcome {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Deferred => "deferred",
            Self::Aborted => "aborted",
        }
    }
}
