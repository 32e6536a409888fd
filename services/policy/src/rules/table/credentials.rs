//! What proves that a client is an account.

use std::collections::HashMap;

use hikyaku_types::address::Mailbox;

use super::address::{AddressKey, address_key};
use crate::credential::{Argon2Verifier, CramMd5Verifier, ScramVerifier, Verifier};

/// The verifiers of one account; one of each kind.
#[derive(Debug, Default)]
pub(crate) struct Credentials {
    pub(crate) line: u32,
    pub(crate) argon2: Option<Argon2Verifier>,
    pub(crate) scram: Option<ScramVerifier>,
    pub(crate) cram_md5: Option<CramMd5Verifier>,
    /// SEED-112: the secret came from an old product and is short.
    pub(crate) must_change: bool,
}

#[derive(Debug, Default)]
pub(crate) struct CredentialTable {
    accounts: HashMap<AddressKey, Credentials>,
}

impl CredentialTable {
    /// `Err`: the line that has this kind for this address already.
    pub(crate) fn insert(
        &mut self,
        mailbox: &Mailbox,
        verifier: Verifier,
        must_change: bool,
        line: u32,
    ) -> Result<(), u32> {
        let Some(key) = address_key(mailbox) else { return Ok(()) };
        let credentials =
            self.accounts.entry(key).or_insert_with(|| Credentials { line, ..Credentials::default() });
        let is_new = match verifier {
            Verifier::Argon2(verifier) => credentials.argon2.replace(verifier).is_none(),
            Verifier::Scram(verifier) => credentials.scram.replace(verifier).is_none(),
            Verifier::CramMd5(verifier) => credentials.cram_md5.replace(verifier).is_none(),
        };
        credentials.must_change |= must_change;
        if is_new { Ok(()) } else { Err(credentials.line) }
    }

    pub(crate) fn of(&self, mailbox: &Mailbox) -> Option<&Credentials> {
        self.accounts.get(&address_key(mailbox)?)
    }
}
