//! A directory of two documents.

use hikyaku_proto::directory::v1::{self as proto, directory_service_server::DirectoryService};
use tonic::{Request, Response, Status};

use super::{Answers, Scripted};

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
