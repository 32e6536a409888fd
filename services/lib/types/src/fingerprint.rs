//! Which certificate it is.

use std::{fmt, str::FromStr};

/// SHA-256 of the certificate as it is sent (DER), as OpenSSL prints it with `-fingerprint -sha256`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("want a SHA-256 fingerprint: 64 hexadecimal digits, with or without colons between the octets")]
pub struct NotAFingerprint;

impl FromStr for Fingerprint {
    type Err = NotAFingerprint;

    fn from_str(text: &str) -> Result<Self, NotAFingerprint> {
        let mut octets = [0; 32];
        let digits: Vec<&str> = match text.contains(':') {
            true => text.split(':').collect(),
            false if text.is_ascii() => {
                (0..text.len()).step_by(2).filter_map(|at| text.get(at..at + 2)).collect()
            }
            false => return Err(NotAFingerprint),
        };
        let is_whole = digits.concat().len() == text.len() || text.contains(':');
        if digits.len() != octets.len() || !is_whole {
            return Err(NotAFingerprint);
        }
        for (octet, pair) in octets.iter_mut().zip(digits) {
            let is_pair = pair.len() == 2 && pair.bytes().all(|digit| digit.is_ascii_hexdigit());
            *octet = u8::from_str_radix(pair, 16).ok().filter(|_| is_pair).ok_or(NotAFingerprint)?;
        }
        Ok(Self(octets))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_it_is_printed() {
        let plain = "00".repeat(31) + "aF";
        let colons = "00:".repeat(31) + "AF";
        let fingerprint: Fingerprint = plain.parse().unwrap();
        assert_eq!(colons.parse(), Ok(fingerprint));
        assert_eq!(fingerprint.to_string(), plain.to_lowercase());
        let (short, long, odd) = ("00".repeat(31), "00".repeat(33), "0".repeat(63));
        let (sign, uneven) = ("+1".repeat(32), format!("0:{}000", "00:".repeat(30)));
        for wrong in
            ["", &short, &long, &odd, &sign, &uneven, &"\u{fc}".repeat(32), &colons.replace(':', "-")]
        {
            assert_eq!(wrong.parse::<Fingerprint>(), Err(NotAFingerprint), "{wrong}");
        }
    }
}
