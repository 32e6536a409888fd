//! What waits for which destination, and what is said of it.

use std::{collections::BTreeMap, time::SystemTime};

use hikyaku_proto::admin::v1::{self as proto, destination_admin_service_server::DestinationAdminService};
use hikyaku_queue::{
    browse::count::Counts,
    holds::{Hold, HoldScope},
};
use hikyaku_types::{
    destination::{Destination, HostName},
    traffic::Decided,
};
use tonic::{Request, Response, Status};

use super::{Admin, status::CallError, wire};
use crate::stale_names::{self, Forgotten};

#[tonic::async_trait]
impl DestinationAdminService for Admin {
    async fn list_destinations(
        &self,
        _: Request<proto::ListDestinationsRequest>,
    ) -> Result<Response<proto::ListDestinationsResponse>, Status> {
        let mut counts: BTreeMap<Destination, Counts> =
            self.browser.destinations().await.map_err(CallError::from)?;
        let (holds, now) = (self.context.holds.holds(), SystemTime::now());
        let in_force = |hold: &&Hold| hold.is_in_force(now);
        for (destination, _) in holds.destinations().filter(|(_, hold)| hold.is_in_force(now)) {
            counts.entry(destination.clone()).or_default();
        }
        let summary = |(destination, counts): (Destination, Counts)| {
            let hold = holds.get(&HoldScope::Destination(destination.clone()));
            proto::DestinationSummary {
                destination: destination.to_string(),
                counts: Some(wire::counts(counts)),
                hold: hold.filter(in_force).map(wire::hold),
            }
        };
        Ok(Response::new(proto::ListDestinationsResponse {
            destinations: counts.into_iter().map(summary).collect(),
            hold_of_all: holds.get(&HoldScope::Everything).filter(in_force).map(wire::hold),
        }))
    }

    async fn get_destination(
        &self,
        request: Request<proto::GetDestinationRequest>,
    ) -> Result<Response<proto::GetDestinationResponse>, Status> {
        let destination = wire::destination(&request.into_inner().destination)?;
        let state = self.browser.destination(&destination).await.map_err(CallError::from)?;
        let holds = self.context.holds.holds();
        let failure = state.last_failure.as_ref();
        Ok(Response::new(proto::GetDestinationResponse {
            counts: Some(wire::counts(state.counts)),
            hold: holds.is_held(&destination, SystemTime::now()).map(wire::hold),
            last_attempt_at: failure.map(|failure| wire::timestamp(failure.at)),
            last_failure: failure.map(|failure| failure.cause.to_string()).unwrap_or_default(),
            last_failure_class: failure.map(|failure| failure.class.name().to_owned()).unwrap_or_default(),
            attempts: state.attempts,
            next_attempt_at: state.next_attempt.map(wire::timestamp),
            oldest_accepted_at: state.oldest.map(wire::timestamp),
            sample: state.is_sample,
        }))
    }

    async fn get_limits(
        &self,
        request: Request<proto::GetLimitsRequest>,
    ) -> Result<Response<proto::GetLimitsResponse>, Status> {
        let destination = wire::destination(&request.into_inner().destination)?;
        let traffic = self.context.policy.traffic();
        let of_destination = limits(traffic.explain_destination(&destination));
        let response = match self.context.resolver.hosts(&destination).await {
            Ok(hosts) => proto::GetLimitsResponse {
                destination: of_destination,
                site: traffic.site(&hosts).name,
                site_limits: limits(traffic.explain_site(&hosts)),
                hosts: hosts.iter().map(HostName::to_string).collect(),
                trouble: String::new(),
            },
            Err(error) => proto::GetLimitsResponse {
                destination: of_destination,
                trouble: error.to_string(),
                ..proto::GetLimitsResponse::default()
            },
        };
        Ok(Response::new(response))
    }

    async fn flush_names(
        &self,
        request: Request<proto::FlushNamesRequest>,
    ) -> Result<Response<proto::FlushNamesResponse>, Status> {
        let Destination::Mx(domain) = wire::destination(&request.into_inner().domain)? else {
            return Err(Status::invalid_argument("want a domain, as example.org"));
        };
        let Forgotten { nodes, missing } = stale_names::forget_everywhere(&self.context, &domain).await;
        Ok(Response::new(proto::FlushNamesResponse {
            nodes: nodes.into_iter().collect(),
            missing: missing.into_iter().collect(),
        }))
    }
}

fn limits(decided: Vec<Decided>) -> Vec<proto::Limit> {
    let limit = |Decided { key, value, line }| proto::Limit {
        key: str::to_owned(key),
        value,
        decided_by: line.to_string(),
    };
    decided.into_iter().map(limit).collect()
}
