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
    /// The same, bound to the connection by `tls-exporter` (RFC 9266).
    ScramSha256Plus,
}

const ALL: [Mechanism; 5] = [
    Mechanism::Plain,
    Mechanism::Login,
    Mechanism::CramMd5,
    Mechanism::ScramSha256,
    Mechanism::ScramSha256Plus,
];

/// What of a connection decides which are offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Means {
    pub(crate) is_secure: bool,
    /// An exchange can be bound to it.
    pub(crate) is_bound: bool,
}

impl Mechanism {
    /// As it stands in `AUTH`.
    pub const fn keyword(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::CramMd5 => "CRAM-MD5",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
        }
    }

    /// As it stands in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Login => "login",
            Self::CramMd5 => "cram-md5",
            Self::ScramSha256 => "scram-sha-256",
            Self::ScramSha256Plus => "scram-sha-256-plus",
        }
    }

    /// The password itself is sent, so the connection has to be encrypted (RFC 4954 4).
    pub(crate) const fn sends_password(self) -> bool {
        match self {
            Self::Plain | Self::Login => true,
            Self::CramMd5 | Self::ScramSha256 | Self::ScramSha256Plus => false,
        }
    }

    /// The server proves itself too, before the client is done (RFC 5802 5).
    pub(crate) const fn proves_server(self) -> bool {
        match self {
            Self::ScramSha256 | Self::ScramSha256Plus => true,
            Self::Plain | Self::Login | Self::CramMd5 => false,
        }
    }

    /// The server speaks first, so there is no initial response (RFC 4954 4).
    pub(crate) const fn begins_with_challenge(self) -> bool {
        match self {
            Self::CramMd5 => true,
            Self::Plain | Self::Login | Self::ScramSha256 | Self::ScramSha256Plus => false,
        }
    }
}

/// The mechanism of this name, in capitals, wherever it may be used.
pub(crate) fn find(config: &AuthConfig, means: Means, keyword: &str) -> Option<Mechanism> {
    supported(config, means).find(|mechanism| mechanism.keyword() == keyword)
}

/// The arguments of the keyword in the reply to EHLO; empty when there are none.
pub(crate) fn offered(config: &AuthConfig, means: Means) -> String {
    let usable = supported(config, means).filter(|mechanism| means.is_secure || !mechanism.sends_password());
    usable.map(Mechanism::keyword).collect::<Vec<_>>().join(" ")
}

fn supported(config: &AuthConfig, means: Means) -> impl Iterator<Item = Mechanism> {
    let AuthConfig { offered, cram_md5, scram } = *config;
    ALL.into_iter().filter(move |mechanism| {
        let is_on = match mechanism {
            Mechanism::Plain | Mechanism::Login => true,
            Mechanism::CramMd5 => cram_md5,
            Mechanism::ScramSha256 => scram,
            Mechanism::ScramSha256Plus => scram && means.is_bound,
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
            let means = Means { is_secure, is_bound: false };
            super::offered(&AuthConfig { offered, cram_md5, scram: true }, means)
        };
        assert_eq!(offer(true, false, false), "SCRAM-SHA-256");
        assert_eq!(offer(true, true, false), "CRAM-MD5 SCRAM-SHA-256");
        assert_eq!(offer(true, false, true), "PLAIN LOGIN SCRAM-SHA-256");
        assert_eq!(offer(true, true, true), "PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256");
        assert_eq!(offer(false, true, true), "");
        let without = AuthConfig { offered: true, cram_md5: false, scram: false };
        let clear = Means { is_secure: false, is_bound: false };
        let bound = Means { is_secure: true, is_bound: true };
        assert_eq!(super::offered(&without, clear), "");
        assert_eq!(super::offered(&without, bound), "PLAIN LOGIN");
        let with = AuthConfig { scram: true, ..without };
        assert_eq!(super::offered(&with, bound), "PLAIN LOGIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS");
    }
}
