//! CRAM-MD5 (RFC 2195) needs HMAC-MD5 with the secret as its key. What is kept is the state of MD5
//! after the inner and the outer key block: it verifies, and the secret cannot be read from it. It is as
//! good as the secret for this mechanism, which is why the mechanism is off unless asked for.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use md5::{
    Digest as _, Md5,
    digest::common::hazmat::{SerializableState as _, SerializedState},
};
use subtle::ConstantTimeEq as _;

use super::VerifierError;

/// RFC 2104 2.
const BLOCK: usize = 64;
const INNER_PAD: u8 = 0x36;
const OUTER_PAD: u8 = 0x5c;

#[derive(Clone)]
pub(crate) struct CramMd5Verifier {
    inner: Md5,
    outer: Md5,
}

impl CramMd5Verifier {
    pub(super) fn read(text: &str) -> Result<Self, VerifierError> {
        let (inner, outer) = text.split_once(':').ok_or(VerifierError::Format)?;
        Ok(Self { inner: state(inner)?, outer: state(outer)? })
    }

    pub(crate) fn of_password(password: &str) -> Self {
        let mut key = [0; BLOCK];
        let secret = password.as_bytes();
        if secret.len() > BLOCK {
            key[..16].copy_from_slice(&Md5::digest(secret));
        } else {
            key[..secret.len()].copy_from_slice(secret);
        }
        let padded = |pad: u8| Md5::new_with_prefix(key.map(|octet| octet ^ pad));
        Self { inner: padded(INNER_PAD), outer: padded(OUTER_PAD) }
    }

    pub(crate) fn verify(&self, challenge: &[u8], digest: &[u8]) -> bool {
        self.digest(challenge).ct_eq(digest).into()
    }

    pub(crate) fn verify_password(&self, password: &str) -> bool {
        // Any challenge tells whether the keys are the same.
        self.verify(b"same", &Self::of_password(password).digest(b"same"))
    }

    fn digest(&self, challenge: &[u8]) -> [u8; 16] {
        let inner = self.inner.clone().chain_update(challenge).finalize();
        self.outer.clone().chain_update(inner).finalize().into()
    }
}

fn state(text: &str) -> Result<Md5, VerifierError> {
    let octets = BASE64_STANDARD.decode(text).map_err(|_| VerifierError::Format)?;
    let state = SerializedState::<Md5>::try_from(octets.as_slice()).map_err(|_| VerifierError::Format)?;
    Md5::deserialize(&state).map_err(|_| VerifierError::Format)
}

impl fmt::Debug for CramMd5Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CramMd5Verifier")
    }
}

impl fmt::Display for CramMd5Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encoded = |state: &Md5| BASE64_STANDARD.encode(state.serialize());
        write!(f, "{}:{}", encoded(&self.inner), encoded(&self.outer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 2195 2.
    #[test]
    fn the_example_of_the_standard() {
        let text = CramMd5Verifier::of_password("tanstaaftanstaaf").to_string();
        let verifier = CramMd5Verifier::read(&text).unwrap();
        let digest =
            [0xb9, 0x13, 0xa6, 0x02, 0xc7, 0xed, 0xa7, 0xa4, 0x95, 0xb4, 0xe6, 0xe7, 0x33, 0x4d, 0x38, 0x90];
        let challenge = b"<1896.697170952@postoffice.reston.mci.net>";
        assert!(verifier.verify(challenge, &digest));
        assert!(!verifier.verify(b"<another@challenge>", &digest));
        assert!(!verifier.verify(challenge, &digest[1..]));
        assert!(verifier.verify_password("tanstaaftanstaaf") && !verifier.verify_password("tanstaaf"));
        assert!(text.len() < 300, "{}", text.len());
    }

    #[test]
    fn long_secrets_are_hashed_first() {
        let long = "x".repeat(80);
        let verifier = CramMd5Verifier::of_password(&long);
        assert!(verifier.verify_password(&long) && !verifier.verify_password(&long[1..]));
    }
}
