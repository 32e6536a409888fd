//! gRPC for operators. Any worker answers for the whole queue; it needs no actor for that.

mod custody; // is every recipient accounted for?

use std::time::{SystemTime, UNIX_EPOCH};

use hikyaku_proto::{
    DESCRIPTOR,
    admin::v1::{
        self as wire,
        custody_admin_service_server::CustodyAdminServiceServer,
        queue_admin_service_server::{QueueAdminService, QueueAdminServiceServer},
    },
};
use hikyaku_queue::{
    browse::{BrowseError, Browser, Found, Selector, Waits},
    check::Checker,
    custody::audit::Auditor,
};
use hikyaku_runtime::error_chain::chain;
use hikyaku_types::envelope::{Lane, Recipient};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, transport::Server};

const DEFAULT_LIMIT: usize = 1_000;

#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    #[error("failed to set up gRPC reflection")]
    Reflection(#[source] tonic_reflection::server::Error),
    #[error("the admin service ended")]
    Serve(#[source] tonic::transport::Error),
}

pub async fn serve(
    listener: TcpListener,
    browser: Browser,
    auditor: Auditor,
    checker: Checker,
    shutdown: CancellationToken,
) -> Result<(), AdminError> {
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTOR)
        .build_v1()
        .map_err(AdminError::Reflection)?;
    Server::builder()
        .add_service(reflection)
        .add_service(QueueAdminServiceServer::new(QueueAdmin { browser }))
        .add_service(CustodyAdminServiceServer::new(custody::CustodyAdmin::new(auditor, checker)))
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), shutdown.cancelled_owned())
        .await
        .map_err(AdminError::Serve)
}

struct QueueAdmin {
    browser: Browser,
}

type EntryStream = tokio_stream::Iter<std::vec::IntoIter<Result<wire::ListEntriesResponse, Status>>>;

#[tonic::async_trait]
impl QueueAdminService for QueueAdmin {
    type ListEntriesStream = EntryStream;

    async fn list_entries(
        &self,
        request: Request<wire::ListEntriesRequest>,
    ) -> Result<Response<EntryStream>, Status> {
        let request = request.into_inner();
        let selector = match request.selector {
            Some(selector) => read_selector(selector)?,
            None => Selector::All,
        };
        let limit = match usize::try_from(request.limit) {
            Ok(0) | Err(_) => DEFAULT_LIMIT,
            Ok(limit) => limit,
        };
        let found = self.browser.list(&selector, limit).await.map_err(failed)?;
        let entries: Vec<_> = found
            .into_iter()
            .map(|found| Ok(wire::ListEntriesResponse { entry: Some(entry(found)) }))
            .collect();
        Ok(Response::new(tokio_stream::iter(entries)))
    }

    async fn get_entry(
        &self,
        request: Request<wire::GetEntryRequest>,
    ) -> Result<Response<wire::GetEntryResponse>, Status> {
        let id = request.into_inner().id;
        let selector = read_id(&id)?;
        let found = self.browser.list(&selector, DEFAULT_LIMIT).await.map_err(failed)?;
        if found.is_empty() {
            return Err(Status::not_found(format!(
                "no entry {id} is in the queue; it has its end, or never was"
            )));
        }
        Ok(Response::new(wire::GetEntryResponse { entries: found.into_iter().map(entry).collect() }))
    }

    async fn retry_entries(
        &self,
        request: Request<wire::RetryEntriesRequest>,
    ) -> Result<Response<wire::RetryEntriesResponse>, Status> {
        let selector = required(request.into_inner().selector)?;
        let retried = self.browser.retry(&selector).await.map_err(failed)?;
        Ok(Response::new(wire::RetryEntriesResponse { retried }))
    }

    async fn delete_entries(
        &self,
        request: Request<wire::DeleteEntriesRequest>,
    ) -> Result<Response<wire::DeleteEntriesResponse>, Status> {
        let selector = required(request.into_inner().selector)?;
        let deleted = self.browser.delete(&selector).await.map_err(failed)?;
        Ok(Response::new(wire::DeleteEntriesResponse { deleted }))
    }
}

/// The only way from an error of ours to a gRPC status.
fn failed(error: BrowseError) -> Status {
    let text = chain(&error);
    tracing::warn!(error = text, "admin call failed");
    Status::unavailable(text)
}

fn required(selector: Option<wire::Selector>) -> Result<Selector, Status> {
    read_selector(selector.ok_or_else(|| Status::invalid_argument("selector is missing"))?)
}

fn read_selector(selector: wire::Selector) -> Result<Selector, Status> {
    match selector.by {
        Some(wire::selector::By::Id(id)) => read_id(&id),
        Some(wire::selector::By::Destination(text)) => text
            .parse()
            .map(Selector::Destination)
            .map_err(|error| Status::invalid_argument(format!("destination {text:?}: {error}"))),
        None => Err(Status::invalid_argument("selector names neither an id nor a destination")),
    }
}

fn read_id(id: &str) -> Result<Selector, Status> {
    let entry = id.parse().map(Selector::Entry);
    let either = entry.or_else(|_| id.parse().map(Selector::QueueId));
    either.map_err(|error| Status::invalid_argument(format!("{id:?}: {error}")))
}

fn entry(found: Found) -> wire::Entry {
    let Found { envelope, waits } = found;
    let (state, next_attempt_at) = match waits {
        Waits::Ready(Lane::Fresh) => (wire::State::Fresh, None),
        Waits::Ready(Lane::Bulk) => (wire::State::Bulk, None),
        Waits::Ready(Lane::Due) => (wire::State::Due, None),
        Waits::Until(at) => (wire::State::Scheduled, Some(timestamp(at))),
    };
    wire::Entry {
        id: envelope.entry.to_string(),
        destination: envelope.destination.to_string(),
        state: state.into(),
        reverse_path: envelope.reverse_path.to_string(),
        recipients: envelope.recipients.iter().map(recipient).collect(),
        accepted_at: Some(timestamp(envelope.accepted_at)),
        attempt: envelope.attempt,
        next_attempt_at,
        size: envelope.body.size(),
    }
}

fn recipient(recipient: &Recipient) -> wire::EntryRecipient {
    let failure = recipient.last_failure.as_ref();
    wire::EntryRecipient {
        address: recipient.address.to_string(),
        last_failure: failure.map(|failure| failure.cause.to_string()).unwrap_or_default(),
        last_failure_at: failure.map(|failure| timestamp(failure.at)),
    }
}

fn timestamp(at: SystemTime) -> prost_types::Timestamp {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    prost_types::Timestamp {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(since.subsec_nanos()).unwrap_or(0), // below 10^9, so it fits
    }
}
