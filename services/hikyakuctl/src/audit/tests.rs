//! `queue audit` and `queue check` against a scripted service.

use hikyaku_grpc::ClientConfig;
use hikyaku_proto::admin::v1::{
    self as admin,
    custody_admin_service_server::{CustodyAdminService, CustodyAdminServiceServer},
};
use prost_types::Timestamp;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Server};

use super::*;
use crate::output::Format;

/// Something is missing of what is older than an hour.
struct Scripted;

#[tonic::async_trait]
impl CustodyAdminService for Scripted {
    async fn audit_queue(
        &self,
        request: Request<AuditQueueRequest>,
    ) -> Result<Response<AuditQueueResponse>, Status> {
        let request = request.into_inner();
        assert_eq!(request.since.map(|since| since.seconds), Some(7 * 24 * 3_600));
        let is_clean = request.older_than.is_some_and(|older_than| older_than.seconds > 3_600);
        let missing = admin::MissingRecipient {
            queue_id: "01ARZ3NDEKTSV4RRFFQ69G5FAV".to_owned(),
            entry_id: "01ARZ3NDEKTSV4RRFFQ69G5FAV-1".to_owned(),
            recipient: "a\u{1b}@example.org".to_owned(),
            accepted_at: Some(Timestamp { seconds: 1_795_000_000, nanos: 0 }),
        };
        Ok(Response::new(AuditQueueResponse {
            accepted: 3,
            delivered: 2,
            missing: u64::from(!is_clean),
            missing_recipients: if is_clean { Vec::new() } else { vec![missing] },
            ..AuditQueueResponse::default()
        }))
    }

    async fn get_acceptance(
        &self,
        _: Request<admin::GetAcceptanceRequest>,
    ) -> Result<Response<admin::GetAcceptanceResponse>, Status> {
        Err(Status::not_found("not known here"))
    }

    async fn check_queue(
        &self,
        request: Request<admin::CheckQueueRequest>,
    ) -> Result<Response<admin::CheckQueueResponse>, Status> {
        let is_clean = request.into_inner().older_than.is_some_and(|older_than| older_than.seconds > 3_600);
        let orphan = admin::OrphanedContent {
            owner: "dead-01ARZ3NDEKTSV4RRFFQ69G5FAV-1".to_owned(),
            shard: 3,
            size: 70_000,
        };
        Ok(Response::new(admin::CheckQueueResponse {
            entries: 5,
            missing: u64::from(!is_clean),
            missing_owners: if is_clean {
                Vec::new()
            } else {
                vec!["01ARZ3NDEKTSV4RRFFQ69G5FAV-0".to_owned()]
            },
            orphans: 1,
            orphaned_contents: vec![orphan],
            ..admin::CheckQueueResponse::default()
        }))
    }
}

async fn serve() -> crate::server::Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder()
        .add_service(CustodyAdminServiceServer::new(Scripted))
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(async move { server.await.unwrap() });
    crate::server::Server { url: format!("http://{address}"), access: ClientConfig::default() }
}

async fn audit(hours: u64) -> (End, String) {
    let (server, mut written) = (serve().await, Vec::new());
    let hours = Duration::from_secs(hours * 3_600);
    let arguments = AuditArgs { since: Duration::from_secs(7 * 24 * 3_600), older_than: hours, limit: 10 };
    let end = run(arguments, &server, &mut Output::new(Format::Human, &mut written)).await.unwrap();
    (end, String::from_utf8(written).unwrap())
}

async fn check(hours: u64) -> (End, String) {
    let (server, mut written) = (serve().await, Vec::new());
    let arguments = crate::check::CheckArgs { older_than: Duration::from_secs(hours * 3_600) };
    let mut output = Output::new(Format::Human, &mut written);
    let end = crate::check::run(arguments, &server, &mut output).await.unwrap();
    (end, String::from_utf8(written).unwrap())
}

#[tokio::test]
async fn a_missing_recipient_is_named_and_fails_the_command() {
    let (end, text) = audit(1).await;
    assert_eq!(end, End::Refused);
    assert!(text.contains("           3  recipients accepted\n"), "{text}");
    assert!(text.contains("01ARZ3NDEKTSV4RRFFQ69G5FAV-1  2026-11-18T11:06:40Z  a?@example.org\n"), "{text}");
    let (end, text) = audit(2).await;
    assert_eq!(end, End::Done);
    assert!(text.contains("           0  missing\n") && !text.contains("more than one end"), "{text}");
}

#[tokio::test]
async fn missing_content_fails_the_command_and_content_left_over_does_not() {
    let (end, text) = check(1).await;
    assert_eq!(end, End::Refused);
    assert!(text.contains("missing     01ARZ3NDEKTSV4RRFFQ69G5FAV-0\n"), "{text}");
    let (end, text) = check(2).await;
    assert_eq!(end, End::Done);
    let left_over = "left over   dead-01ARZ3NDEKTSV4RRFFQ69G5FAV-1 in shard 3, 70000 bytes\n";
    assert!(text.contains(left_over), "{text}");
}

#[test]
fn times() {
    for (text, seconds) in [("0s", 0), ("90s", 90), ("5m", 300), ("24h", 86_400), ("7d", 604_800)] {
        assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
    }
    for text in ["", "5", "m", "-5m", "+5m", "5 m", "1w", "5é", "99999999999999999999d", "99999999999d"] {
        assert!(duration(text).is_err(), "{text}");
    }
}
