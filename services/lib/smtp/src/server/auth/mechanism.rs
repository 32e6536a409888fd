//! The mechanisms, and where each is offered (SEED-113).

use crate::server::limits::AuthConfig;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// RFC 4616.
    Plain,
    /// Obsolete and used all the same.
    Login,
    /// RFC 2195. What verifies it is as good as the password, so it is off unless switched on.
    CramMd5,
    /// RFC 5802, RFC 7677.
    ScramSha256,
}

const ALL: [Mechanism; 4] = [Mechanism::Plain, Mechanism::Login, Mechanism::CramMd5, Mechanism::ScramSha256];

impl Mechanism {
    /// As it stands in `AUTH`.
    pub const fn keyword(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::CramMd5 => "CRAM-MD5",
            Self::ScramSha256 => "SCRAM-SHA-256",
        }
    }

    /// As it stands in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Login => "login",
            Self::CramMd5 => "cram-md5",
            Self::ScramSha256 => "scram-sha-256",
        }
    }

    /// The password itself is sent, so the connection has to be encrypted (RFC 4954 4).
    pub(crate) const fn sends_password(self) -> bool {
        match self {
            Self::Plain | Self::Login => true,
            Self::CramMd5 | Self::ScramSha256 => false,
        }
    }

    /// The server proves itself too, before the client is done (RFC 5802 5).
    pub(crate) const fn proves_server(self) -> bool {
        match self {
            Self::ScramSha256 => true,
            Self::Plain | Self::Login | Self::CramMd5 => false,
        }
    }

    /// The server speaks first, so there is no initial response (RFC 4954 4).
    pub(crate) const fn begins_with_challenge(self) -> bool {
        match self {
            Self::CramMd5 => true,
            Self::Plain | Self::Login | Self::ScramSha256 => false,
        }
    }
}

/// The mechanism of this name, in capitals, wherever it may be used.
pub(crate) fn find(config: &AuthConfig, keyword: &str) -> Option<Mechanism> {
    supported(config).find(|mechanism| mechanism.keyword() == keyword)
}

/// The arguments of the keyword in the reply to EHLO; empty when there are none.
pub(crate) fn offered(config: &AuthConfig, is_secure: bool) -> String {
    let usable = supported(config).filter(|mechanism| is_secure || !mechanism.sends_password());
    usable.map(Mechanism::keyword).collect::<Vec<_>>().join(" ")
}

fn supported(config: &AuthConfig) -> impl Iterator<Item = Mechanism> {
    let AuthConfig { offered, cram_md5, scram } = *config;
    ALL.into_iter().filter(move |mechanism| {
        let is_on = match mechanism {
            Mechanism::Plain | Mechanism::Login => true,
            Mechanism::CramMd5 => cram_md5,
            Mechanism::ScramSha256 => scram,
        };
        offered && is_on
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SEED-113.
    #[test]
    fn what_is_offered() {
        let offer = |offered, cram_md5, is_secure| {
            super::offered(&AuthConfig { offered, cram_md5, scram: true }, is_secure)
        };
        assert_eq!(offer(true, false, false), "SCRAM-SHA-256");
        assert_eq!(offer(true, true, false), "CRAM-MD5 SCRAM-SHA-256");
        assert_eq!(offer(true, false, true), "PLAIN LOGIN SCRAM-SHA-256");
        assert_eq!(offer(true, true, true), "PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256");
        assert_eq!(offer(false, true, true), "");
        let without = AuthConfig { offered: true, cram_md5: false, scram: false };
        assert_eq!(
            (super::offered(&without, false).as_str(), super::offered(&without, true).as_str()),
            ("", "PLAIN LOGIN")
        );
    }
}
