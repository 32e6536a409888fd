//! The keys of SCRAM-SHA-256 (RFC 5802 3): `iterations:salt:StoredKey:ServerKey`, base64.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::VerifierError;

type Key = [u8; 32];

/// RFC 7677 4 asks for at least 4,096.
const ITERATIONS: std::ops::RangeInclusive<u32> = 4_096..=1_000_000;
const SALT: std::ops::RangeInclusive<usize> = 8..=64;
/// Of salts for logins that do not exist.
const UNKNOWN_SALT: usize = 16;

#[derive(Clone)]
pub(crate) struct ScramVerifier {
    pub(crate) iterations: u32,
    pub(crate) salt: Box<[u8]>,
    stored_key: Key,
    server_key: Key,
}

impl ScramVerifier {
    pub(super) fn read(text: &str) -> Result<Self, VerifierError> {
        let fields: Vec<&str> = text.split(':').collect();
        let [iterations, salt, stored_key, server_key] = fields[..] else {
            return Err(VerifierError::Format);
        };
        let decoded = |text: &str| BASE64_STANDARD.decode(text).map_err(|_| VerifierError::Format);
        let key = |text: &str| Key::try_from(decoded(text)?).map_err(|_| VerifierError::Format);
        let iterations: u32 = iterations.parse().map_err(|_| VerifierError::Format)?;
        let salt: Box<[u8]> = decoded(salt)?.into();
        if !ITERATIONS.contains(&iterations) || !SALT.contains(&salt.len()) {
            return Err(VerifierError::Format);
        }
        Ok(Self { iterations, salt, stored_key: key(stored_key)?, server_key: key(server_key)? })
    }

    pub(crate) fn of_password(password: &str, salt: &[u8], iterations: u32) -> Self {
        let salted: Key = pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password.as_bytes(), salt, iterations);
        Self {
            iterations,
            salt: salt.into(),
            stored_key: Sha256::digest(hmac(&salted, b"Client Key")).into(),
            server_key: hmac(&salted, b"Server Key"),
        }
    }

    pub(crate) fn verify_password(&self, password: &str) -> bool {
        let given = Self::of_password(password, &self.salt, self.iterations);
        given.stored_key.ct_eq(&self.stored_key).into()
    }

    /// ServerSignature, when the proof is right (RFC 5802 3).
    pub(crate) fn verify(&self, auth_message: &[u8], client_proof: &[u8]) -> Option<Key> {
        let signature = hmac(&self.stored_key, auth_message);
        let proof = Key::try_from(client_proof).ok()?;
        let client_key: Vec<u8> =
            proof.iter().zip(signature).map(|(proof, signature)| proof ^ signature).collect();
        let stored_key: Key = Sha256::digest(client_key).into();
        bool::from(stored_key.ct_eq(&self.stored_key)).then(|| hmac(&self.server_key, auth_message))
    }
}

/// What a login that does not exist is told: always the same, and not to be told from a real one.
pub(crate) fn unknown_salt(secret: &[u8], login: &str) -> Vec<u8> {
    let mut salt = hmac(secret, login.as_bytes()).to_vec();
    salt.truncate(UNKNOWN_SALT);
    salt
}

fn hmac(key: &[u8], message: &[u8]) -> Key {
    #[expect(clippy::unwrap_used, reason = "HMAC takes a key of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().into()
}

impl fmt::Debug for ScramVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramVerifier").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}

impl fmt::Display for ScramVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encoded = |bytes: &[u8]| BASE64_STANDARD.encode(bytes);
        let [salt, stored, server] =
            [encoded(&self.salt), encoded(&self.stored_key), encoded(&self.server_key)];
        write!(f, "{}:{salt}:{stored}:{server}", self.iterations)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7677 3.
    #[test]
    fn the_example_of_the_standard() {
        let salt = BASE64_STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let text = ScramVerifier::of_password("pencil", &salt, 4_096).to_string();
        let verifier = ScramVerifier::read(&text).unwrap();
        let auth_message = "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                            s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let proof = BASE64_STANDARD.decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=").unwrap();
        let signature = verifier.verify(auth_message.as_bytes(), &proof).unwrap();
        assert_eq!(BASE64_STANDARD.encode(signature), "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        assert!(verifier.verify(b"another exchange", &proof).is_none());
        assert!(verifier.verify(auth_message.as_bytes(), &proof[1..]).is_none());
        assert!(verifier.verify_password("pencil") && !verifier.verify_password("pencils"));
        assert!(!format!("{verifier:?}").contains(&text[10..20]));
    }

    #[test]
    fn what_is_no_verifier() {
        for text in ["", "4096:AAAA:BBBB", "1:AAAAAAAAAAAAAAAA:AAAA:AAAA", "4096:AAAAAAAAAAAAAAAA:AAAA:AAAA"]
        {
            assert_eq!(ScramVerifier::read(text).unwrap_err(), VerifierError::Format, "{text}");
        }
    }
}
