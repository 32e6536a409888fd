//! Who we are at a server, and how we prove it.

use std::{fmt, str::FromStr};

use secrecy::{ExposeSecret as _, SecretString};

use crate::wire::{ehlo::AuthOffer, sasl};

/// What a secret is replaced by where a server repeats it.
const WITHHELD: &str = "[withheld]";

/// Sent over TLS only; that the server is who it should be is for the driver to know.
#[derive(Debug, Clone)]
pub struct Login {
    pub user: String,
    /// A password, or the token of XOAUTH2.
    pub secret: SecretString,
    /// `None`: the strongest that the server offers and that proves a password.
    pub mechanism: Option<Mechanism>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// RFC 2195.
    CramMd5,
    /// RFC 4616.
    Plain,
    /// Obsolete and used all the same.
    Login,
    /// OAuth 2 as large providers have it. Its secret is no password, so it is used only when it is named.
    XOAuth2,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("want plain, login, cram-md5 or xoauth2")]
pub struct NotAMechanism;

/// The strongest first: the first one does not send the password.
const OF_PASSWORDS: [Mechanism; 3] = [Mechanism::CramMd5, Mechanism::Plain, Mechanism::Login];

impl Mechanism {
    pub const ALL: [Self; 4] = [Self::CramMd5, Self::Plain, Self::Login, Self::XOAuth2];

    /// As it stands in `AUTH`.
    pub const fn keyword(self) -> &'static str {
        match self {
            Self::CramMd5 => "CRAM-MD5",
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::XOAuth2 => "XOAUTH2",
        }
    }

    const fn is_in(self, offer: AuthOffer) -> bool {
        match self {
            Self::CramMd5 => offer.cram_md5,
            Self::Plain => offer.plain,
            Self::Login => offer.login,
            Self::XOAuth2 => offer.xoauth2,
        }
    }
}

impl FromStr for Mechanism {
    type Err = NotAMechanism;

    fn from_str(text: &str) -> Result<Self, NotAMechanism> {
        let named = |mechanism: &Self| mechanism.keyword().eq_ignore_ascii_case(text);
        Self::ALL.into_iter().find(named).ok_or(NotAMechanism)
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.keyword())
    }
}

impl Login {
    /// The mechanism to use, of those that are offered.
    pub(crate) fn chosen(&self, offer: AuthOffer) -> Option<Mechanism> {
        match self.mechanism {
            Some(named) => Some(named).filter(|mechanism| mechanism.is_in(offer)),
            None => OF_PASSWORDS.into_iter().find(|mechanism| mechanism.is_in(offer)),
        }
    }

    /// A server may repeat what it was told, and what it says is logged and reported.
    pub(crate) fn withheld(&self, text: &str) -> String {
        let secret = self.secret.expose_secret();
        let mut clean = text.to_owned();
        // What holds others comes before them.
        let told =
            [&sasl::encode(self.xoauth2()), &sasl::encode(self.plain()), &sasl::encode(secret), secret];
        for told in told.into_iter().filter(|told| !told.is_empty()) {
            clean = clean.replace(told, WITHHELD);
        }
        clean
    }

    /// RFC 4616 2.
    pub(crate) fn plain(&self) -> String {
        format!("\0{}\0{}", self.user, self.secret.expose_secret())
    }

    pub(crate) fn xoauth2(&self) -> String {
        format!("user={}\x01auth=Bearer {}\x01\x01", self.user, self.secret.expose_secret())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(mechanism: Option<Mechanism>) -> Login {
        Login { user: "u".to_owned(), secret: SecretString::from("s3cret"), mechanism }
    }

    fn offer(keywords: &str) -> AuthOffer {
        AuthOffer::parse(keywords.split(' '))
    }

    /// SEED-026.
    #[test]
    fn the_strongest_that_is_offered_or_the_one_that_is_named() {
        let named = Mechanism::from_str;
        for (given, offered, chosen) in [
            (None, "LOGIN PLAIN CRAM-MD5", Some(Mechanism::CramMd5)),
            (None, "login plain", Some(Mechanism::Plain)),
            (None, "LOGIN", Some(Mechanism::Login)),
            (None, "XOAUTH2 SCRAM-SHA-256", None),
            (None, "", None),
            (named("plain").ok(), "LOGIN PLAIN CRAM-MD5", Some(Mechanism::Plain)),
            (named("xoauth2").ok(), "PLAIN XOAUTH2", Some(Mechanism::XOAuth2)),
            (named("cram-md5").ok(), "PLAIN", None),
        ] {
            assert_eq!(login(given).chosen(offer(offered)), chosen, "{given:?} {offered}");
        }
        assert_eq!(named("digest-md5"), Err(NotAMechanism));
    }

    /// SEED-026: a secret is shown by nobody.
    #[test]
    fn what_a_server_repeats_is_withheld() {
        let login = login(None);
        assert_eq!(login.withheld("no s3cret here"), "no [withheld] here");
        assert_eq!(
            login.withheld(&format!("{} {}", sasl::encode("s3cret"), sasl::encode("\0u\0s3cret"))),
            "[withheld] [withheld]"
        );
        assert_eq!(login.withheld("bad credentials"), "bad credentials");
        assert!(!format!("{login:?}").contains("s3cret"));
    }
}
