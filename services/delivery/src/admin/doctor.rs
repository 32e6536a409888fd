//! What is wrong, for operators.

use std::net::{IpAddr, SocketAddr};

use hikyaku_doctor::{Finding, Severity};
use hikyaku_proto::admin::v1::{self as proto, doctor_admin_service_server::DoctorAdminService};
use hikyaku_types::domain::Domain;
use tonic::{Request, Response, Status};

use super::{Admin, status::CallError};
use crate::doctor::{self, Seen};

#[tonic::async_trait]
impl DoctorAdminService for Admin {
    async fn check_cluster(
        &self,
        request: Request<proto::CheckClusterRequest>,
    ) -> Result<Response<proto::CheckClusterResponse>, Status> {
        let only = match request.into_inner().domain.as_str() {
            "" => None,
            text => Some(domain(text)?),
        };
        let busy = "somebody examines the cluster already; try again when that has ended";
        let _examining = self.doctor.try_lock().map_err(|_| Status::resource_exhausted(busy))?;
        let Seen { facts, inner_servers } =
            Box::pin(doctor::look(&self.context, self.shards, only.as_ref())).await;
        Ok(Response::new(proto::CheckClusterResponse {
            node: facts.examined_from.clone(),
            findings: hikyaku_doctor::examine(&facts).into_iter().map(finding).collect(),
            examined: doctor::summary(&facts),
            own_addresses: facts.own_addresses.iter().map(IpAddr::to_string).collect(),
            inner_servers: inner_servers.iter().map(SocketAddr::to_string).collect(),
        }))
    }
}

fn domain(text: &str) -> Result<Domain, CallError> {
    text.parse().map_err(|error| CallError::Argument(format!("{text:?}: {error}")))
}

fn finding(finding: Finding) -> proto::Finding {
    let severity = match finding.severity() {
        Severity::Warn => proto::FindingSeverity::Warn,
        Severity::Fail => proto::FindingSeverity::Fail,
    };
    let Finding { code, place, what } = finding;
    proto::Finding { severity: severity.into(), code: code.to_string(), place, what }
}
