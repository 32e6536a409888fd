//! What is wrong, for operators.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use hikyaku_doctor::{
    Finding, Severity,
    diagnose::{Mark, NodeReport, Step, StepReport},
};
use hikyaku_grpc::Role;
use hikyaku_proto::admin::v1::{self as proto, doctor_admin_service_server::DoctorAdminService};
use hikyaku_types::{address::Mailbox, domain::Domain};
use tonic::{Request, Response, Status};

use super::{Admin, status::CallError};
use crate::{
    diagnose::{self, Question, Views},
    doctor::{self, Seen},
};

/// For a diagnosis, if nobody says otherwise.
const PATIENCE: Duration = Duration::from_secs(30);
const LEAST_PATIENCE: Duration = Duration::from_secs(2);
const MOST_PATIENCE: Duration = Duration::from_secs(300);

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

    async fn check_delivery(
        &self,
        request: Request<proto::CheckDeliveryRequest>,
    ) -> Result<Response<proto::CheckDeliveryResponse>, Status> {
        if !request.get_ref().recipient.is_empty() {
            hikyaku_grpc::require(&request, Role::Operator)?;
        }
        let busy = "others diagnose already; try again when that has ended";
        let _diagnosing = self.diagnoses.try_acquire().map_err(|_| Status::resource_exhausted(busy))?;
        let question = self.question(&request.into_inner()).await?;
        let Views { views, unheard } = Box::pin(diagnose::ask(&self.context, &question)).await;
        let nodes = hikyaku_doctor::diagnose::judge(&views);
        Ok(Response::new(proto::CheckDeliveryResponse {
            destination: question.destination.to_string(),
            nodes: nodes.into_iter().map(node_report).collect(),
            unheard,
        }))
    }
}

impl Admin {
    /// With the next hop that the directory names now.
    async fn question(&self, request: &proto::CheckDeliveryRequest) -> Result<Question, CallError> {
        let proto::CheckDeliveryRequest { target, sender, recipient, patience } = request;
        let domain = match target.rsplit_once('@') {
            Some((_, domain)) => self::domain(domain)?,
            None => self::domain(target)?,
        };
        let sender = sender.parse().map_err(|error| CallError::Argument(format!("{sender:?}: {error}")))?;
        let recipient = match recipient.as_str() {
            "" => None,
            text => {
                let mailbox = text.parse::<Mailbox>();
                Some(mailbox.map_err(|error| CallError::Argument(format!("{text:?}: {error}")))?)
            }
        };
        let patience = match patience {
            None => PATIENCE,
            Some(time) => Duration::try_from(*time).unwrap_or(PATIENCE),
        };
        let (destination, decided_by) = self.context.policy.explain_route(&domain, &sender).await?;
        let patience = patience.clamp(LEAST_PATIENCE, MOST_PATIENCE);
        Ok(Question { destination, decided_by, sender, recipient, patience })
    }
}

fn node_report(report: NodeReport) -> proto::NodeReport {
    let NodeReport { node, steps } = report;
    proto::NodeReport { node, steps: steps.into_iter().map(step_report).collect() }
}

fn step_report(report: StepReport) -> proto::StepReport {
    let step = match report.step {
        Step::Resolver => proto::DeliveryStep::Resolver,
        Step::Name => proto::DeliveryStep::Name,
        Step::Tcp => proto::DeliveryStep::Tcp,
        Step::Banner => proto::DeliveryStep::Banner,
        Step::Tls => proto::DeliveryStep::Tls,
        Step::Envelope => proto::DeliveryStep::Envelope,
        Step::Past => proto::DeliveryStep::Past,
    };
    let mark = match report.mark {
        Mark::Skipped => proto::StepMark::Skipped,
        Mark::Ok => proto::StepMark::Ok,
        Mark::Warn => proto::StepMark::Warn,
        Mark::Fail => proto::StepMark::Fail,
    };
    let StepReport { seen, help, .. } = report;
    proto::StepReport { step: step.into(), mark: mark.into(), seen, help }
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
