//! One exchange: the client's responses and the driver's answers to what comes next.

use hikyaku_types::{address::Mailbox, domain::Domain};

use super::{
    login,
    mechanism::Mechanism,
    question::AuthStep,
    scram::{self, Binding, ClientFinal, ClientFirst, Exporter, Wrong},
};
use crate::wire::sasl;

/// What an exchange needs to know of the session.
#[derive(Debug)]
pub(crate) struct Setting<'a> {
    pub(crate) hostname: &'a str,
    /// Completes a bare login (SEED-048).
    pub(crate) default_domain: Option<&'a Domain>,
    /// What the connection can be bound by.
    pub(crate) exporter: Option<Exporter>,
    /// Octets that nobody has seen before.
    pub(crate) nonce: fn() -> [u8; 18],
}

/// What comes next.
#[derive(Debug)]
pub(crate) enum Step {
    /// 334 with this text, which is base64 or empty.
    Challenge(String),
    Ask(AuthStep),
    /// The client has seen our proof: it is who it says.
    Done(Mailbox),
    /// The response is not one of this mechanism.
    Malformed,
    /// It is, and cannot be right: nobody needs to be asked.
    Refused,
}

#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) mechanism: Mechanism,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// Nothing was said yet.
    New,
    /// LOGIN: the password is to come. No login: whatever it is, it will not do.
    Password(Option<Mailbox>),
    CramMd5(String),
    ScramFirst(Box<ClientFirst>, Mailbox),
    ScramChallenged(Box<scram::Challenged>, Mailbox),
    /// Our proof was sent; the client has to acknowledge it.
    Proven(Mailbox),
    Asked,
}

/// base64 of `Username:` and `Password:`, which some clients compare.
const USERNAME: &str = "VXNlcm5hbWU6";
const PASSWORD: &str = "UGFzc3dvcmQ6";

impl Exchange {
    pub(crate) fn new(mechanism: Mechanism) -> Self {
        Self { mechanism, phase: Phase::New }
    }

    /// `AUTH` without an initial response.
    pub(crate) fn begin(&mut self, setting: &Setting<'_>) -> Step {
        Step::Challenge(match self.mechanism {
            Mechanism::Plain | Mechanism::ScramSha256 | Mechanism::ScramSha256Plus => String::new(),
            Mechanism::Login => USERNAME.to_owned(),
            Mechanism::CramMd5 => {
                // RFC 2195 2: in the form of a message id.
                let challenge = format!("<{}@{}>", hex((setting.nonce)()), setting.hostname);
                let encoded = sasl::encode(&challenge);
                self.phase = Phase::CramMd5(challenge);
                encoded
            }
        })
    }

    pub(crate) fn respond(&mut self, response: &[u8], setting: &Setting<'_>) -> Step {
        let Ok(text) = str::from_utf8(response) else { return Step::Malformed };
        match (std::mem::replace(&mut self.phase, Phase::Asked), self.mechanism) {
            (Phase::New, Mechanism::Plain) => plain(text, setting),
            (Phase::New, Mechanism::Login) => {
                self.phase = Phase::Password(login::complete(text, setting.default_domain));
                Step::Challenge(PASSWORD.to_owned())
            }
            (Phase::New, Mechanism::ScramSha256 | Mechanism::ScramSha256Plus) => {
                self.scram_first(text, setting)
            }
            (Phase::Password(login), _) => password(login, text),
            (Phase::CramMd5(challenge), _) => cram_md5(text, challenge, setting),
            (Phase::ScramChallenged(challenged, login), _) => match challenged.read(text) {
                Ok(ClientFinal { auth_message, proof: client_proof }) => {
                    Step::Ask(AuthStep::ScramFinish { login, auth_message, client_proof })
                }
                Err(Wrong::Syntax) => Step::Malformed,
                Err(Wrong::Mismatch) => Step::Refused,
            },
            // RFC 4954 4: the acknowledgement is an empty response.
            (Phase::Proven(identity), _) if text.is_empty() => Step::Done(identity),
            (Phase::Proven(_), _)
            | (Phase::New, Mechanism::CramMd5)
            | (Phase::ScramFirst(..) | Phase::Asked, _) => Step::Malformed,
        }
    }

    fn scram_first(&mut self, text: &str, setting: &Setting<'_>) -> Step {
        let binding = match (self.mechanism == Mechanism::ScramSha256Plus, setting.exporter) {
            (true, Some(exporter)) => Binding::Bound(exporter),
            (false, Some(_)) => Binding::Unused,
            (_, None) => Binding::NotOffered,
        };
        let first = match ClientFirst::parse(text, binding) {
            Ok(first) => first,
            Err(Wrong::Syntax) => return Step::Malformed,
            Err(Wrong::Mismatch) => return Step::Refused,
        };
        let login = login::complete(&first.user, setting.default_domain);
        let authorization = first.authorization.as_deref();
        let Some(login) = login.filter(|login| acts_for_itself(login, authorization, setting)) else {
            return Step::Refused;
        };
        self.phase = Phase::ScramFirst(Box::new(first), login.clone());
        Step::Ask(AuthStep::ScramStart { login })
    }

    /// The answer to [`AuthStep::ScramStart`]; `None` when that was not asked.
    pub(crate) fn challenge(&mut self, salt: &[u8], iterations: u32, nonce: [u8; 18]) -> Option<String> {
        match std::mem::replace(&mut self.phase, Phase::Asked) {
            Phase::ScramFirst(first, login) => {
                let (message, challenged) = first.challenge(&sasl::encode(nonce), salt, iterations);
                self.phase = Phase::ScramChallenged(Box::new(challenged), login);
                Some(sasl::encode(message))
            }
            Phase::New
            | Phase::Password(_)
            | Phase::CramMd5(_)
            | Phase::ScramChallenged(..)
            | Phase::Proven(_)
            | Phase::Asked => None,
        }
    }

    /// Our proof, after the client's was accepted.
    pub(crate) fn prove(&mut self, identity: Mailbox, signature: &[u8]) -> String {
        self.phase = Phase::Proven(identity);
        sasl::encode(scram::server_final(signature))
    }
}

/// RFC 4616 2: `[authzid] NUL authcid NUL passwd`.
fn plain(text: &str, setting: &Setting<'_>) -> Step {
    let fields: Vec<&str> = text.split('\0').collect();
    let [authorization, login, secret] = fields[..] else { return Step::Malformed };
    if login.is_empty() {
        return Step::Malformed;
    }
    let authorization = Some(authorization).filter(|given| !given.is_empty());
    let login = login::complete(login, setting.default_domain);
    password(login.filter(|login| acts_for_itself(login, authorization, setting)), secret)
}

fn password(login: Option<Mailbox>, secret: &str) -> Step {
    match (login, login::password(secret)) {
        (Some(login), Some(password)) => Step::Ask(AuthStep::Password { login, password }),
        (None, _) | (_, None) => Step::Refused,
    }
}

/// Nobody may act for somebody else (RFC 4422 2).
fn acts_for_itself(login: &Mailbox, authorization: Option<&str>, setting: &Setting<'_>) -> bool {
    authorization.is_none_or(|other| login::complete(other, setting.default_domain).as_ref() == Some(login))
}

/// RFC 2195 2: `login SP digest`, the digest as 32 hexadecimal digits.
fn cram_md5(text: &str, challenge: String, setting: &Setting<'_>) -> Step {
    let parts = text.rsplit_once(' ').and_then(|(login, digits)| Some((login, digest(digits)?)));
    let Some((login, digest)) = parts else { return Step::Malformed };
    match login::complete(login, setting.default_domain) {
        Some(login) => Step::Ask(AuthStep::CramMd5 { login, challenge, digest }),
        None => Step::Refused,
    }
}

fn digest(digits: &str) -> Option<[u8; 16]> {
    let is_hex = digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let number = u128::from_str_radix(digits, 16).ok().filter(|_| is_hex)?;
    Some(number.to_be_bytes())
}

fn hex(octets: [u8; 18]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests;
