//! A certificate -> the names in it. Whether it is to be trusted was decided by the handshake.

use std::{fmt, str::FromStr};

use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer as _};

/// A name that a line of the callers file may give a role to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum CertificateName {
    /// A URI of the subject's alternative names (RFC 5280 4.2.1.6).
    Uri(String),
    /// A DNS name of them, in lower case.
    Dns(String),
    /// The common name of the subject.
    Common(String),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not uri:, dns: or cn: and a name")]
pub(crate) struct NoName;

impl FromStr for CertificateName {
    type Err = NoName;

    fn from_str(text: &str) -> Result<Self, NoName> {
        let (kind, name) = text.split_once(':').filter(|(_, name)| !name.is_empty()).ok_or(NoName)?;
        match kind {
            "uri" => Ok(Self::Uri(name.to_owned())),
            "dns" => Ok(Self::Dns(name.to_ascii_lowercase())),
            "cn" => Ok(Self::Common(name.to_owned())),
            _ => Err(NoName),
        }
    }
}

impl fmt::Display for CertificateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, name) = match self {
            Self::Uri(name) => ("uri", name),
            Self::Dns(name) => ("dns", name),
            Self::Common(name) => ("cn", name),
        };
        write!(f, "{kind}:{}", name.escape_debug())
    }
}

/// All names, in the order in which they are looked for: those that say most come first.
pub(crate) fn names(der: &[u8]) -> Vec<CertificateName> {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else { return Vec::new() };
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let alternative =
        alternative.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
    let uri = |name: &GeneralName<'_>| {
        if let GeneralName::URI(uri) = name { Some(CertificateName::Uri((*uri).to_owned())) } else { None }
    };
    let dns = |name: &GeneralName<'_>| {
        if let GeneralName::DNSName(dns) = name {
            Some(CertificateName::Dns(dns.to_ascii_lowercase()))
        } else {
            None
        }
    };
    let (uris, dns) = (alternative.iter().filter_map(uri), alternative.iter().filter_map(dns));
    let common = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok());
    uris.chain(dns).chain(common.map(|name| CertificateName::Common(name.to_owned()))).collect()
}

#[cfg(test)]
mod tests {
    use hikyaku_testkit::certificates::{Authority, Names};

    use super::*;

    #[test]
    fn uris_come_before_dns_names_before_the_common_name() {
        let names_of = Names {
            common: "Ann",
            dns: &["Ingress.Mail.test", "127.0.0.1"],
            uris: &["spiffe://mail.test/ingress"],
        };
        let pair = Authority::new("ca").unwrap().issue(&names_of).unwrap();
        let shown: Vec<String> = names(&pair.der).iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["uri:spiffe://mail.test/ingress", "dns:ingress.mail.test", "cn:Ann"]);
        assert_eq!(names(b"no certificate"), []);
    }

    #[test]
    fn names_of_lines() {
        for text in ["uri:spiffe://a/b", "dns:a.test", "cn:ann"] {
            assert_eq!(text.parse::<CertificateName>().unwrap().to_string(), text);
        }
        for bad in ["", "dns", "dns:", "ip:192.0.2.1", "a.test"] {
            assert!(bad.parse::<CertificateName>().is_err(), "{bad:?}");
        }
    }
}
