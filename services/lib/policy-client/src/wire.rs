//! Generated types to answers. What is missing, unknown or contradictory becomes
//! a deferral or [`PolicyUnavailable`], never an acceptance.

use std::{net::IpAddr, sync::Arc, time::Duration};

use hikyaku_proto::policy::v1 as proto;
use hikyaku_types::{
    address::Mailbox, destination::Destination, domain::Domain, origin::Listener, reply::Reply,
};
use secrecy::ExposeSecret as _;
use tracing::warn;

use crate::{
    answer::{AuthenticationAnswer, Decision, Proof, Verdict, unavailable_reply},
    error::PolicyUnavailable,
    hosts::HostMap,
    known::{KnownRecipient, KnownVerdict},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    Address,
    Domain,
}

/// How far an answer may be used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reach {
    pub(crate) scope: Scope,
    pub(crate) sender_bound: bool,
}

impl Reach {
    pub(crate) const DOMAIN: Self = Self { scope: Scope::Domain, sender_bound: false };
    pub(crate) const ADDRESS: Self = Self { scope: Scope::Address, sender_bound: false };
}

/// A decision with its right to be used again.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) decision: Decision,
    pub(crate) reach: Reach,
    pub(crate) valid_for: Duration,
}

/// What is remembered of a recipient: with `deliver_to` absent it fits every address of the domain.
#[derive(Debug, Clone)]
pub(crate) struct AcceptedRecipient {
    pub(crate) deliver_to: Option<Mailbox>,
    pub(crate) destination: Destination,
}

pub(crate) fn answer(decision: Option<proto::Decision>) -> Answer {
    let decision = decision.unwrap_or_default();
    let scope = match proto::Scope::try_from(decision.scope) {
        Ok(proto::Scope::Domain) => Scope::Domain,
        Ok(proto::Scope::Address | proto::Scope::Unspecified) | Err(_) => Scope::Address,
    };
    let verdict = match proto::Verdict::try_from(decision.verdict) {
        Ok(proto::Verdict::Accept) => Some(Verdict::Accept),
        Ok(proto::Verdict::Defer) => refusal(&decision, 400..=499),
        Ok(proto::Verdict::Reject) => refusal(&decision, 500..=599),
        Ok(proto::Verdict::Unspecified) | Err(_) => None,
    };
    let valid_for = valid_for(decision.valid_for);
    let reach = Reach { scope, sender_bound: decision.sender_bound };
    let decided_by: Arc<str> = decision.decided_by.as_str().into();
    match verdict {
        Some(verdict) => Answer { decision: Decision { verdict, decided_by }, reach, valid_for },
        None => {
            warn!(
                policy.verdict = decision.verdict,
                policy.code = decision.code,
                policy.decided_by = %decided_by,
                "policy answer is not understood, deferring"
            );
            let verdict = Verdict::Refuse(unavailable_reply());
            Answer {
                decision: Decision { verdict, decided_by },
                reach: Reach { sender_bound: true, ..Reach::ADDRESS },
                valid_for: Duration::ZERO,
            }
        }
    }
}

/// The reply of a refusal, if its code fits the verdict.
fn refusal(decision: &proto::Decision, codes: std::ops::RangeInclusive<u16>) -> Option<Verdict> {
    let code = u16::try_from(decision.code).ok().filter(|code| codes.contains(code))?;
    Some(Verdict::Refuse(Reply::new(code, decision.enhanced.parse().ok(), &decision.text)))
}

pub(crate) fn valid_for(duration: Option<prost_types::Duration>) -> Duration {
    duration.and_then(|duration| duration.try_into().ok()).unwrap_or_default()
}

pub(crate) fn recipient(
    mut response: proto::CheckRecipientResponse,
) -> Result<(KnownRecipient, Reach, Duration), PolicyUnavailable> {
    let Answer { decision, reach, valid_for } = answer(response.decision.take());
    let verdict = match decision.verdict {
        Verdict::Refuse(reply) => KnownVerdict::Refuse(reply),
        Verdict::Accept => KnownVerdict::Accept(accepted_recipient(&response, reach.scope)?),
    };
    Ok((KnownRecipient { decided_by: decision.decided_by, verdict }, reach, valid_for))
}

/// `deliver_to` may be empty only in an answer that holds for the whole domain.
fn accepted_recipient(
    response: &proto::CheckRecipientResponse,
    scope: Scope,
) -> Result<AcceptedRecipient, PolicyUnavailable> {
    let deliver_to = match (response.deliver_to.as_str(), scope) {
        ("", Scope::Domain) => None,
        (text, _) => Some(text.parse().map_err(unusable("deliver_to"))?),
    };
    Ok(AcceptedRecipient { deliver_to, destination: destination(&response.destination)? })
}

pub(crate) fn destination(text: &str) -> Result<Destination, PolicyUnavailable> {
    text.parse().map_err(unusable("destination"))
}

pub(crate) fn listener(listener: Listener) -> i32 {
    match listener {
        Listener::Relay => proto::Listener::Relay.into(),
        Listener::Submission => proto::Listener::Submission.into(),
    }
}

pub(crate) fn proof(proof: Proof<'_>) -> proto::authenticate_request::Proof {
    use proto::authenticate_request::Proof as Wire;
    match proof {
        Proof::Password(password) => {
            Wire::Password(proto::PasswordProof { password: password.expose_secret().to_owned() })
        }
        Proof::CramMd5 { challenge, digest } => {
            Wire::CramMd5(proto::CramMd5Proof { challenge: challenge.to_vec(), digest: digest.to_vec() })
        }
        Proof::ScramStart => Wire::ScramStart(proto::ScramStart {}),
        Proof::Scram { auth_message, client_proof } => Wire::ScramProof(proto::ScramProof {
            auth_message: auth_message.to_vec(),
            client_proof: client_proof.to_vec(),
        }),
    }
}

pub(crate) fn authentication(
    response: proto::AuthenticateResponse,
) -> Result<AuthenticationAnswer, PolicyUnavailable> {
    let Decision { verdict, decided_by } = answer(response.decision).decision;
    Ok(match (verdict, response.scram_parameters) {
        (Verdict::Refuse(reply), _) => AuthenticationAnswer::Refuse { reply, decided_by },
        (Verdict::Accept, Some(proto::ScramParameters { salt, iterations })) => {
            AuthenticationAnswer::Continue { salt, iterations }
        }
        (Verdict::Accept, None) => AuthenticationAnswer::Accept {
            identity: response.identity.parse().map_err(unusable("identity"))?,
            scram_server_signature: response.scram_server_signature,
        },
    })
}

pub(crate) fn host_map(response: proto::ListHostsResponse) -> Result<HostMap, PolicyUnavailable> {
    let hosts: Result<HostMap, PolicyUnavailable> = response.hosts.iter().map(host).collect();
    Ok(hosts?.with_version(response.version))
}

fn host(entry: &proto::HostEntry) -> Result<(Domain, Vec<IpAddr>), PolicyUnavailable> {
    let name = entry.name.parse().map_err(unusable("host name"))?;
    let addresses: Result<_, _> = entry.addresses.iter().map(|text| text.parse()).collect();
    Ok((name, addresses.map_err(unusable("host address"))?))
}

pub(crate) fn unusable<E>(field: &'static str) -> impl FnOnce(E) -> PolicyUnavailable
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    move |source| PolicyUnavailable::Answer { field, source: source.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(verdict: i32, code: u32) -> proto::Decision {
        proto::Decision {
            verdict,
            code,
            enhanced: "5.7.1".to_owned(),
            text: "relaying denied".to_owned(),
            decided_by: "builtin:default".to_owned(),
            scope: proto::Scope::Domain.into(),
            valid_for: Some(prost_types::Duration { seconds: 2, nanos: 0 }),
            sender_bound: false,
        }
    }

    #[test]
    fn what_is_not_understood_defers_and_is_not_kept() {
        for bad in [
            None,
            Some(decision(0, 0)),
            Some(decision(99, 550)),
            Some(decision(proto::Verdict::Reject.into(), 0)),
            Some(decision(proto::Verdict::Reject.into(), 451)),
            Some(decision(proto::Verdict::Reject.into(), 70_000)),
            Some(decision(proto::Verdict::Defer.into(), 550)),
        ] {
            let answer = answer(bad.clone());
            assert_eq!(answer.decision.verdict, Verdict::Refuse(unavailable_reply()), "{bad:?}");
            assert_eq!(answer.valid_for, Duration::ZERO, "{bad:?}");
        }
    }

    #[test]
    fn a_refusal_is_said_as_it_is() {
        let answer = answer(Some(decision(proto::Verdict::Reject.into(), 550)));
        let Verdict::Refuse(reply) = answer.decision.verdict else { panic!("accepted") };
        assert_eq!(reply.to_string(), "550 5.7.1 relaying denied\r\n");
        assert_eq!((answer.reach, answer.valid_for), (Reach::DOMAIN, Duration::from_secs(2)));
    }

    #[test]
    fn an_accepted_recipient_has_an_address_and_a_next_hop() {
        let response = |deliver_to: &str, destination: &str| proto::CheckRecipientResponse {
            decision: None,
            deliver_to: deliver_to.to_owned(),
            destination: destination.to_owned(),
        };
        for (deliver_to, destination, scope) in [
            ("", "example.org", Scope::Address),
            ("a", "example.org", Scope::Address),
            ("a", "example.org", Scope::Domain),
            ("a@example.org", "", Scope::Address),
            ("", "[host]", Scope::Domain),
        ] {
            assert!(
                accepted_recipient(&response(deliver_to, destination), scope).is_err(),
                "{deliver_to:?} {destination:?}"
            );
        }
        let unchanged = accepted_recipient(&response("", "example.org"), Scope::Domain).unwrap();
        assert_eq!(unchanged.deliver_to, None);
    }

    #[test]
    fn a_negative_time_is_no_time() {
        assert_eq!(valid_for(Some(prost_types::Duration { seconds: -1, nanos: 0 })), Duration::ZERO);
    }
}
