//! Where mail comes in, and the certificates for it.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use hikyaku_ingress::service::{Service, TlsStart};
use hikyaku_runtime::tls::{KeyPair, TlsConfig, TlsVersion};
use hikyaku_types::domain::Domain;
use serde::Deserialize;

use super::Problems;

/// RFC 5321 4.5.3.2 knows no time for it; a handshake is a few round trips.
const HANDSHAKE_SECONDS: u64 = 30;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawTls {
    certificate: Option<OneOrMany>,
    key: Option<OneOrMany>,
    min_version: Option<String>,
    handshake_timeout_seconds: Option<u64>,
    client_certificates: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawAuth {
    pub(super) cram_md5: Option<bool>,
    pub(super) scram: Option<bool>,
    pub(super) on_relay: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(PathBuf),
    Many(Vec<PathBuf>),
}

impl OneOrMany {
    fn paths(self) -> Vec<PathBuf> {
        match self {
            Self::One(path) => vec![path],
            Self::Many(paths) => paths,
        }
    }
}

/// An address to listen on, and what for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The key that named it.
    pub(crate) key: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) service: Service,
}

pub(super) fn relay(texts: &[String], problems: &mut Problems) -> Vec<Place> {
    let addresses = match texts {
        [] => vec![SocketAddr::from(([127, 0, 0, 1], 2525))],
        given => problems.parse_all("smtp", given),
    };
    let place = |address| Place { key: "smtp", address, service: Service::RELAY };
    addresses.into_iter().map(place).collect()
}

/// `ADDRESS` or `ADDRESS=DOMAIN`, where the domain completes logins.
pub(super) fn submission(
    key: &'static str,
    tls: TlsStart,
    texts: &[String],
    has_certificates: bool,
    problems: &mut Problems,
) -> Vec<Place> {
    if !texts.is_empty() && !has_certificates {
        problems.note(key, texts, "needs tls.certificate and tls.key: passwords are not sent in the clear");
    }
    let mut places = Vec::new();
    for text in texts {
        let (address, domain) = text.split_once('=').unzip();
        let address = problems.parse(key, address.unwrap_or(text));
        let default_domain = domain.map(|domain| problems.parse(key, domain));
        if let (Some(address), None | Some(Some(_))) = (address, &default_domain) {
            places.push(Place { key, address, service: Service::submission(tls, default_domain.flatten()) });
        }
    }
    places
}

/// RFC 5321 4.5.3.1.5: the reply line, with its code.
const MAX_BANNER: usize = 500;

/// Each line stands in front of its listener, whatever that is for.
pub(super) fn greet(places: &mut [Place], banners: &BTreeMap<String, String>, problems: &mut Problems) {
    const KEY: &str = "ingress.banners";
    for (address, banner) in banners {
        let Some(listening) = problems.parse::<SocketAddr>(KEY, address) else { continue };
        let name = banner.split(' ').next().unwrap_or_default();
        if let Err(error) = name.parse::<Domain>() {
            // RFC 5321 4.2: 220 <domain> text.
            problems.note(KEY, banner, format!("must begin with the name of the server: {error}"));
        } else if banner.len() > MAX_BANNER || banner.bytes().any(|octet| !matches!(octet, b' '..=b'~')) {
            problems.note(KEY, banner, "must be one line of ASCII of 500 characters at most");
        } else if let Some(place) = places.iter_mut().find(|place| place.address == listening) {
            place.service.banner = Some(banner.clone());
        } else {
            problems.note(KEY, address, "is no address of smtp, submission or submissions");
        }
    }
}

pub(super) fn tls_version(key: &str, text: Option<&str>, problems: &mut Problems) -> TlsVersion {
    match text {
        None | Some("1.2") => TlsVersion::Tls12,
        Some("1.3") => TlsVersion::Tls13,
        Some(other) => {
            problems.note(key, other, "not 1.2 or 1.3");
            TlsVersion::Tls12
        }
    }
}

pub(super) fn tls(raw: RawTls, problems: &mut Problems) -> Option<TlsConfig> {
    let certificates = raw.certificate.map(OneOrMany::paths).unwrap_or_default();
    let keys = raw.key.map(OneOrMany::paths).unwrap_or_default();
    if certificates.len() != keys.len() {
        problems.note(
            "tls.key",
            &keys,
            format!("{} keys for {} certificates", keys.len(), certificates.len()),
        );
    }
    let min_version = tls_version("tls.min_version", raw.min_version.as_deref(), problems);
    let default = Duration::from_secs(HANDSHAKE_SECONDS);
    let handshake_timeout =
        problems.seconds("tls.handshake_timeout_seconds", raw.handshake_timeout_seconds, default, (1, 300));
    let client_certificates = raw.client_certificates.unwrap_or_default();
    let pairs: Vec<KeyPair> =
        certificates.into_iter().zip(keys).map(|(certificate, key)| KeyPair { certificate, key }).collect();
    (!pairs.is_empty()).then_some(TlsConfig { pairs, min_version, handshake_timeout, client_certificates })
}
