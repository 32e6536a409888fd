//! Who may call which service of this process, and what it shows to others.

use std::{net::SocketAddr, path::PathBuf};

use hikyaku_grpc::{ClientConfig, ClientTls, GuardConfig, ServerTls, tls::Identity};
use serde::Deserialize;

use super::{Problems, pair};
use crate::cli::Role;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawGrpc {
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    client_ca: Option<PathBuf>,
    ca: Option<PathBuf>,
    server_name: Option<String>,
    callers: Option<PathBuf>,
    token_file: Option<PathBuf>,
    plaintext: bool,
}

/// What the rules are about beside `[grpc]` itself.
pub(super) struct Surroundings<'a> {
    pub(super) role: Role,
    pub(super) policy: Option<&'a str>,
    pub(super) policy_listen: SocketAddr,
    pub(super) admin_listen: SocketAddr,
}

#[derive(Debug, Clone)]
pub(crate) struct GrpcConfig {
    /// For our listeners.
    pub(crate) guard: GuardConfig,
    /// Towards the policy service.
    pub(crate) client: ClientConfig,
    /// Of the policy service; several are separated by commas.
    pub(crate) policy_endpoint: String,
}

impl GrpcConfig {
    /// With the token that `up` keeps for its operator, unless a file says who may call.
    pub(crate) fn with_operator_token(mut self, file: PathBuf) -> Self {
        self.guard.operator_token = Some(file);
        self
    }

    /// Towards a policy service in this process.
    pub(crate) fn to_ourselves(&self, address: SocketAddr) -> Self {
        let is_tls = self.guard.tls.is_some();
        let mut ours = self.clone();
        ours.policy_endpoint = format!("{}://{address}", if is_tls { "https" } else { "http" });
        if is_tls || !address.ip().to_canonical().is_loopback() {
            ours.client.token_file = ours.client.token_file.or_else(|| self.guard.operator_token.clone());
        }
        ours
    }
}

pub(super) fn check(raw: RawGrpc, around: &Surroundings<'_>, problems: &mut Problems) -> GrpcConfig {
    let identity = pair("grpc", raw.certificate.as_ref(), raw.key.as_ref(), problems)
        .map(|(certificate, key)| Identity { certificate, key });
    if let (None, Some(file)) = (&raw.certificate, &raw.client_ca) {
        problems.note("grpc.client_ca", file, "clients are not asked without grpc.certificate and grpc.key");
    }
    check_listeners(&raw, around, problems);
    let scheme = if raw.ca.is_some() { "https" } else { "http" };
    let own = format!("{scheme}://{}", around.policy_listen);
    let policy_endpoint = around.policy.map_or(own, str::to_owned);
    if asks_elsewhere(around.role) {
        for endpoint in policy_endpoint.split(',').map(str::trim) {
            match (&raw.ca, endpoint.starts_with("https://")) {
                (Some(_), false) => problems.note("policy", endpoint, "not https, but grpc.ca is given"),
                (None, true) => problems.note("policy", endpoint, "https needs grpc.ca"),
                (Some(_), true) | (None, false) => {}
            }
        }
    }
    if around.role == Role::Up && raw.certificate.is_some() && raw.ca.is_none() {
        problems.0.push("grpc.ca: missing: this process asks its own policy service over TLS".to_owned());
    }
    let client = ClientConfig {
        tls: raw.ca.map(|ca| ClientTls { ca, identity: identity.clone(), server_name: raw.server_name }),
        token_file: raw.token_file,
        plaintext: raw.plaintext,
    };
    let tls = identity.map(|identity| ServerTls { identity, client_ca: raw.client_ca });
    let guard = GuardConfig { tls, callers: raw.callers, operator_token: None };
    GrpcConfig { guard, client, policy_endpoint }
}

/// What others can reach must know who calls.
fn check_listeners(raw: &RawGrpc, around: &Surroundings<'_>, problems: &mut Problems) {
    let is_mutual = raw.certificate.is_some() && raw.client_ca.is_some();
    for (key, address) in listeners(around) {
        if address.ip().to_canonical().is_loopback() {
            continue;
        }
        if !is_mutual && !raw.plaintext {
            let reason = "other machines reach it: give grpc.certificate, grpc.key and grpc.client_ca, or set \
                          grpc.plaintext when the network itself knows who connects (a service mesh)";
            problems.note(key, address, reason);
        }
        if raw.callers.is_none() && around.role != Role::Up {
            problems.note(
                key,
                address,
                "other machines reach it, and grpc.callers does not say who may call",
            );
        }
    }
}

fn listeners(around: &Surroundings<'_>) -> Vec<(&'static str, SocketAddr)> {
    let policy = ("policy_listen", around.policy_listen);
    let admin = ("admin_listen", around.admin_listen);
    match around.role {
        Role::Up => vec![policy, admin],
        Role::Policy => vec![policy],
        Role::Delivery => vec![admin],
        Role::Ingress => Vec::new(),
    }
}

const fn asks_elsewhere(role: Role) -> bool {
    match role {
        Role::Ingress | Role::Delivery => true,
        Role::Up | Role::Policy => false,
    }
}
