//! TLS with next hops, and who we are there.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
};

use hikyaku_delivery::config::LoginConfig;
use hikyaku_runtime::tls::TlsClientConfig;
use hikyaku_types::traffic::LoginName;
use serde::Deserialize;

use crate::config::{Problems, listeners};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawNextHopTls {
    ca: Option<PathBuf>,
    min_version: Option<String>,
    handshake_timeout_seconds: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawNextHopLogin {
    user: String,
    password_file: PathBuf,
    mechanism: Option<String>,
}

pub(super) fn tls(raw: RawNextHopTls, default: &TlsClientConfig, problems: &mut Problems) -> TlsClientConfig {
    let handshake_timeout = problems.seconds(
        "delivery.tls.handshake_timeout_seconds",
        raw.handshake_timeout_seconds,
        default.handshake_timeout,
        (1, 300),
    );
    let min_version =
        listeners::tls_version("delivery.tls.min_version", raw.min_version.as_deref(), problems);
    TlsClientConfig { ca: raw.ca, min_version, handshake_timeout }
}

pub(super) fn logins(
    raw: BTreeMap<String, RawNextHopLogin>,
    problems: &mut Problems,
) -> HashMap<LoginName, LoginConfig> {
    let mut logins = HashMap::new();
    for (name, raw) in raw {
        let key = |field: &str| format!("delivery.logins.{name}.{field}");
        if raw.user.is_empty() || raw.user.contains(char::is_control) {
            problems.note(&key("user"), &raw.user, "want a name without control characters");
        }
        let mechanism = raw.mechanism.as_deref().and_then(|text| problems.parse(&key("mechanism"), text));
        if let Some(name) = problems.parse::<LoginName>("delivery.logins", &name) {
            let RawNextHopLogin { user, password_file, .. } = raw;
            logins.insert(name, LoginConfig { user, password_file, mechanism });
        }
    }
    logins
}
