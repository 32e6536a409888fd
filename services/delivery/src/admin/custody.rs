//! The proof that no mail is lost, for operators.

use std::time::{Duration, SystemTime};

use hikyaku_proto::admin::v1::{self as proto, custody_admin_service_server::CustodyAdminService};
use hikyaku_queue::custody::{
    End,
    audit::{Missing, Window},
};
use hikyaku_runtime::error_chain::chain;
use tonic::{Request, Response, Status};

use super::{Admin, wire::timestamp};

const SINCE: Duration = Duration::from_secs(24 * 3600);
const OLDER_THAN: Duration = Duration::from_secs(5 * 60);
const LIMIT: u32 = 1_000;

#[tonic::async_trait]
impl CustodyAdminService for Admin {
    async fn audit_queue(
        &self,
        request: Request<proto::AuditQueueRequest>,
    ) -> Result<Response<proto::AuditQueueResponse>, Status> {
        let proto::AuditQueueRequest { since, older_than, limit } = request.into_inner();
        let window = Window::before(
            SystemTime::now(),
            duration(since, SINCE, "since")?,
            duration(older_than, OLDER_THAN, "older_than")?,
        );
        let limit = if limit == 0 { LIMIT } else { limit };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let Ok(auditor) = self.auditor.try_lock() else {
            return Err(Status::resource_exhausted("an audit runs already; try again when it has ended"));
        };
        let audit = auditor.audit(window, limit).await.map_err(|error| {
            let text = chain(&error);
            tracing::warn!(error = text, "audit failed");
            Status::unavailable(text)
        })?;
        let tally = audit.tally;
        Ok(Response::new(proto::AuditQueueResponse {
            accepted: tally.accepted,
            delivered: tally.of(End::Delivered),
            failed: tally.of(End::Failed),
            expired: tally.of(End::Expired),
            deleted: tally.of(End::Deleted),
            dead_lettered: tally.of(End::DeadLettered),
            queued: tally.queued,
            young: tally.young,
            duplicates: tally.duplicates,
            repeated: tally.repeated,
            unpromised: tally.unpromised,
            missing: tally.missing,
            unknown_events: tally.unknown_events,
            missing_recipients: audit.missing.into_iter().map(missing).collect(),
        }))
    }
}

fn duration(
    given: Option<prost_types::Duration>,
    otherwise: Duration,
    name: &str,
) -> Result<Duration, Status> {
    let Some(given) = given else { return Ok(otherwise) };
    Duration::try_from(given).map_err(|_| Status::invalid_argument(format!("{name} is negative")))
}

fn missing(missing: Missing) -> proto::MissingRecipient {
    proto::MissingRecipient {
        queue_id: missing.entry.queue_id.to_string(),
        entry_id: missing.entry.to_string(),
        recipient: missing.recipient,
        accepted_at: Some(timestamp(missing.accepted_at)),
    }
}
