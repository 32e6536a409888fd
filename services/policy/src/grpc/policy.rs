//! Questions of SMTP sessions and delivery workers.

use std::{
    net::IpAddr,
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, SystemTime},
};

use hikyaku_proto::policy::v1::{self as proto, policy_service_server::PolicyService};
use hikyaku_types::{
    address::{AddressError, ForwardPath, Mailbox, ReversePath},
    domain::Domain,
    fingerprint::Fingerprint,
    hours::Hours,
    origin::Listener,
    reply::Reply,
};
use tonic::{Request, Response, Status, metadata::MetadataMap};

use super::{authenticate, overview, status::CallError, traffic};
use crate::{
    authenticate::Authenticator,
    recipients::Recipients,
    rules::{
        Asker, Rules,
        decision::{
            DecidedBy, Decision, Reach, RecipientDecision, RecipientVerdict, Scope, VALID_FOR, Verdict,
        },
    },
    store::Store,
};

#[derive(Debug)]
pub(crate) struct PolicyGrpc {
    store: Store,
    authenticator: Authenticator,
    recipients: Recipients,
}

impl PolicyGrpc {
    pub(crate) fn new(store: Store, authenticator: Authenticator, recipients: Recipients) -> Self {
        Self { store, authenticator, recipients }
    }

    fn rules(&self) -> Result<Arc<Rules>, CallError> {
        self.store.rules().ok_or(CallError::NotLoaded)
    }
}

#[tonic::async_trait]
impl PolicyService for PolicyGrpc {
    async fn check_connection(
        &self,
        request: Request<proto::CheckConnectionRequest>,
    ) -> Result<Response<proto::CheckConnectionResponse>, Status> {
        let answer = self.rules()?.check_connection(client(&request.get_ref().client)?);
        Ok(Response::new(proto::CheckConnectionResponse {
            decision: Some(decision(&answer.decision)),
            unlimited: answer.unlimited,
            max_received: answer.max_received.map_or(0, NonZeroU32::get),
        }))
    }

    async fn check_sender(
        &self,
        request: Request<proto::CheckSenderRequest>,
    ) -> Result<Response<proto::CheckSenderResponse>, Status> {
        let question = request.get_ref();
        let asker = asker(&question.client, question.listener(), &question.identity, &question.certificate)?;
        let reverse_path = reverse_path(&question.reverse_path)?;
        let answer = self.rules()?.check_sender(&asker, &reverse_path, SystemTime::now());
        Ok(Response::new(proto::CheckSenderResponse {
            decision: Some(decision(&answer.decision)),
            trusted: answer.trusted,
            check_author: answer.check_author,
            rate: answer.rate.map(traffic::rate),
        }))
    }

    async fn check_recipient(
        &self,
        request: Request<proto::CheckRecipientRequest>,
    ) -> Result<Response<proto::CheckRecipientResponse>, Status> {
        let patience = patience(request.metadata());
        let question = request.get_ref();
        let asker = asker(&question.client, question.listener(), &question.identity, &question.certificate)?;
        let reverse_path = reverse_path(&question.reverse_path)?;
        let recipient: ForwardPath =
            question.recipient.parse().map_err(unreadable("recipient", &question.recipient))?;
        let answer = self.rules()?.check_recipient(&asker, &reverse_path, &recipient, SystemTime::now());
        Ok(Response::new(recipient_response(self.recipients.confirm(answer, patience).await)))
    }

    async fn authenticate(
        &self,
        request: Request<proto::AuthenticateRequest>,
    ) -> Result<Response<proto::AuthenticateResponse>, Status> {
        let question = authenticate::question(request.into_inner())?;
        let answer = self.authenticator.authenticate(self.rules()?, question).await;
        Ok(Response::new(authenticate::response(answer)))
    }

    async fn check_author(
        &self,
        request: Request<proto::CheckAuthorRequest>,
    ) -> Result<Response<proto::CheckAuthorResponse>, Status> {
        let proto::CheckAuthorRequest { identity, authors } = request.get_ref();
        let identity = mailbox("identity", identity)?;
        let authors: Result<Vec<Mailbox>, CallError> =
            authors.iter().map(|author| mailbox("author", author)).collect();
        let answer = self.rules()?.check_author(&identity, &authors?);
        Ok(Response::new(proto::CheckAuthorResponse { decision: Some(decision(&answer)) }))
    }

    async fn resolve_route(
        &self,
        request: Request<proto::ResolveRouteRequest>,
    ) -> Result<Response<proto::ResolveRouteResponse>, Status> {
        let proto::ResolveRouteRequest { domain: text, reverse_path: sender } = request.get_ref();
        let domain: Domain =
            text.parse().map_err(|error| unreadable("domain", text)(AddressError::Domain(error)))?;
        let answer = self.rules()?.resolve_route(&domain, &reverse_path(sender)?, SystemTime::now());
        Ok(Response::new(proto::ResolveRouteResponse {
            destination: answer.destination.to_string(),
            decided_by: answer.decided_by.map_or_else(String::new, |by| by.to_string()),
            valid_for: valid_for(),
            sender_bound: answer.sender_bound,
        }))
    }

    async fn list_hosts(
        &self,
        request: Request<proto::ListHostsRequest>,
    ) -> Result<Response<proto::ListHostsResponse>, Status> {
        let known = request.get_ref().known_version;
        let rules = self.rules()?;
        let version = rules.version();
        let unchanged = known != 0 && known == version;
        let hosts = if unchanged { Vec::new() } else { rules.hosts().map(host).collect() };
        Ok(Response::new(proto::ListHostsResponse { version, unchanged, hosts }))
    }

    async fn list_hours(
        &self,
        request: Request<proto::ListHoursRequest>,
    ) -> Result<Response<proto::ListHoursResponse>, Status> {
        let rules = self.rules()?;
        let (hours, version) = rules.hours_of_mail();
        let unchanged = request.get_ref().known_version == version;
        let hours = if unchanged { Vec::new() } else { hours.map(recipient_hours).collect() };
        Ok(Response::new(proto::ListHoursResponse { version, unchanged, hours }))
    }

    async fn get_traffic(
        &self,
        request: Request<proto::GetTrafficRequest>,
    ) -> Result<Response<proto::GetTrafficResponse>, Status> {
        let rules = self.rules()?;
        Ok(Response::new(traffic::response(rules.traffic(), request.get_ref().known_version)))
    }

    async fn get_overview(
        &self,
        request: Request<proto::GetOverviewRequest>,
    ) -> Result<Response<proto::GetOverviewResponse>, Status> {
        let text = &request.get_ref().domain;
        let only = match text.as_str() {
            "" => None,
            text => {
                Some(text.parse().map_err(|error| unreadable("domain", text)(AddressError::Domain(error)))?)
            }
        };
        let rules = self.rules()?;
        let in_force = rules.version();
        // Ten thousand lines are compared with each other: not on a thread of the runtime.
        let overview = move || rules.overview(only.as_ref(), SystemTime::now());
        let overview = tokio::task::spawn_blocking(overview).await.map_err(|_| CallError::Ended)?;
        // Without the store nobody is behind it; that the store is away is found elsewhere.
        let stored_version = self.store.stored_version().await.unwrap_or(in_force);
        Ok(Response::new(overview::response(overview, stored_version)))
    }
}

fn asker(
    address: &str,
    listener: proto::Listener,
    identity: &str,
    certificate: &[u8],
) -> Result<Asker, CallError> {
    let listener = match listener {
        proto::Listener::Relay => Listener::Relay,
        proto::Listener::Submission => Listener::Submission,
        proto::Listener::Unspecified => return Err(CallError::Listener),
    };
    let identity = match identity {
        "" => None,
        text => Some(mailbox("identity", text)?),
    };
    let certificate = match certificate {
        [] => None,
        octets => Some(octets.try_into().map(Fingerprint).map_err(|_| CallError::Certificate)?),
    };
    Ok(Asker::new(client(address)?, listener, identity).showing(certificate))
}

/// How long the caller waits: `grpc-timeout`, a number of up to eight digits and a unit.
fn patience(metadata: &MetadataMap) -> Option<Duration> {
    let text = metadata.get("grpc-timeout")?.to_str().ok()?;
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = number.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number.saturating_mul(3_600)),
        "M" => Duration::from_secs(number.saturating_mul(60)),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

pub(super) fn mailbox(field: &'static str, text: &str) -> Result<Mailbox, CallError> {
    text.parse().map_err(unreadable(field, text))
}

pub(super) fn client(text: &str) -> Result<IpAddr, CallError> {
    text.parse().map_err(|_| CallError::Client(text.to_owned()))
}

pub(super) fn reverse_path(text: &str) -> Result<ReversePath, CallError> {
    text.parse().map_err(unreadable("reverse_path", text))
}

pub(super) fn unreadable(field: &'static str, text: &str) -> impl FnOnce(AddressError) -> CallError {
    move |reason| CallError::Address { field, text: text.to_owned(), reason }
}

fn valid_for() -> Option<prost_types::Duration> {
    VALID_FOR.try_into().ok()
}

fn decision(decision: &Decision) -> proto::Decision {
    match &decision.verdict {
        Verdict::Accept => accepted(decision.decided_by, decision.reach),
        Verdict::Refuse(reply) => refused(reply, decision.decided_by, decision.reach),
    }
}

fn recipient_response(decision: RecipientDecision) -> proto::CheckRecipientResponse {
    let RecipientDecision { verdict, decided_by, reach, unconfirmed: _ } = decision;
    match verdict {
        RecipientVerdict::Accept { deliver_to, destination } => proto::CheckRecipientResponse {
            decision: Some(accepted(decided_by, reach)),
            deliver_to: match reach.scope {
                Scope::Address => deliver_to.to_string(),
                Scope::Domain => String::new(),
            },
            destination: destination.to_string(),
        },
        RecipientVerdict::Refuse(reply) => proto::CheckRecipientResponse {
            decision: Some(refused(&reply, decided_by, reach)),
            ..proto::CheckRecipientResponse::default()
        },
    }
}

pub(super) fn accepted(decided_by: DecidedBy, reach: Reach) -> proto::Decision {
    proto::Decision {
        verdict: proto::Verdict::Accept.into(),
        decided_by: decided_by.to_string(),
        scope: wire_scope(reach.scope).into(),
        sender_bound: reach.sender_bound,
        valid_for: valid_for(),
        ..proto::Decision::default()
    }
}

pub(super) fn refused(reply: &Reply, decided_by: DecidedBy, reach: Reach) -> proto::Decision {
    let verdict = if reply.code() < 500 { proto::Verdict::Defer } else { proto::Verdict::Reject };
    proto::Decision {
        verdict: verdict.into(),
        code: reply.code().into(),
        enhanced: reply.enhanced().map_or_else(String::new, |enhanced| enhanced.to_string()),
        text: reply.text(),
        ..accepted(decided_by, reach)
    }
}

fn wire_scope(scope: Scope) -> proto::Scope {
    match scope {
        Scope::Address => proto::Scope::Address,
        Scope::Domain => proto::Scope::Domain,
    }
}

fn recipient_hours((hours, addresses): (&Hours, &[Mailbox])) -> proto::RecipientHours {
    proto::RecipientHours {
        hours: hours.to_string(),
        addresses: addresses.iter().map(ToString::to_string).collect(),
    }
}

fn host((name, addresses): (&Domain, &[IpAddr])) -> proto::HostEntry {
    proto::HostEntry {
        name: name.to_string(),
        addresses: addresses.iter().map(ToString::to_string).collect(),
    }
}
