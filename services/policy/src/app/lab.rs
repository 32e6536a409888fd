//! The service as a process has it, on a real nats-server, with its own client.

use std::net::SocketAddr;

use hikyaku_grpc::{Channel as Callers, ClientConfig, GuardConfig, client::Patience};
pub(super) use hikyaku_policy_client::{
    AuthenticationAnswer, PolicyClient, PolicyClientConfig, Proof, RecipientVerdict, Verdict,
};
use hikyaku_proto::directory::v1::{
    CommitDocumentsRequest, CommitDocumentsResponse, Document,
    directory_service_client::DirectoryServiceClient,
};
pub(super) use hikyaku_types::origin::Asker;
pub(super) use secrecy::SecretString;
use tonic::Status;

use super::*;
use crate::{ldap::LdapConfig, store::tests::Broker};

pub(super) const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct Running {
    pub(super) address: SocketAddr,
    pub(super) client: PolicyClient,
    pub(super) directory: DirectoryServiceClient<Callers>,
    _folder: tempfile::TempDir,
    pub(super) stop: CancellationToken,
    pub(super) app: tokio::task::JoinHandle<Result<(), RunError>>,
    pub(super) nats: Broker,
}

pub(super) async fn start() -> Running {
    start_with(Vec::new()).await
}

pub(super) async fn start_with(ldap: Vec<LdapConfig>) -> Running {
    let nats = Broker::start();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    hikyaku_grpc::token::keep(&token).unwrap();
    let guard = GuardConfig { operator_token: Some(token.clone()), ..GuardConfig::default() };
    let config = PolicyConfig { guard: Guard::new(&guard).unwrap(), ldap, ..PolicyConfig::default() };
    let app = App::build(config, listener, nats.connect().await).await.unwrap();
    let stop = CancellationToken::new();
    let app = tokio::spawn(app.run(stop.clone()));
    let client = PolicyClient::new(PolicyClientConfig::new(format!("http://{address}"))).unwrap();
    client.wait_ready(PATIENCE).await.unwrap();
    let access = ClientConfig { token_file: Some(token), ..ClientConfig::default() };
    let patience = Patience { connect: PATIENCE, keep_alive: PATIENCE };
    let channel = hikyaku_grpc::client::connect(&format!("http://{address}"), &access, patience).await;
    let directory = DirectoryServiceClient::new(channel.unwrap());
    Running { address, client, directory, _folder: folder, stop, app, nats }
}

pub(super) async fn client_of(addresses: &[SocketAddr]) -> PolicyClient {
    let urls: Vec<String> = addresses.iter().map(|address| format!("http://{address}")).collect();
    let client = PolicyClient::new(PolicyClientConfig::new(urls.join(","))).unwrap();
    client.wait_ready(PATIENCE).await.unwrap();
    client
}

impl Running {
    /// A client of a second process with the same directory.
    pub(super) async fn another(&self) -> PolicyClient {
        self.another_with(Vec::new()).await
    }

    pub(super) async fn another_with(&self, ldap: Vec<LdapConfig>) -> PolicyClient {
        client_of(&[self.second(ldap).await]).await
    }

    /// A second process with the same directory.
    pub(super) async fn second(&self, ldap: Vec<LdapConfig>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let config = PolicyConfig { ldap, ..PolicyConfig::default() };
        let app = App::build(config, listener, self.nats.connect().await).await.unwrap();
        tokio::spawn(app.run(self.stop.clone()));
        address
    }

    pub(super) async fn commit(
        &mut self,
        base: u64,
        texts: &[(&str, &str)],
    ) -> Result<CommitDocumentsResponse, Status> {
        let documents =
            texts.iter().map(|(name, text)| Document { name: (*name).to_owned(), text: (*text).to_owned() });
        let request = CommitDocumentsRequest {
            base_version: base,
            documents: documents.collect(),
            validate_only: false,
            comment: String::new(),
        };
        Ok(self.directory.commit_documents(request).await?.into_inner())
    }

    pub(super) async fn recipient(&self, from: &str, to: &str) -> String {
        let answer = self
            .client
            .check_recipient(
                &Asker::anonymous(from.parse().unwrap()),
                &"a@x.example".parse().unwrap(),
                &to.parse().unwrap(),
            )
            .await
            .unwrap();
        match answer.verdict {
            RecipientVerdict::Accept { deliver_to, destination } => {
                format!("{deliver_to} {destination} {}", answer.decided_by)
            }
            RecipientVerdict::Refuse(reply) => format!("{} {}", reply.code(), answer.decided_by),
        }
    }
}
