//! Whole commands against scripted services over real gRPC on loopback.

use std::net::SocketAddr;

use clap::CommandFactory as _;
use hikyaku_proto::{
    admin::v1::{
        self as admin,
        queue_admin_service_server::{QueueAdminService, QueueAdminServiceServer},
        selector::By,
    },
    directory::v1::{
        self as proto,
        directory_service_server::{DirectoryService, DirectoryServiceServer},
    },
};
use prost_types::Timestamp;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Server};

use super::*;

mod callers; // who asks

struct Scripted;

fn entry() -> admin::Entry {
    admin::Entry {
        id: "01ARZ3NDEKTSV4RRFFQ69G5FAV-0".to_owned(),
        destination: "example.org".to_owned(),
        state: admin::State::Scheduled.into(),
        reverse_path: String::new(),
        recipients: vec![admin::EntryRecipient {
            address: "a@example.org".to_owned(),
            last_failure: "mx.example.org[192.0.2.1:25]: 451 4.7.1 \u{1b}wait".to_owned(),
            last_failure_at: Some(Timestamp { seconds: 1_795_000_000, nanos: 0 }),
        }],
        accepted_at: Some(Timestamp { seconds: 1_795_000_000, nanos: 0 }),
        attempt: 1,
        next_attempt_at: Some(Timestamp { seconds: 1_795_000_120, nanos: 0 }),
        size: 4096,
        ..admin::Entry::default()
    }
}

type Answers<R> = tokio_stream::Iter<std::vec::IntoIter<Result<R, Status>>>;

/// Progress that goes on, and the result.
fn answers<R>(done: u64, answer: fn(Option<admin::Progress>) -> R) -> Result<Response<Answers<R>>, Status> {
    let running = admin::Progress { before: 5, done: 1, ..admin::Progress::default() };
    let ended = admin::Progress {
        before: 5,
        done,
        busy: 1,
        held: 2,
        after: 4,
        finished: true,
        ..admin::Progress::default()
    };
    Ok(Response::new(tokio_stream::iter(vec![Ok(answer(Some(running))), Ok(answer(Some(ended)))])))
}

fn by(selector: Option<admin::Selector>) -> Option<By> {
    selector.and_then(|selector| selector.by)
}

#[tonic::async_trait]
impl QueueAdminService for Scripted {
    type ListEntriesStream = Answers<admin::ListEntriesResponse>;
    type RetryEntriesStream = Answers<admin::RetryEntriesResponse>;
    type HoldEntriesStream = Answers<admin::HoldEntriesResponse>;
    type ReleaseEntriesStream = Answers<admin::ReleaseEntriesResponse>;
    type MoveEntriesStream = Answers<admin::MoveEntriesResponse>;
    type BounceEntriesStream = Answers<admin::BounceEntriesResponse>;
    type DeleteEntriesStream = Answers<admin::DeleteEntriesResponse>;

    /// Two entries, each on a page of its own, with an empty page between them.
    async fn list_entries(
        &self,
        request: Request<admin::ListEntriesRequest>,
    ) -> Result<Response<Self::ListEntriesStream>, Status> {
        let request = request.into_inner();
        let filter = request.filter.unwrap_or_default();
        let (count, next) = match (request.selector, request.page_token.as_str()) {
            (Some(_), _) => (0, ""),
            (None, _) if filter.state == i32::from(admin::State::Held) => (0, ""),
            (None, "") => (1, "1"),
            (None, "1") => (0, "2"),
            (None, _) => (1, ""),
        };
        let entry = || admin::ListEntriesResponse { entry: Some(entry()), next_page_token: String::new() };
        let end = admin::ListEntriesResponse { entry: None, next_page_token: next.to_owned() };
        let entries: Vec<_> = (0..count).map(|_| entry()).chain([end]).map(Ok).collect();
        Ok(Response::new(tokio_stream::iter(entries)))
    }

    async fn count_entries(
        &self,
        _: Request<admin::CountEntriesRequest>,
    ) -> Result<Response<admin::CountEntriesResponse>, Status> {
        let counts = admin::Counts { fresh: 1, bulk: 2, due: 3, scheduled: 1_000_000, busy: 4 };
        Ok(Response::new(admin::CountEntriesResponse { counts: Some(counts) }))
    }

    async fn get_entry(
        &self,
        request: Request<admin::GetEntryRequest>,
    ) -> Result<Response<admin::GetEntryResponse>, Status> {
        if request.get_ref().id == "gone" {
            return Err(Status::not_found("no entry gone is in the queue"));
        }
        Ok(Response::new(admin::GetEntryResponse { entries: vec![entry()] }))
    }

    async fn retry_entries(
        &self,
        request: Request<admin::RetryEntriesRequest>,
    ) -> Result<Response<Self::RetryEntriesStream>, Status> {
        assert_eq!(by(request.into_inner().selector), Some(By::Destination("[192.0.2.1]:25".to_owned())));
        answers(3, |progress| admin::RetryEntriesResponse { progress })
    }

    async fn hold_entries(
        &self,
        request: Request<admin::HoldEntriesRequest>,
    ) -> Result<Response<Self::HoldEntriesStream>, Status> {
        let request = request.into_inner();
        assert_eq!(request.reason, "work");
        assert_eq!(request.until.unwrap().to_string(), "2027-01-31T18:00:00Z");
        answers(3, |progress| admin::HoldEntriesResponse { progress })
    }

    async fn release_entries(
        &self,
        request: Request<admin::ReleaseEntriesRequest>,
    ) -> Result<Response<Self::ReleaseEntriesStream>, Status> {
        assert_eq!(by(request.into_inner().selector), Some(By::All(true)));
        answers(3, |progress| admin::ReleaseEntriesResponse { progress })
    }

    async fn move_entries(
        &self,
        request: Request<admin::MoveEntriesRequest>,
    ) -> Result<Response<Self::MoveEntriesStream>, Status> {
        assert_eq!(request.into_inner().to, "[192.0.2.9]:25");
        answers(3, |progress| admin::MoveEntriesResponse { progress })
    }

    async fn bounce_entries(
        &self,
        request: Request<admin::BounceEntriesRequest>,
    ) -> Result<Response<Self::BounceEntriesStream>, Status> {
        assert_eq!(request.into_inner().text, "closed");
        answers(3, |progress| admin::BounceEntriesResponse { progress })
    }

    async fn delete_entries(
        &self,
        request: Request<admin::DeleteEntriesRequest>,
    ) -> Result<Response<Self::DeleteEntriesStream>, Status> {
        assert_eq!(by(request.into_inner().selector), Some(By::Id("x-1".to_owned())));
        answers(1, |progress| admin::DeleteEntriesResponse { progress })
    }
}

/// Version 4; a text with "bad" has an error, an earlier base version is refused.
#[tonic::async_trait]
impl DirectoryService for Scripted {
    type WatchDirectoryStream = Answers<proto::WatchDirectoryResponse>;

    async fn get_directory(
        &self,
        _: Request<proto::GetDirectoryRequest>,
    ) -> Result<Response<proto::GetDirectoryResponse>, Status> {
        let document =
            |name: &str, text: &str| proto::Document { name: name.to_owned(), text: text.to_owned() };
        let documents = vec![document("routes", "a.jp,h.jp,25\n"), document("hosts", "")];
        Ok(Response::new(proto::GetDirectoryResponse { version: 4, documents }))
    }

    async fn commit_documents(
        &self,
        request: Request<proto::CommitDocumentsRequest>,
    ) -> Result<Response<proto::CommitDocumentsResponse>, Status> {
        let request = request.into_inner();
        if request.base_version != 4 {
            return Err(Status::aborted("based on another version"));
        }
        let problem = |document: &str, severity: proto::Severity, code: &str| proto::Problem {
            document: document.to_owned(),
            line: 6,
            severity: severity.into(),
            code: code.to_owned(),
            reason: "because".to_owned(),
        };
        let mut problems = vec![problem("aliases", proto::Severity::Warning, "W-AL-MODEA")];
        let is_bad = request.documents.iter().any(|document| document.text.contains("bad"));
        if is_bad {
            problems.push(problem("routes", proto::Severity::Error, "E-GW-PORT"));
        }
        let version = if is_bad || request.validate_only { 4 } else { 5 };
        Ok(Response::new(proto::CommitDocumentsResponse { version, accepted: !is_bad, problems }))
    }

    async fn import_files(
        &self,
        _: Request<proto::ImportFilesRequest>,
    ) -> Result<Response<proto::ImportFilesResponse>, Status> {
        Err(not_scripted())
    }

    async fn set_secret(
        &self,
        _: Request<proto::SetSecretRequest>,
    ) -> Result<Response<proto::SetSecretResponse>, Status> {
        Err(not_scripted())
    }

    async fn unlock_logins(
        &self,
        _: Request<proto::UnlockLoginsRequest>,
    ) -> Result<Response<proto::UnlockLoginsResponse>, Status> {
        Err(not_scripted())
    }

    async fn list_versions(
        &self,
        _: Request<proto::ListVersionsRequest>,
    ) -> Result<Response<proto::ListVersionsResponse>, Status> {
        Err(not_scripted())
    }

    async fn roll_back(
        &self,
        _: Request<proto::RollBackRequest>,
    ) -> Result<Response<proto::RollBackResponse>, Status> {
        Err(not_scripted())
    }

    async fn watch_directory(
        &self,
        _: Request<proto::WatchDirectoryRequest>,
    ) -> Result<Response<Self::WatchDirectoryStream>, Status> {
        Err(not_scripted())
    }

    async fn search_directory(
        &self,
        _: Request<proto::SearchDirectoryRequest>,
    ) -> Result<Response<proto::SearchDirectoryResponse>, Status> {
        Err(not_scripted())
    }

    async fn explain(
        &self,
        _: Request<proto::ExplainRequest>,
    ) -> Result<Response<proto::ExplainResponse>, Status> {
        Err(not_scripted())
    }

    async fn replay_envelopes(
        &self,
        _: Request<proto::ReplayEnvelopesRequest>,
    ) -> Result<Response<proto::ReplayEnvelopesResponse>, Status> {
        Err(not_scripted())
    }

    async fn test_relay(
        &self,
        _: Request<proto::TestRelayRequest>,
    ) -> Result<Response<proto::TestRelayResponse>, Status> {
        Err(not_scripted())
    }
}

fn not_scripted() -> Status {
    Status::unimplemented("no command asks for it")
}

async fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder()
        .add_service(QueueAdminServiceServer::new(Scripted))
        .add_service(DirectoryServiceServer::new(Scripted))
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(async move { server.await.unwrap() });
    address
}

async fn command_with(stdin: &[u8], words: &[&str]) -> (anyhow::Result<End>, String) {
    let url = format!("http://{}", serve().await);
    let head = ["hikyakuctl", "--server", &url, "--directory-server", &url];
    let args = Args::try_parse_from(head.iter().chain(words)).unwrap();
    let mut stdout = Vec::new();
    let end = run(args, &mut stdout, stdin).await;
    (end, String::from_utf8(stdout).unwrap())
}

async fn command(words: &[&str]) -> (End, String) {
    let (end, stdout) = command_with(b"", words).await;
    (end.unwrap(), stdout)
}

async fn json(words: &[&str]) -> serde_json::Value {
    let words: Vec<&str> = words.iter().copied().chain(["--json"]).collect();
    serde_json::from_str(&command(&words).await.1).unwrap()
}

#[test]
fn the_help_is_consistent() {
    Args::command().debug_assert();
}

#[test]
fn usage_errors() {
    for words in [
        "",
        "queue",
        "queue retry",
        "queue retry x --destination example.org",
        "queue list --limit 0",
        "queue list --limit x",
        "queue list --older-than 5",
        "queue retry --all x",
        "queue hold x --until tomorrow",
        "queue hold x --for 4h --until 2027-01-31T18:00:00Z",
        "queue move x",
        "queue bounce x",
        "queue show",
        "directory set routes",
        "--server localhost:7003 version",
        "--server ftp://localhost:7003 version",
        "token new ann --role operator",
        "token new ann --role root --out t",
        "token new a/b --role viewer --out t",
        "nonsense",
    ] {
        let error =
            Args::try_parse_from(["hikyakuctl"].into_iter().chain(words.split_whitespace())).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{words:?}");
    }
}

#[tokio::test]
async fn the_queue_for_people() {
    let (end, list) = command(&["queue", "list"]).await;
    assert_eq!(end, End::Done);
    let line = "01ARZ3NDEKTSV4RRFFQ69G5FAV-0  scheduled  1         2026-11-18T11:06:40Z  2026-11-18T11:08:40Z  4096   \
                example.org  <>    a@example.org\n";
    let head = "ID                            STATE      ATTEMPTS  ACCEPTED              NEXT \
    ATTEMPT          BYTES  \
                DESTINATION  FROM  TO\n";
    assert_eq!(list, format!("{head}{line}{line}"));
    assert_eq!(
        command(&["queue", "list", "--limit", "1"]).await.1,
        format!("{head}{line}there are more: --page-token 1\n")
    );
    assert_eq!(command(&["queue", "list", "--page-token", "2"]).await.1, format!("{head}{line}"));
    assert_eq!(command(&["queue", "list", "--state", "held"]).await.1, "no entries\n");
    assert_eq!(
        command(&["queue", "count"]).await.1,
        "FRESH  BULK  DUE  SCHEDULED  BUSY\n1      2     3    1000000    4\n"
    );
    assert_eq!(command(&["queue", "list", "--destination", "z.example"]).await.1, "no entries\n");

    let show = command(&["queue", "show", "x"]).await.1;
    assert!(
        show.contains(
            "last failure at 2026-11-18T11:06:40Z: mx.example.org[192.0.2.1:25]: 451 4.7.1 ?wait\n"
        ),
        "{show}"
    );
    for (words, said) in [
        ("retry --destination [192.0.2.1]:25", "3 entries made due"),
        ("hold x --until 2027-01-31T18:00:00Z --reason work", "3 entries held"),
        ("release --all", "3 entries released"),
        ("move --destination a.example --to [192.0.2.9]:25", "3 entries moved"),
        ("bounce x --reason closed", "3 entries returned"),
        ("delete x-1", "1 entry deleted"),
    ] {
        let words: Vec<&str> = ["queue"].into_iter().chain(words.split(' ')).collect();
        assert_eq!(command(&words).await.1, format!("{said}; 5 before, 4 now; 1 with a worker; 2 held\n"));
    }
    let (gone, _) = command_with(b"", &["queue", "show", "gone"]).await;
    assert_eq!(format!("{:#}", gone.unwrap_err()), "no entry gone is in the queue");
}

#[tokio::test]
async fn the_queue_for_programs() {
    let list = json(&["queue", "list"]).await;
    assert_eq!(list["entries"][1]["state"], "scheduled");
    assert_eq!(list["entries"][1]["size_bytes"], 4096);
    assert_eq!(list["entries"][0]["reverse_path"], "");
    assert_eq!(
        json(&["queue", "list", "--destination", "z.example"]).await["entries"],
        serde_json::json!([])
    );
    let deleted = json(&["queue", "delete", "x-1"]).await;
    assert_eq!((&deleted["done"], &deleted["after"]), (&1.into(), &4.into()));
    assert_eq!(json(&["version"]).await, serde_json::json!({ "version": env!("CARGO_PKG_VERSION") }));
}

#[tokio::test]
async fn documents_are_read_as_they_are_stored() {
    assert_eq!(command(&["directory", "get", "routes"]).await.1, "a.jp,h.jp,25\n");
    assert_eq!(
        command(&["directory", "get"]).await.1,
        "version 4\nDOCUMENT  LINES  BYTES\nroutes    1      13\nhosts     0      0\n"
    );
    let (unknown, _) = command_with(b"", &["directory", "get", "gateway.dat"]).await;
    assert_eq!(
        format!("{:#}", unknown.unwrap_err()),
        "\"gateway.dat\" is not a document; there are routes, hosts"
    );
    assert_eq!(json(&["directory", "get"]).await["documents"]["routes"], "a.jp,h.jp,25\n");
}

#[tokio::test]
async fn a_change_is_reported_with_the_name_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gw.dat");
    let path = file.to_str().unwrap();
    fs_write(path, "a.jp,h.jp,25");
    assert_eq!(
        command(&["directory", "set", "routes", path]).await,
        (End::Done, "aliases:6: warning W-AL-MODEA: because\napplied as version 5\n".to_owned())
    );
    assert_eq!(
        command(&["directory", "set", "routes", path, "--validate-only"]).await.1,
        "aliases:6: warning W-AL-MODEA: because\n0 errors, 1 warnings; would be applied\n"
    );
    fs_write(path, "bad");
    assert_eq!(
        command(&["directory", "set", "routes", path]).await,
        (
            End::Refused,
            format!(
                "aliases:6: warning W-AL-MODEA: because\n{path}:6: error E-GW-PORT: because\n1 errors, 1 \
                warnings; \
                 nothing applied\n"
            )
        )
    );
    assert_eq!(json(&["directory", "set", "routes", path]).await["problems"][1]["file"], path);
    let (stale, _) = command_with(b"ok", &["directory", "set", "routes", "-", "--base-version", "3"]).await;
    assert_eq!(format!("{:#}", stale.unwrap_err()), "based on another version");
}

#[tokio::test]
async fn what_cannot_be_read() {
    let (end, said) = command_with(b"ok\n\xff", &["directory", "set", "routes", "-"]).await;
    assert_eq!(end.unwrap(), End::Refused);
    assert_eq!(
        said,
        "stdin:2: error E-ENCODING: byte 3 is not UTF-8\n1 errors, 0 warnings; nothing applied\n"
    );
    let (missing, _) = command_with(b"", &["directory", "set", "routes", "/nonexistent/file"]).await;
    let missing = missing.unwrap_err();
    assert!(missing.is::<Unreadable>());
    assert!(missing.to_string().starts_with("cannot read /nonexistent/file: "), "{missing}");
}

#[tokio::test]
async fn nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let args = Args::try_parse_from(["hikyakuctl", "queue", "list", "--server", &url]).unwrap();
    let error = run(args, Vec::new(), io::empty()).await.unwrap_err();
    assert!(format!("{error:#}").starts_with(&format!("cannot connect to {url}: ")), "{error:#}");
}

fn fs_write(path: &str, text: &str) {
    std::fs::write(path, text).unwrap();
}
