//! What SASL puts on the wire (RFC 4954 4): challenges and responses in base64.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::zeroize::Zeroizing;

/// Longest line of a response, `CRLF` included (RFC 4954 4).
pub const MAX_RESPONSE_LINE: usize = 12_288;

/// A base64 text of a client. It may hold a password, so it is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Encoded(Zeroizing<Vec<u8>>);

/// The text is not base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not base64")]
pub struct NotBase64;

impl Encoded {
    pub fn new(text: &[u8]) -> Self {
        Self(Zeroizing::new(text.to_vec()))
    }

    /// `initial` is the argument of AUTH, where `=` is the empty response (RFC 4954 4).
    pub fn decode_initial(&self) -> Result<Zeroizing<Vec<u8>>, NotBase64> {
        match self.0.as_slice() {
            b"=" => Ok(Zeroizing::default()),
            text => decode(text),
        }
    }
}

impl fmt::Debug for Encoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Encoded([REDACTED])")
    }
}

pub fn decode(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, NotBase64> {
    STANDARD.decode(text).map(Zeroizing::new).map_err(|_| NotBase64)
}

pub fn encode(octets: impl AsRef<[u8]>) -> String {
    STANDARD.encode(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses() {
        let initial = |text: &str| Encoded::new(text.as_bytes()).decode_initial().map(|found| found.to_vec());
        assert_eq!(initial("="), Ok(Vec::new()));
        assert_eq!(initial("AGEAYg=="), Ok(b"\0a\0b".to_vec()));
        assert_eq!(decode(b"").map(|found| found.to_vec()), Ok(Vec::new()));
        for text in ["==", "A", "AGEAYg", "AGEAYg==x", "AGEA Yg==", "\u{e9}\u{e9}"] {
            assert_eq!(initial(text), Err(NotBase64), "{text:?}");
        }
        assert_eq!(decode(b"=").map(|found| found.to_vec()), Err(NotBase64), "only in the command");
    }

    #[test]
    fn a_response_is_never_shown() {
        assert!(!format!("{:?}", Encoded::new(b"AGEAYg==")).contains("AGEA"));
    }
}
