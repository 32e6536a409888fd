//! Where the queue is, and who we are there.

use std::path::PathBuf;

use hikyaku_queue::{
    NatsConfig,
    connect::{Login, NatsTls},
};
use secrecy::SecretString;
use serde::Deserialize;

use super::{Problems, pair};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLogin {
    user: String,
    password_file: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawNatsTls {
    ca: PathBuf,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

#[derive(Debug, Default)]
pub(super) struct RawBroker {
    pub(super) url: Option<String>,
    pub(super) program: Option<PathBuf>,
    pub(super) login: Option<RawLogin>,
    pub(super) system_login: Option<RawLogin>,
    pub(super) tls: Option<RawNatsTls>,
}

#[derive(Debug)]
pub(crate) enum Broker {
    /// A child of this process; the program, when it was named.
    Embedded(Option<PathBuf>),
    Given(NatsConfig),
}

pub(super) fn check(raw: RawBroker, problems: &mut Problems) -> Broker {
    let tls = raw.tls.map(|raw| read_tls(raw, problems));
    let Some(url) = raw.url.filter(|url| url != "embedded") else {
        if let Some(tls) = tls {
            problems.note("nats_tls", tls.ca, "the embedded server is asked over loopback, without TLS");
        }
        return Broker::Embedded(raw.program);
    };
    let login = raw.login.and_then(|raw| read_login("nats_login", raw, problems));
    let system_login = raw.system_login.and_then(|raw| read_login("nats_system_login", raw, problems));
    Broker::Given(NatsConfig { url, login, system_login, tls, client_name: "hikyaku".to_owned() })
}

fn read_tls(raw: RawNatsTls, problems: &mut Problems) -> NatsTls {
    let identity = pair("nats_tls", raw.certificate.as_ref(), raw.key.as_ref(), problems);
    NatsTls { ca: raw.ca, identity }
}

fn read_login(key: &str, raw: RawLogin, problems: &mut Problems) -> Option<Login> {
    match std::fs::read_to_string(&raw.password_file) {
        Ok(password) => {
            Some(Login { user: raw.user, password: SecretString::from(password.trim_end().to_owned()) })
        }
        Err(error) => {
            problems.note(&format!("{key}.password_file"), &raw.password_file, error);
            None
        }
    }
}
