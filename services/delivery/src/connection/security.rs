//! What a session must be before it takes mail. A session remembers under which it was opened, and
//! carries nothing that wants another (SEED-157).

use hikyaku_runtime::tls::{DaneTrust, Secured, Trust};
use hikyaku_smtp::client::StartTls;
use hikyaku_types::traffic::{DestinationTraffic, LoginName, TlsLevel};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Security {
    pub(crate) tls: TlsPolicy,
    /// Shown over verified TLS only (SEED-026).
    pub(crate) login: Option<LoginName>,
}

/// What of TLS the hosts must offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TlsPolicy {
    Off,
    /// RFC 7435.
    Opportunistic,
    Required,
    Verified,
    /// Verified, because the domain says so (RFC 8461).
    Sts,
    /// A certificate that the DNS has named (RFC 7672).
    Dane(DaneTrust),
}

/// What a session is, for logs.
#[derive(Debug, Clone)]
pub(crate) struct Channel {
    pub(crate) policy: TlsPolicy,
    /// `None`: in the clear.
    pub(crate) secured: Option<Secured>,
}

impl Security {
    /// What the rules say. A login wants verified TLS, whichever line says otherwise.
    pub(crate) fn of(traffic: DestinationTraffic) -> Self {
        let tls = match (&traffic.login, traffic.tls) {
            (Some(_), _) | (None, Some(TlsLevel::Verified)) => TlsPolicy::Verified,
            (None, Some(TlsLevel::Required)) => TlsPolicy::Required,
            (None, Some(TlsLevel::Opportunistic) | None) => TlsPolicy::Opportunistic,
            (None, Some(TlsLevel::Off)) => TlsPolicy::Off,
        };
        Self { tls, login: traffic.login }
    }
}

impl TlsPolicy {
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Opportunistic => "opportunistic",
            Self::Required => "required",
            Self::Verified => "verified",
            Self::Sts => "mta-sts",
            Self::Dane(_) => "dane",
        }
    }

    /// How good a certificate has to be; `None`: no TLS.
    pub(crate) fn trust(&self) -> Option<Trust> {
        match self {
            Self::Off => None,
            Self::Opportunistic | Self::Required => Some(Trust::Any),
            Self::Verified | Self::Sts => Some(Trust::Verified),
            Self::Dane(trust) => Some(Trust::Dane(trust.clone())),
        }
    }

    pub(crate) const fn starttls(&self) -> StartTls {
        match self {
            Self::Off => StartTls::Never,
            Self::Opportunistic => StartTls::IfOffered,
            Self::Required | Self::Verified | Self::Sts | Self::Dane(_) => StartTls::Required,
        }
    }

    /// Mail may go in the clear when TLS cannot be had.
    pub(crate) const fn bears_clear(&self) -> bool {
        match self {
            Self::Off | Self::Opportunistic => true,
            Self::Required | Self::Verified | Self::Sts | Self::Dane(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// SEED-026, SEED-157.
    #[test]
    fn what_the_rules_ask_for() {
        let policy = |tls: Option<TlsLevel>, login: Option<&str>| {
            let login = login.map(|name| name.parse().unwrap());
            Security::of(DestinationTraffic { tls, login, ..DestinationTraffic::default() }).tls
        };
        assert_eq!(policy(None, None), TlsPolicy::Opportunistic);
        for level in TlsLevel::ALL {
            assert_eq!(policy(Some(level), None).name(), level.name());
            assert_eq!(
                policy(Some(level), Some("smart")),
                TlsPolicy::Verified,
                "the login is on another line"
            );
        }
    }

    /// Who bears no clear text asks for TLS, and a certificate is looked at where it must be.
    #[test]
    fn each_policy_is_of_a_piece() {
        let dane = TlsPolicy::Dane(DaneTrust { records: Arc::new([]), domain: None });
        for policy in [
            TlsPolicy::Off,
            TlsPolicy::Opportunistic,
            TlsPolicy::Required,
            TlsPolicy::Verified,
            TlsPolicy::Sts,
            dane,
        ] {
            assert_eq!(policy.bears_clear(), policy.starttls() != StartTls::Required);
            assert_eq!(policy.trust().is_none(), policy.starttls() == StartTls::Never);
        }
        assert_eq!(TlsPolicy::Verified.trust(), Some(Trust::Verified));
    }
}
