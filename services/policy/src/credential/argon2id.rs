//! Argon2id (RFC 9106) in the PHC string format.

use std::fmt;

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};

use super::VerifierError;

/// Of new verifiers: 19 MiB and two passes, about 20 ms of one core.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
/// A document must not be able to stop the service.
const MOST_MEMORY_KIB: u32 = 64 * 1024;
const LEAST_MEMORY_KIB: u32 = 8 * 1024;
const MOST_PASSES: u32 = 10;

#[derive(Clone)]
pub(crate) struct Argon2Verifier(Box<str>);

impl Argon2Verifier {
    pub(super) fn read(text: &str) -> Result<Self, VerifierError> {
        let hash = PasswordHash::new(text).map_err(|_| VerifierError::Format)?;
        if hash.algorithm.as_str() != Algorithm::Argon2id.as_str()
            || hash.hash.is_none()
            || hash.salt.is_none()
        {
            return Err(VerifierError::Format);
        }
        let params = Params::try_from(&hash).map_err(|_| VerifierError::Format)?;
        let is_bearable = (LEAST_MEMORY_KIB..=MOST_MEMORY_KIB).contains(&params.m_cost())
            && params.t_cost() <= MOST_PASSES
            && params.p_cost() == 1;
        if is_bearable { Ok(Self(text.into())) } else { Err(VerifierError::Cost) }
    }

    pub(crate) fn of_password(password: &str, salt: &[u8; 16]) -> Self {
        #[expect(
            clippy::unwrap_used,
            reason = "the salt has a length that is allowed, and so has any password"
        )]
        let hash = argon2().hash_password_with_salt(password.as_bytes(), salt).unwrap();
        Self(hash.to_string().into())
    }

    /// Takes as long as it says.
    pub(crate) fn verify(&self, password: &str) -> bool {
        argon2().verify_password(password.as_bytes(), &*self.0).is_ok()
    }

    /// A verifier that no password fits, and that costs as much as a new one.
    pub(crate) fn of_nobody() -> Self {
        const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5bm9ib2R5bm9ib2R5$\
                              AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        Self(NOBODY.into())
    }
}

fn argon2() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).unwrap_or_default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

impl fmt::Display for Argon2Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Argon2Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Argon2Verifier")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(password: &str) -> String {
        Argon2Verifier::of_password(password, b"0123456789abcdef").to_string()
    }

    #[test]
    fn a_password_is_known_again() {
        let text = made("pass1234");
        assert!(text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{text}");
        let verifier = Argon2Verifier::read(&text).unwrap();
        assert!(verifier.verify("pass1234"));
        assert!(!verifier.verify("pass1235"));
        assert!(!Argon2Verifier::of_nobody().verify(""));
        assert!(Argon2Verifier::read(&Argon2Verifier::of_nobody().0).is_ok());
    }

    #[test]
    fn what_is_no_verifier_or_costs_too_much() {
        for (text, error) in [
            ("pass1234", VerifierError::Format),
            (
                "$argon2i$v=19$m=19456,t=2,p=1$bm9ib2R5bm9ib2R5bm9ib2R5$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                VerifierError::Format,
            ),
            (
                "$argon2id$v=19$m=999999,t=2,p=1$bm9ib2R5bm9ib2R5bm9ib2R5$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                VerifierError::Cost,
            ),
            (
                "$argon2id$v=19$m=19456,t=99,p=1$bm9ib2R5bm9ib2R5bm9ib2R5$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                VerifierError::Cost,
            ),
            (
                "$argon2id$v=19$m=64,t=1,p=1$bm9ib2R5bm9ib2R5bm9ib2R5$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                VerifierError::Cost,
            ),
        ] {
            assert_eq!(Argon2Verifier::read(text).unwrap_err(), error, "{text}");
        }
    }
}
