//! Documents of accounts whose passwords are known, computed apart from the service that reads them.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::{Digest as _, Md5, digest::common::hazmat::SerializableState as _};
use sha2::Sha256;

const ITERATIONS: u32 = 4_096;
const SALT: &[u8] = b"salt of the tests";
const MD5_BLOCK: usize = 64;

/// The documents `accounts` and `credentials`, for SCRAM-SHA-256, which also verifies PLAIN and LOGIN,
/// and CRAM-MD5.
pub fn documents(accounts: &[(&str, &str)]) -> (String, String) {
    let names = accounts.iter().map(|(login, _)| format!("{login}\n")).collect();
    let lines = accounts.iter().map(|(login, password)| {
        format!(
            "{login}\tscram-sha-256\t{}\n{login}\tcram-md5\t{}\n",
            scram_sha_256(password),
            cram_md5(password)
        )
    });
    (names, lines.collect())
}

/// RFC 5802 3: iterations, salt, StoredKey, ServerKey.
fn scram_sha_256(password: &str) -> String {
    let salted = pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password.as_bytes(), SALT, ITERATIONS);
    let hmac = |text: &[u8]| {
        let mut mac = Hmac::<Sha256>::new_from_slice(&salted).expect("HMAC takes a key of any length");
        mac.update(text);
        mac.finalize().into_bytes()
    };
    let stored = Sha256::digest(hmac(b"Client Key"));
    let encoded = |octets: &[u8]| BASE64_STANDARD.encode(octets);
    format!("{ITERATIONS}:{}:{}:{}", encoded(SALT), encoded(&stored), encoded(&hmac(b"Server Key")))
}

/// RFC 2104 2: MD5 after the inner and after the outer block of the key.
fn cram_md5(password: &str) -> String {
    assert!(password.len() <= MD5_BLOCK);
    let mut key = [0; MD5_BLOCK];
    key[..password.len()].copy_from_slice(password.as_bytes());
    let state = |pad: u8| {
        let block = key.map(|octet| octet ^ pad);
        BASE64_STANDARD.encode(Md5::new_with_prefix(block).serialize())
    };
    format!("{}:{}", state(0x36), state(0x5c))
}
