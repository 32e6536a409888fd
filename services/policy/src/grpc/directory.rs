//! Reading and replacing documents.

use std::{collections::HashSet, time::Duration};

use hikyaku_proto::directory::v1::{self as proto, directory_service_server::DirectoryService};
use tonic::{Request, Response, Status};

use super::status::CallError;
use crate::{
    document::{DocumentName, Documents},
    problem::{Problem, Severity},
    store::{Store, commit::Mode},
};

/// Who has committed should find the change in force here. It is stored either way.
const WAIT_FOR_FORCE: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(crate) struct DirectoryGrpc {
    store: Store,
}

impl DirectoryGrpc {
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }
}

#[tonic::async_trait]
impl DirectoryService for DirectoryGrpc {
    async fn get_directory(
        &self,
        _: Request<proto::GetDirectoryRequest>,
    ) -> Result<Response<proto::GetDirectoryResponse>, Status> {
        let snapshot = self.store.snapshot().await.map_err(CallError::from)?;
        let documents = DocumentName::ALL.into_iter().map(|document| proto::Document {
            name: document.to_string(),
            text: snapshot.documents.text(document).to_string(),
        });
        Ok(Response::new(proto::GetDirectoryResponse {
            version: snapshot.version(),
            documents: documents.collect(),
        }))
    }

    async fn commit_documents(
        &self,
        request: Request<proto::CommitDocumentsRequest>,
    ) -> Result<Response<proto::CommitDocumentsResponse>, Status> {
        let proto::CommitDocumentsRequest { base_version, documents, validate_only } = request.into_inner();
        let changes = changes(documents)?;
        let mode = if validate_only { Mode::ValidateOnly } else { Mode::Store };
        let outcome = self.store.commit(base_version, &changes, mode).await.map_err(CallError::from)?;
        if outcome.accepted {
            self.store.wait_for_version(outcome.version, WAIT_FOR_FORCE).await;
        }
        Ok(Response::new(proto::CommitDocumentsResponse {
            version: outcome.version,
            accepted: outcome.accepted,
            problems: outcome.problems.into_iter().map(problem).collect(),
        }))
    }
}

fn changes(documents: Vec<proto::Document>) -> Result<Documents, CallError> {
    let mut seen = HashSet::new();
    let mut changes = Documents::default();
    for proto::Document { name, text } in documents {
        let document: DocumentName = name.parse()?;
        if !seen.insert(document) {
            return Err(CallError::Twice(name));
        }
        changes.set(document, text);
    }
    Ok(changes)
}

fn problem(problem: Problem) -> proto::Problem {
    let severity = match problem.severity {
        Severity::Note => proto::Severity::Note,
        Severity::Warning => proto::Severity::Warning,
        Severity::Error => proto::Severity::Error,
    };
    proto::Problem {
        document: problem.document.to_string(),
        line: problem.line,
        severity: severity.into(),
        code: problem.code.to_owned(),
        reason: problem.reason,
    }
}
