//! What is said after `AUTH` (RFC 4954 4): a line for each challenge.

use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::Md5;
use secrecy::ExposeSecret as _;

use super::login::{Login, Mechanism};
use crate::wire::sasl;

/// RFC 4954 4: a longer first line must not have the response in it (RFC 5321 4.5.3.1.4).
const LONGEST_COMMAND: usize = 512;

#[derive(Debug)]
pub(crate) struct Exchange {
    mechanism: Mechanism,
    /// Responses that the server has.
    responses: u8,
}

impl Exchange {
    /// The exchange, and the line that begins it.
    pub(crate) fn begin(mechanism: Mechanism, login: &Login) -> (Self, String) {
        let initial = match mechanism {
            Mechanism::Plain => Some(sasl::encode(login.plain())),
            Mechanism::XOAuth2 => Some(sasl::encode(login.xoauth2())),
            Mechanism::CramMd5 | Mechanism::Login => None,
        };
        let keyword = mechanism.keyword();
        let whole = initial.map(|initial| format!("AUTH {keyword} {initial}\r\n"));
        match whole.filter(|line| line.len() <= LONGEST_COMMAND) {
            Some(line) => (Self { mechanism, responses: 1 }, line),
            None => (Self { mechanism, responses: 0 }, format!("AUTH {keyword}\r\n")),
        }
    }

    /// The answer to a challenge. `None`: this mechanism has no such challenge.
    pub(crate) fn respond(&mut self, challenge: &str, login: &Login) -> Option<String> {
        let response = match (self.mechanism, self.responses) {
            (Mechanism::Plain, 0) => sasl::encode(login.plain()),
            (Mechanism::Login, 0) => sasl::encode(&login.user),
            (Mechanism::Login, 1) => sasl::encode(login.secret.expose_secret()),
            (Mechanism::CramMd5, 0) => sasl::encode(cram_md5(challenge, login)?),
            (Mechanism::XOAuth2, 0) => sasl::encode(login.xoauth2()),
            // The challenge says why it was refused; the refusal follows the answer.
            (Mechanism::XOAuth2, 1) => String::new(),
            (Mechanism::Plain | Mechanism::Login | Mechanism::CramMd5 | Mechanism::XOAuth2, _) => {
                return None;
            }
        };
        self.responses += 1;
        Some(response + "\r\n")
    }
}

/// RFC 2195 2.
fn cram_md5(challenge: &str, login: &Login) -> Option<String> {
    let challenge = sasl::decode(challenge.as_bytes()).ok()?;
    let mut digest = Hmac::<Md5>::new_from_slice(login.secret.expose_secret().as_bytes()).ok()?;
    digest.update(&challenge);
    let digest = digest.finalize().into_bytes();
    let hex: String = digest.iter().map(|octet| format!("{octet:02x}")).collect();
    Some(format!("{} {hex}", login.user))
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;

    fn login(user: &str, secret: &str) -> Login {
        Login { user: user.to_owned(), secret: SecretString::from(secret), mechanism: None }
    }

    /// The lines of an exchange in which the server says these challenges.
    fn lines(mechanism: Mechanism, login: &Login, challenges: &[&str]) -> Vec<Option<String>> {
        let (mut exchange, first) = Exchange::begin(mechanism, login);
        let rest = challenges.iter().map(|challenge| exchange.respond(challenge, login));
        [Some(first)].into_iter().chain(rest).map(|line| Some(line?.trim_end().to_owned())).collect()
    }

    fn texts(lines: &[Option<String>]) -> Vec<&str> {
        lines.iter().map(|line| line.as_deref().unwrap_or("-")).collect()
    }

    #[test]
    fn the_example_of_rfc_2195() {
        let challenge = "PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+";
        let login = login("tim", "tanstaaftanstaaf");
        assert_eq!(
            texts(&lines(Mechanism::CramMd5, &login, &[challenge, challenge])),
            ["AUTH CRAM-MD5", "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw", "-"]
        );
        assert_eq!(texts(&lines(Mechanism::CramMd5, &login, &["no base64"])), ["AUTH CRAM-MD5", "-"]);
    }

    #[test]
    fn plain_login_and_xoauth2() {
        let login = login("tim", "pw");
        assert_eq!(texts(&lines(Mechanism::Plain, &login, &[""])), ["AUTH PLAIN AHRpbQBwdw==", "-"]);
        assert_eq!(
            texts(&lines(Mechanism::Login, &login, &["VXNlcm5hbWU6", "UGFzc3dvcmQ6", ""])),
            ["AUTH LOGIN", "dGlt", "cHc=", "-"]
        );
        let encoded = sasl::encode("user=tim\x01auth=Bearer pw\x01\x01");
        assert_eq!(
            texts(&lines(Mechanism::XOAuth2, &login, &["eyJzdGF0dXMiOiI0MDEifQ==", ""])),
            [&format!("AUTH XOAUTH2 {encoded}"), "", "-"]
        );
    }

    /// RFC 4954 4: tokens are long.
    #[test]
    fn a_long_response_waits_for_its_challenge() {
        let login = login("tim", &"t".repeat(600));
        for (mechanism, response) in [
            (Mechanism::XOAuth2, sasl::encode(login.xoauth2())),
            (Mechanism::Plain, sasl::encode(login.plain())),
        ] {
            let first = format!("AUTH {mechanism}");
            assert_eq!(texts(&lines(mechanism, &login, &[""])), [&first, &response]);
        }
    }
}
