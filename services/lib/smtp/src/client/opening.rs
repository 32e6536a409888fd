//! What a session still needs before it takes mail, once the server has said what it offers.

use hikyaku_types::{outcome::Phase, reply::EnhancedCode};

use super::{
    delivery::{FailureKind, SessionFailure},
    limits::{ClientConfig, StartTls},
    login::Mechanism,
    state::Signal,
};
use crate::wire::{ehlo::Capabilities, reply::RawReply};

/// RFC 3463: security features not supported.
const NOT_SUPPORTED: EnhancedCode = EnhancedCode(4, 7, 4);

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    StartTls,
    Authenticate(Mechanism),
    /// Nothing.
    Complete,
    /// What cannot be had here.
    Unmet(SessionFailure),
}

impl Opening {
    pub(crate) const fn signal(&self) -> Signal {
        match self {
            Self::StartTls => Signal::WantsTls,
            Self::Authenticate(_) => Signal::WantsLogin,
            Self::Complete => Signal::Complete,
            Self::Unmet(_) => Signal::Unmet,
        }
    }
}

/// `refusal` is what the server said to STARTTLS instead of 220.
pub(crate) fn next(
    config: &ClientConfig,
    is_secure: bool,
    refusal: Option<&RawReply>,
    offer: Capabilities,
) -> Opening {
    if !is_secure {
        match (config.starttls, refusal) {
            (StartTls::IfOffered | StartTls::Required, None) if offer.starttls => return Opening::StartTls,
            (StartTls::Required, Some(reply)) => {
                let kind = FailureKind::Remote(reply.clone());
                return Opening::Unmet(SessionFailure { phase: Phase::Tls, kind });
            }
            (StartTls::Required, None) => return unmet(Phase::Tls, "STARTTLS is not offered".to_owned()),
            (StartTls::Never | StartTls::IfOffered, _) => {}
        }
    }
    let Some(login) = &config.login else { return Opening::Complete };
    if !is_secure {
        return unmet(Phase::Auth, "the login is not sent in the clear".to_owned());
    }
    match (login.chosen(offer.auth), login.mechanism) {
        (Some(mechanism), _) => Opening::Authenticate(mechanism),
        (None, Some(named)) => unmet(Phase::Auth, format!("AUTH {named} is not offered")),
        (None, None) => unmet(Phase::Auth, "no mechanism of AUTH that we know is offered".to_owned()),
    }
}

fn unmet(phase: Phase, what: String) -> Opening {
    Opening::Unmet(SessionFailure { phase, kind: FailureKind::Unmet { status: NOT_SUPPORTED, what } })
}
