//! Questions of SMTP sessions and delivery workers.

use std::{net::IpAddr, sync::Arc};

use hikyaku_proto::policy::v1::{self as proto, policy_service_server::PolicyService};
use hikyaku_types::{
    address::{AddressError, ForwardPath, ReversePath},
    domain::Domain,
    reply::Reply,
};
use tonic::{Request, Response, Status};

use super::{status::CallError, traffic};
use crate::{
    rules::{
        Rules,
        decision::{DecidedBy, Decision, RecipientDecision, RecipientVerdict, Scope, VALID_FOR, Verdict},
    },
    store::Store,
};

#[derive(Debug)]
pub(crate) struct PolicyGrpc {
    store: Store,
}

impl PolicyGrpc {
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
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
            relay_network: answer.relay_network,
        }))
    }

    async fn check_sender(
        &self,
        request: Request<proto::CheckSenderRequest>,
    ) -> Result<Response<proto::CheckSenderResponse>, Status> {
        let question = request.get_ref();
        let reverse_path = reverse_path(&question.reverse_path)?;
        let answer = self.rules()?.check_sender(client(&question.client)?, &reverse_path);
        Ok(Response::new(proto::CheckSenderResponse { decision: Some(decision(&answer)) }))
    }

    async fn check_recipient(
        &self,
        request: Request<proto::CheckRecipientRequest>,
    ) -> Result<Response<proto::CheckRecipientResponse>, Status> {
        let question = request.get_ref();
        reverse_path(&question.reverse_path)?;
        let recipient: ForwardPath =
            question.recipient.parse().map_err(unreadable("recipient", &question.recipient))?;
        let answer = self.rules()?.check_recipient(client(&question.client)?, &recipient);
        Ok(Response::new(recipient_response(answer)))
    }

    async fn resolve_route(
        &self,
        request: Request<proto::ResolveRouteRequest>,
    ) -> Result<Response<proto::ResolveRouteResponse>, Status> {
        let text = &request.get_ref().domain;
        let domain: Domain =
            text.parse().map_err(|error| unreadable("domain", text)(AddressError::Domain(error)))?;
        let answer = self.rules()?.resolve_route(&domain);
        Ok(Response::new(proto::ResolveRouteResponse {
            destination: answer.destination.to_string(),
            decided_by: answer.decided_by.map_or_else(String::new, |by| by.to_string()),
            valid_for: valid_for(),
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

    async fn get_traffic(
        &self,
        request: Request<proto::GetTrafficRequest>,
    ) -> Result<Response<proto::GetTrafficResponse>, Status> {
        let rules = self.rules()?;
        Ok(Response::new(traffic::response(rules.traffic(), request.get_ref().known_version)))
    }
}

fn client(text: &str) -> Result<IpAddr, CallError> {
    text.parse().map_err(|_| CallError::Client(text.to_owned()))
}

fn reverse_path(text: &str) -> Result<ReversePath, CallError> {
    text.parse().map_err(unreadable("reverse_path", text))
}

fn unreadable(field: &'static str, text: &str) -> impl FnOnce(AddressError) -> CallError {
    move |reason| CallError::Address { field, text: text.to_owned(), reason }
}

fn valid_for() -> Option<prost_types::Duration> {
    VALID_FOR.try_into().ok()
}

fn decision(decision: &Decision) -> proto::Decision {
    match &decision.verdict {
        Verdict::Accept => accepted(decision.decided_by, decision.scope),
        Verdict::Refuse(reply) => refused(reply, decision.decided_by, decision.scope),
    }
}

fn recipient_response(decision: RecipientDecision) -> proto::CheckRecipientResponse {
    let RecipientDecision { verdict, decided_by, scope } = decision;
    match verdict {
        RecipientVerdict::Accept { deliver_to, destination } => proto::CheckRecipientResponse {
            decision: Some(accepted(decided_by, scope)),
            deliver_to: match scope {
                Scope::Address => deliver_to.to_string(),
                Scope::Domain => String::new(),
            },
            destination: destination.to_string(),
        },
        RecipientVerdict::Refuse(reply) => proto::CheckRecipientResponse {
            decision: Some(refused(&reply, decided_by, scope)),
            ..proto::CheckRecipientResponse::default()
        },
    }
}

fn accepted(decided_by: DecidedBy, scope: Scope) -> proto::Decision {
    proto::Decision {
        verdict: proto::Verdict::Accept.into(),
        decided_by: decided_by.to_string(),
        scope: wire_scope(scope).into(),
        valid_for: valid_for(),
        ..proto::Decision::default()
    }
}

fn refused(reply: &Reply, decided_by: DecidedBy, scope: Scope) -> proto::Decision {
    let verdict = if reply.code() < 500 { proto::Verdict::Defer } else { proto::Verdict::Reject };
    proto::Decision {
        verdict: verdict.into(),
        code: reply.code().into(),
        enhanced: reply.enhanced().map_or_else(String::new, |enhanced| enhanced.to_string()),
        text: reply.text(),
        ..accepted(decided_by, scope)
    }
}

fn wire_scope(scope: Scope) -> proto::Scope {
    match scope {
        Scope::Address => proto::Scope::Address,
        Scope::Domain => proto::Scope::Domain,
    }
}

fn host((name, addresses): (&Domain, &[IpAddr])) -> proto::HostEntry {
    proto::HostEntry {
        name: name.to_string(),
        addresses: addresses.iter().map(ToString::to_string).collect(),
    }
}
