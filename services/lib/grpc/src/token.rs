//! Bearer tokens: 256 random bits in base64url. A server knows only their SHA-256; that needs no
//! salt and no slow function, because nobody guesses 256 bits.

use std::{
    fmt, fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    str::FromStr,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::{TryRngCore as _, rngs::OsRng};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

const BYTES: usize = 32;
/// A token may come from elsewhere, but it must fit into a header.
const LONGEST: usize = 1_024;
const PREFIX: &str = "sha256:";

#[derive(Debug, Clone)]
pub struct Token(SecretString);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a token is 1 to {LONGEST} visible ASCII characters")]
pub struct NoToken;

impl Token {
    /// Fails only when the system has no random numbers.
    pub fn fresh() -> io::Result<Self> {
        let mut bytes = [0; BYTES];
        OsRng.try_fill_bytes(&mut bytes).map_err(io::Error::other)?;
        Ok(Self(URL_SAFE_NO_PAD.encode(bytes).into()))
    }

    /// The text of a file; blanks around it do not belong to it.
    pub(crate) fn read(text: &str) -> Result<Self, NoToken> {
        let text = text.trim();
        let is_token = (1..=LONGEST).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if is_token { Ok(Self(text.to_owned().into())) } else { Err(NoToken) }
    }

    /// Only for a header, a private file, or a terminal that was asked for it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    pub fn hash(&self) -> TokenHash {
        TokenHash::of(self.expose())
    }

    /// Into a new file that nobody else may read. A file that exists is left alone.
    pub fn write_new(&self, path: &Path) -> io::Result<()> {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        writeln!(file, "{}", self.expose())?;
        file.sync_all()
    }
}

/// Sees to it that the file holds a token: a fresh one, unless it exists.
pub fn keep(path: &Path) -> io::Result<()> {
    if path.try_exists()? {
        return Ok(());
    }
    // A crash leaves a whole file or none.
    let partial = path.with_extension("new");
    match fs::remove_file(&partial) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    Token::fresh()?.write_new(&partial)?;
    fs::rename(&partial, path)
}

/// What a server knows of a token. There is no `==`, which would tell by its time how much of a guess
/// is right; there is [`TokenHash::is`].
#[derive(Clone, Copy)]
pub struct TokenHash([u8; BYTES]);

impl TokenHash {
    pub(crate) fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }

    /// In constant time.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not {PREFIX} and 64 hexadecimal digits")]
pub struct NoTokenHash;

impl FromStr for TokenHash {
    type Err = NoTokenHash;

    fn from_str(text: &str) -> Result<Self, NoTokenHash> {
        let digits = text.strip_prefix(PREFIX).ok_or(NoTokenHash)?.as_bytes();
        let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
        let mut hash = [0; BYTES];
        if digits.len() != 2 * BYTES {
            return Err(NoTokenHash);
        }
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            let [high, low] = *pair else { return Err(NoTokenHash) };
            *byte = value(high).zip(value(low)).map(|(high, low)| 16 * high + low).ok_or(NoTokenHash)?;
        }
        Ok(Self(hash))
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn fresh_tokens_are_256_bits_that_nobody_is_shown() {
        let (one, other) = (Token::fresh().unwrap(), Token::fresh().unwrap());
        assert_eq!(URL_SAFE_NO_PAD.decode(one.expose()).unwrap().len(), 32);
        assert!(!one.hash().is(&other.hash()));
        assert!(!format!("{one:?}").contains(one.expose()));
    }

    /// RFC 6234 8.5, test 1.
    #[test]
    fn the_hash_is_sha256_in_hexadecimal() {
        let text = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let hash: TokenHash = text.parse().unwrap();
        assert!(hash.is(&Token::read("abc\n").unwrap().hash()));
        assert_eq!(hash.to_string(), text);
        assert!(text.to_uppercase().replace("SHA", "sha").parse::<TokenHash>().unwrap().is(&hash));
        for bad in ["", "sha256:", &text[..70], &format!("{text}0"), &text.replace('b', "g"), &text[7..]] {
            assert!(bad.parse::<TokenHash>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_is_no_token() {
        for bad in ["", " \n", "two words", "a\nb", "f\u{fc}r", &"x".repeat(1_025)] {
            assert!(Token::read(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_token_file_is_private_and_never_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("operator-token");
        std::fs::write(path.with_extension("new"), "what a crash has left").unwrap();
        keep(&path).unwrap();
        let first = fs::read_to_string(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        keep(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), first);
        let error = Token::fresh().unwrap().write_new(&path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), first);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
