//! What is kept of a secret: enough to know it again, not to tell it (SEED-112). Pure.

mod argon2id; // PLAIN and LOGIN
mod scram; // SCRAM-SHA-256 (RFC 5802, RFC 7677)
mod cram_md5; // CRAM-MD5 (RFC 2195)

pub(crate) use argon2id::Argon2Verifier;
pub(crate) use cram_md5::CramMd5Verifier;
pub(crate) use scram::{ScramVerifier, unknown_salt};

const ARGON2ID: &str = "argon2id";
const SCRAM_SHA_256: &str = "scram-sha-256";
const CRAM_MD5: &str = "cram-md5";

#[derive(Debug, Clone)]
pub(crate) enum Verifier {
    Argon2(Argon2Verifier),
    Scram(ScramVerifier),
    CramMd5(CramMd5Verifier),
}

/// The text cannot be a verifier. It is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum VerifierError {
    #[error("the scheme is not argon2id, scram-sha-256 or cram-md5")]
    Scheme,
    #[error("the verifier cannot be read")]
    Format,
    #[error("the verifier costs more than 64 MiB or 10 passes, or less than 8 MiB")]
    Cost,
}

impl Verifier {
    pub(crate) fn read(scheme: &str, text: &str) -> Result<Self, VerifierError> {
        match scheme {
            ARGON2ID => Argon2Verifier::read(text).map(Self::Argon2),
            SCRAM_SHA_256 => ScramVerifier::read(text).map(Self::Scram),
            CRAM_MD5 => CramMd5Verifier::read(text).map(Self::CramMd5),
            _ => Err(VerifierError::Scheme),
        }
    }
}
