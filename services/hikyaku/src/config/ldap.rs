//! A company's directories, by name.

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf, time::Duration};

use hikyaku_policy::{LdapBind, LdapConfig};
use serde::Deserialize;

use super::Problems;

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
/// Active Directory has the other addresses of a mailbox in `proxyAddresses`; other servers do not know
/// that attribute and find nothing by it.
const RECIPIENT_FILTER: &str = "(|(mail={address})(proxyAddresses=smtp:{address}))";
const LOGIN_FILTER: &str = "(mail={address})";
/// One of these makes a filter ask about somebody.
const PLACES: [&str; 2] = ["{address}", "{local}"];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLdap {
    url: String,
    #[serde(default)]
    starttls: bool,
    #[serde(default)]
    plaintext: bool,
    ca: Option<PathBuf>,
    bind_dn: Option<String>,
    bind_password_file: Option<PathBuf>,
    base: String,
    recipient_filter: Option<String>,
    login_filter: Option<String>,
    timeout_seconds: Option<u64>,
}

pub(super) fn check(raw: BTreeMap<String, RawLdap>, problems: &mut Problems) -> Vec<LdapConfig> {
    raw.into_iter().map(|(name, raw)| server(name, raw, problems)).collect()
}

fn server(name: String, raw: RawLdap, problems: &mut Problems) -> LdapConfig {
    let key = |field: &str| format!("ldap.{name}.{field}");
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || !name.chars().all(is_name) {
        problems.note("ldap", &name, "a name has letters, digits, -, _ and .");
    }
    check_url(&raw, &key("url"), problems);
    let bind = match (raw.bind_dn, raw.bind_password_file) {
        (Some(dn), Some(password_file)) => Some(LdapBind { dn, password_file }),
        (None, None) => None,
        (Some(dn), None) => {
            problems.note(&key("bind_dn"), dn, "bind_password_file is missing");
            None
        }
        (None, Some(file)) => {
            problems.note(&key("bind_password_file"), file, "bind_dn is missing");
            None
        }
    };
    let mut filter = |field: &str, given: Option<String>, default: &str| {
        let filter = given.unwrap_or_else(|| default.to_owned());
        let is_bracketed = filter.starts_with('(') && filter.ends_with(')');
        if !is_bracketed || !PLACES.iter().any(|place| filter.contains(place)) {
            problems.note(&key(field), &filter, "want a filter in brackets with {address} or {local}");
        }
        filter
    };
    let recipient_filter = filter("recipient_filter", raw.recipient_filter, RECIPIENT_FILTER);
    let login_filter = filter("login_filter", raw.login_filter, LOGIN_FILTER);
    let timeout = problems.seconds(&key("timeout_seconds"), raw.timeout_seconds, DEFAULT_TIMEOUT, (1, 30));
    let RawLdap { url, starttls, ca, base, .. } = raw;
    LdapConfig { url, starttls, ca, bind, base, recipient_filter, login_filter, timeout, name }
}

fn check_url(raw: &RawLdap, key: &str, problems: &mut Problems) {
    let Some((is_tls, host)) = parts(&raw.url) else {
        return problems.note(key, &raw.url, "want ldaps://host[:port] or ldap://host[:port]");
    };
    let name =
        host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(host, |(name, _)| name);
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let is_here = name == "localhost" || address.is_ok_and(|address| address.is_loopback());
    if !is_tls && !raw.starttls && !is_here && !raw.plaintext {
        problems.note(
            key,
            &raw.url,
            "passwords would travel in the clear: use ldaps://, or starttls, or set plaintext when the network \
             itself is safe (a service mesh)",
        );
    }
}

/// Whether it is TLS from the first octet, and the host with its port.
fn parts(url: &str) -> Option<(bool, &str)> {
    let (is_tls, authority) = match url.strip_prefix("ldaps://") {
        Some(authority) => (true, authority),
        None => (false, url.strip_prefix("ldap://")?),
    };
    let host = authority.trim_end_matches('/');
    let is_host = !host.is_empty() && !host.contains(['/', '?', '@']);
    is_host.then_some((is_tls, host))
}
