//! Reading and replacing documents, and asking what they mean.

use std::time::{Duration, SystemTime};

use hikyaku_grpc::Role;
use hikyaku_mail_log::{Event, event::Operator, record};
use hikyaku_proto::directory::v1::{self as proto, directory_service_server::DirectoryService};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::{
    directory_wire as wire, import_wire,
    policy::{client, mailbox},
    status::CallError,
};
use crate::{
    authenticate::Authenticator,
    document::{DocumentName, Documents},
    recipients::Recipients,
    rules::explain::Explanation,
    store::{
        Store, StoreError,
        commit::{Author, Mode, Outcome},
        summary,
    },
};

/// Who has committed should find the change in force here. It is stored either way.
const WAIT_FOR_FORCE: Duration = Duration::from_secs(2);
const SEARCH_LIMIT: usize = 1_000;
const SHORTEST_SEARCH: usize = 2;
const MOST_QUESTIONS: usize = 100_000;

#[derive(Debug)]
pub(crate) struct DirectoryGrpc {
    store: Store,
    recipients: Recipients,
    authenticator: Authenticator,
}

impl DirectoryGrpc {
    pub(crate) fn new(store: Store, recipients: Recipients, authenticator: Authenticator) -> Self {
        Self { store, recipients, authenticator }
    }

    async fn commit(
        &self,
        base: u64,
        changes: &Documents,
        mode: Mode,
        author: &Author,
    ) -> Result<Outcome, CallError> {
        let outcome = self.store.commit(base, changes, mode, author).await?;
        if outcome.accepted {
            self.store.wait_for_version(outcome.version, WAIT_FOR_FORCE).await;
        }
        Ok(outcome)
    }
}

#[tonic::async_trait]
impl DirectoryService for DirectoryGrpc {
    type WatchDirectoryStream = ReceiverStream<Result<proto::WatchDirectoryResponse, Status>>;

    async fn get_directory(
        &self,
        request: Request<proto::GetDirectoryRequest>,
    ) -> Result<Response<proto::GetDirectoryResponse>, Status> {
        if request.get_ref().with_credentials {
            hikyaku_grpc::require(&request, Role::Operator)?;
        }
        let proto::GetDirectoryRequest { version, with_credentials } = request.into_inner();
        let (version, documents) = if version == 0 {
            let snapshot = self.store.snapshot().await.map_err(CallError::from)?;
            (snapshot.version(), snapshot.documents)
        } else {
            let documents = self.store.documents_of(version).await.map_err(CallError::from)?;
            (version, documents.ok_or(CallError::NoVersion(version))?)
        };
        let documents = DocumentName::ALL
            .into_iter()
            .filter(|document| with_credentials || *document != DocumentName::Credentials)
            .map(|document| proto::Document {
                name: document.to_string(),
                text: documents.text(document).to_string(),
            });
        Ok(Response::new(proto::GetDirectoryResponse { version, documents: documents.collect() }))
    }

    async fn commit_documents(
        &self,
        request: Request<proto::CommitDocumentsRequest>,
    ) -> Result<Response<proto::CommitDocumentsResponse>, Status> {
        if !request.get_ref().validate_only {
            hikyaku_grpc::require(&request, Role::Operator)?;
        }
        let author = wire::author(&request, request.get_ref().comment.clone())?;
        let proto::CommitDocumentsRequest { base_version, documents, validate_only, comment: _ } =
            request.into_inner();
        let changes = wire::changes(documents)?;
        let mode = if validate_only { Mode::ValidateOnly } else { Mode::Store };
        let Outcome { version, accepted, problems } =
            self.commit(base_version, &changes, mode, &author).await?;
        let problems = problems.into_iter().map(wire::problem).collect();
        Ok(Response::new(proto::CommitDocumentsResponse { version, accepted, problems }))
    }

    async fn import_files(
        &self,
        request: Request<proto::ImportFilesRequest>,
    ) -> Result<Response<proto::ImportFilesResponse>, Status> {
        let author = import_wire::author(&request)?;
        let proto::ImportFilesRequest { files, options, dry_run } = request.into_inner();
        let (files, options) =
            (import_wire::files(files)?, import_wire::options(options.unwrap_or_default())?);
        let mode = if dry_run { Mode::ValidateOnly } else { Mode::Store };
        let outcome = self.store.import(files, options, mode, &author).await.map_err(CallError::from)?;
        if outcome.accepted {
            self.store.wait_for_version(outcome.version, WAIT_FOR_FORCE).await;
        }
        Ok(Response::new(import_wire::response(outcome)))
    }

    async fn set_secret(
        &self,
        request: Request<proto::SetSecretRequest>,
    ) -> Result<Response<proto::SetSecretResponse>, Status> {
        let author = wire::author(&request, format!("secret of {}", request.get_ref().account))?;
        let proto::SetSecretRequest { account, secret, cram_md5 } = request.into_inner();
        let account = mailbox("account", &account)?;
        if !self.store.rules().is_some_and(|rules| rules.has_account(&account)) {
            return Err(CallError::NoAccount(account).into());
        }
        let secret = import_wire::secret(&account, secret);
        let outcome =
            self.store.set_secret(&account, secret, cram_md5, &author).await.map_err(CallError::from)?;
        if !outcome.accepted {
            return Err(CallError::Secret(summary(&outcome.problems)).into());
        }
        self.store.wait_for_version(outcome.version, WAIT_FOR_FORCE).await;
        Ok(Response::new(proto::SetSecretResponse { version: outcome.version }))
    }

    async fn unlock_logins(
        &self,
        request: Request<proto::UnlockLoginsRequest>,
    ) -> Result<Response<proto::UnlockLoginsResponse>, Status> {
        let who = wire::author(&request, String::new())?.name;
        let proto::UnlockLoginsRequest { login, client: from } = request.into_inner();
        let name = Some(&login).filter(|it| !it.is_empty()).map(|it| mailbox("login", it)).transpose()?;
        let network = Some(&from).filter(|it| !it.is_empty()).map(|it| client(it)).transpose()?;
        if name.is_none() && network.is_none() {
            return Err(CallError::Nobody.into());
        }
        let forgotten = self.authenticator.unlock(name.as_ref(), network).await.map_err(StoreError::from);
        let forgotten = forgotten.map_err(CallError::from)?;
        let what = [login, from].into_iter().filter(|it| !it.is_empty()).collect::<Vec<_>>().join(" ");
        record(|| {
            let verb = "unlock".to_owned();
            Event::Operator(Operator { verb, what, who, done: forgotten.into(), ..Operator::default() })
        });
        Ok(Response::new(proto::UnlockLoginsResponse { forgotten }))
    }

    async fn list_versions(
        &self,
        _: Request<proto::ListVersionsRequest>,
    ) -> Result<Response<proto::ListVersionsResponse>, Status> {
        let versions = self.store.versions().await.map_err(CallError::from)?;
        let versions = versions.into_iter().map(wire::version).collect();
        Ok(Response::new(proto::ListVersionsResponse { versions }))
    }

    async fn roll_back(
        &self,
        request: Request<proto::RollBackRequest>,
    ) -> Result<Response<proto::RollBackResponse>, Status> {
        let proto::RollBackRequest { base_version, version } = *request.get_ref();
        let author = wire::author(&request, format!("back to version {version}"))?;
        let documents = self.store.documents_of(version).await.map_err(CallError::from)?;
        let documents = documents.ok_or(CallError::NoVersion(version))?;
        let now = self.store.snapshot().await.map_err(CallError::from)?.documents;
        let changes = wire::rolled_back(&documents, &now);
        let Outcome { version, accepted, problems } =
            self.commit(base_version, &changes, Mode::Store, &author).await?;
        let problems = problems.into_iter().map(wire::problem).collect();
        Ok(Response::new(proto::RollBackResponse { version, accepted, problems }))
    }

    async fn watch_directory(
        &self,
        _: Request<proto::WatchDirectoryRequest>,
    ) -> Result<Response<Self::WatchDirectoryStream>, Status> {
        let mut versions = self.store.versions_in_force();
        let (answers, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            loop {
                let version = *versions.borrow_and_update();
                let told = match version {
                    Some(version) => answers.send(Ok(proto::WatchDirectoryResponse { version })).await,
                    None => Ok(()),
                };
                let changed = tokio::select! {
                    changed = versions.changed() => changed.is_ok(),
                    () = answers.closed() => false,
                };
                if told.is_err() || !changed {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn search_directory(
        &self,
        request: Request<proto::SearchDirectoryRequest>,
    ) -> Result<Response<proto::SearchDirectoryResponse>, Status> {
        let proto::SearchDirectoryRequest { text, limit } = request.into_inner();
        if text.len() < SHORTEST_SEARCH {
            return Err(CallError::Search.into());
        }
        let limit = match usize::try_from(limit) {
            Ok(0) | Err(_) => SEARCH_LIMIT,
            Ok(limit) => limit,
        };
        let rules = self.store.rules().ok_or(CallError::NotLoaded)?;
        let version = rules.version();
        // Millions of lines: not on a thread of the runtime.
        let search = move || wire::search(&rules.documents(), &text, limit);
        let (lines, has_more) = tokio::task::spawn_blocking(search).await.map_err(|_| CallError::Ended)?;
        Ok(Response::new(proto::SearchDirectoryResponse { version, lines, has_more }))
    }

    async fn explain(
        &self,
        request: Request<proto::ExplainRequest>,
    ) -> Result<Response<proto::ExplainResponse>, Status> {
        let question = wire::question(request.into_inner().question.unwrap_or_default())?;
        let rules = self.store.rules().ok_or(CallError::NotLoaded)?;
        let explanation = rules.explain(&question, SystemTime::now());
        let recipient = self.recipients.confirm(explanation.recipient, None).await;
        let explanation = Explanation { recipient, ..explanation };
        Ok(Response::new(wire::explanation(rules.version(), explanation)))
    }

    async fn replay_envelopes(
        &self,
        request: Request<proto::ReplayEnvelopesRequest>,
    ) -> Result<Response<proto::ReplayEnvelopesResponse>, Status> {
        let proto::ReplayEnvelopesRequest { questions, documents } = request.into_inner();
        if questions.len() > MOST_QUESTIONS {
            return Err(CallError::Questions(questions.len()).into());
        }
        let questions: Result<Vec<_>, CallError> = questions.into_iter().map(wire::question).collect();
        let (questions, changes) = (questions?, wire::changes(documents)?);
        let before = self.store.rules().ok_or(CallError::NotLoaded)?;
        let candidate = self.store.candidate(&changes).await.map_err(CallError::from)?;
        let accepted = match candidate {
            Ok(accepted) => accepted,
            Err(rejected) => {
                let problems = rejected.problems.into_iter().map(wire::problem).collect();
                return Ok(Response::new(proto::ReplayEnvelopesResponse {
                    problems,
                    ..proto::ReplayEnvelopesResponse::default()
                }));
            }
        };
        let problems = accepted.problems.into_iter().map(wire::problem).collect();
        let after = accepted.rules;
        let replay = move || wire::differences(&questions, &before, &after, SystemTime::now());
        let differences = tokio::task::spawn_blocking(replay).await.map_err(|_| CallError::Ended)?;
        Ok(Response::new(proto::ReplayEnvelopesResponse { accepted: true, problems, differences }))
    }

    async fn test_relay(
        &self,
        _: Request<proto::TestRelayRequest>,
    ) -> Result<Response<proto::TestRelayResponse>, Status> {
        let rules = self.store.rules().ok_or(CallError::NotLoaded)?;
        let forms = rules.test_for_open_relay(SystemTime::now()).into_iter().map(wire::relay_form).collect();
        Ok(Response::new(proto::TestRelayResponse { version: rules.version(), forms }))
    }
}
