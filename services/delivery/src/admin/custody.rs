//! The proof that no mail is lost, for operators.

use std::time::{Duration, SystemTime};

use hikyaku_proto::admin::v1::{self as proto, custody_admin_service_server::CustodyAdminService};
use hikyaku_queue::{
    check::{Checker, Named},
    custody::{
        Admission, End, Origin,
        audit::{Auditor, Missing, Window},
        trace::{self, Acceptance},
    },
    orphans::MARGIN,
};
use hikyaku_runtime::error_chain::chain;
use hikyaku_types::ids::QueueId;
use tokio::sync::MutexGuard;
use tonic::{Request, Response, Status};

use super::{Admin, wire::timestamp};

const SINCE: Duration = Duration::from_secs(24 * 3600);
const OLDER_THAN: Duration = Duration::from_secs(5 * 60);
const LIMIT: u32 = 1_000;

/// What reads everything; each takes up to 200 MB for a million messages.
pub(super) struct Tools {
    pub(super) auditor: Auditor,
    pub(super) checker: Checker,
}

impl Admin {
    /// One at a time.
    fn tools(&self) -> Result<MutexGuard<'_, Tools>, Status> {
        let busy = "an audit or a check runs already; try again when it has ended";
        self.tools.try_lock().map_err(|_| Status::resource_exhausted(busy))
    }
}

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
        let audit = self.tools()?.auditor.audit(window, limit).await.map_err(|error| failed(&error))?;
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

    async fn check_queue(
        &self,
        request: Request<proto::CheckQueueRequest>,
    ) -> Result<Response<proto::CheckQueueResponse>, Status> {
        let older_than = duration(request.into_inner().older_than, MARGIN, "older_than")?;
        let until = SystemTime::now().checked_sub(older_than).unwrap_or(SystemTime::UNIX_EPOCH);
        let found = self.tools()?.checker.check(until).await.map_err(|error| failed(&error))?;
        Ok(Response::new(proto::CheckQueueResponse {
            entries: found.entries,
            dead_letters: found.dead_letters,
            stored: found.stored,
            stored_bytes: found.stored_bytes,
            missing: found.missing.count,
            missing_owners: list(found.missing, |owner| owner.to_string()),
            orphans: found.orphans.count,
            orphaned_contents: list(found.orphans, |orphan| proto::OrphanedContent {
                owner: orphan.owner.to_string(),
                shard: u32::from(orphan.shard.get()),
                size: orphan.bytes,
            }),
            undecodable: found.undecodable.count,
            undecodable_entries: list(found.undecodable, |entry| proto::UndecodableEntry {
                stream: entry.stream,
                sequence: entry.sequence,
                subject: entry.subject,
            }),
        }))
    }

    async fn get_acceptance(
        &self,
        request: Request<proto::GetAcceptanceRequest>,
    ) -> Result<Response<proto::GetAcceptanceResponse>, Status> {
        let text = request.into_inner().queue_id;
        let queue_id: QueueId =
            text.parse().map_err(|error| Status::invalid_argument(format!("{text:?}: {error}")))?;
        let found = trace::find(&self.context.nats, queue_id).await.map_err(|error| failed(&error))?;
        let found = found.ok_or_else(|| Status::not_found(format!("{queue_id} is not known here")))?;
        Ok(Response::new(acceptance(found)))
    }
}

fn acceptance(found: Acceptance) -> proto::GetAcceptanceResponse {
    let Acceptance { accepted_at, origin, recipients, is_promised, admission } = found;
    let origin = match origin {
        Origin::Client => "client".to_owned(),
        Origin::Report => "report".to_owned(),
        Origin::Resend(of) => of.to_string(),
    };
    let response = proto::GetAcceptanceResponse {
        accepted_at: Some(timestamp(accepted_at)),
        recipients,
        origin,
        promised: is_promised,
        ..proto::GetAcceptanceResponse::default()
    };
    match admission {
        Some(Admission { client, identity, admitted_by }) => proto::GetAcceptanceResponse {
            client: client.to_string(),
            identity: identity.unwrap_or_default(),
            admitted_by: admitted_by.to_string(),
            ..response
        },
        None => response,
    }
}

/// The only way from an error of theirs to a gRPC status.
fn failed(error: &(dyn std::error::Error + 'static)) -> Status {
    let text = chain(error);
    tracing::warn!(error = text, "audit or check failed");
    Status::unavailable(text)
}

fn list<T, U>(named: Named<T>, to_wire: impl FnMut(T) -> U) -> Vec<U> {
    named.first.into_iter().map(to_wire).collect()
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
