//! The service over gRPC, asked by its own client, on a real nats-server.

use std::net::SocketAddr;

use hikyaku_policy_client::{Asker, PolicyClient, PolicyClientConfig, RecipientVerdict, Verdict};
use hikyaku_proto::directory::v1::{
    CommitDocumentsRequest, CommitDocumentsResponse, Document, GetDirectoryRequest,
    directory_service_client::DirectoryServiceClient,
};
use tonic::{Code, Status, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::*;
use crate::{document::DocumentName, store::tests::Broker};

const PATIENCE: Duration = Duration::from_secs(30);

struct Running {
    address: SocketAddr,
    client: PolicyClient,
    directory: DirectoryServiceClient<Channel>,
    stop: CancellationToken,
    app: tokio::task::JoinHandle<Result<(), RunError>>,
    nats: Broker,
}

async fn start() -> Running {
    let nats = Broker::start();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = App::build(PolicyConfig::default(), listener, nats.connect().await).await.unwrap();
    let stop = CancellationToken::new();
    let app = tokio::spawn(app.run(stop.clone()));
    let client = PolicyClient::new(PolicyClientConfig::new(format!("http://{address}"))).unwrap();
    client.wait_ready(PATIENCE).await.unwrap();
    let directory = DirectoryServiceClient::connect(format!("http://{address}")).await.unwrap();
    Running { address, client, directory, stop, app, nats }
}

impl Running {
    async fn commit(&mut self, base: u64, texts: &[(&str, &str)]) -> Result<CommitDocumentsResponse, Status> {
        let documents =
            texts.iter().map(|(name, text)| Document { name: (*name).to_owned(), text: (*text).to_owned() });
        let request = CommitDocumentsRequest {
            base_version: base,
            documents: documents.collect(),
            validate_only: false,
        };
        Ok(self.directory.commit_documents(request).await?.into_inner())
    }

    async fn recipient(&self, from: &str, to: &str) -> String {
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

#[tokio::test]
async fn a_commit_changes_the_answers() {
    let mut running = start().await;
    // Each question from another client, so that no answer comes from the cache.
    assert_eq!(running.recipient("203.0.113.1", "user1@domain.jp").await, "550 builtin:default");
    let texts = [
        ("own-domains", "domain.jp"),
        ("aliases", "*@domain.jp\t*@domain.jp\nvip@z.example\tvip@domain.jp"),
        ("routes", "domain.jp,inner.domain.jp,25"),
        ("hosts", "inner.domain.jp 192.168.0.20"),
        ("relay-networks", "192.168.0.0/24"),
    ];
    let outcome = running.commit(0, &texts).await.unwrap();
    assert!(outcome.accepted);
    assert_eq!(outcome.version, 1);
    assert_eq!(outcome.problems[0].code, "W-AL-MODEA");
    assert_eq!(outcome.problems[0].line, 1);

    // Domain scope, then address scope.
    let mode_a = "user1@domain.jp [inner.domain.jp]:25 aliases:1";
    assert_eq!(running.recipient("203.0.113.2", "user1@domain.jp").await, mode_a);
    assert_eq!(
        running.recipient("203.0.113.2", "vip@z.example").await,
        "vip@domain.jp [inner.domain.jp]:25 aliases:1"
    );
    assert_eq!(
        running.recipient("203.0.113.2", "postmaster").await,
        "postmaster@domain.jp [inner.domain.jp]:25 aliases:1"
    );
    assert_eq!(running.recipient("192.168.0.20", "user1@domain.jp").await, "554 loop:next-hop-is-client");
    assert_eq!(
        running.recipient("192.168.0.50", "v@y.example").await,
        "v@y.example y.example relay-networks:1"
    );

    let traffic = "destination slow.example connections=1 rate=5/m retry_base=10m backoff=fixed jitter=0.1 \
        egress=a\negress a 192.0.2.7 via proxy.example:1080 name mx.example\n\
        source @news.example bulk=yes share=20%\n";
    running.commit(1, &[("traffic", traffic)]).await.unwrap();
    running.client.wait_ready(PATIENCE).await.unwrap();
    let rules = running.client.traffic();
    let shown: Vec<String> = rules
        .explain_destination(&"slow.example".parse().unwrap())
        .iter()
        .map(|it| format!("{}={} {}", it.key, it.value, it.line))
        .collect();
    assert_eq!(
        shown.join(", "),
        "connections=1 traffic:1, rate=5/m traffic:1, egress=a traffic:1, retry_base=10m traffic:1, \
         backoff=fixed traffic:1, jitter=0.1 traffic:1"
    );
    let pool = rules.pool(&"a".parse().unwrap());
    assert_eq!(pool[0].via.as_ref().unwrap().to_string(), "proxy.example:1080");
    assert_eq!(rules.source(None, &"x@news.example".parse().unwrap()).share, Some(20));
    assert_eq!(rules.site(&["mx.google.com".parse().unwrap()]).name, "*.google.com,*.googlemail.com");

    let own = "a@domain.jp".parse().unwrap();
    let refused =
        running.client.check_sender(&Asker::anonymous("203.0.113.2".parse().unwrap()), &own).await.unwrap();
    let Verdict::Refuse(reply) = refused.decision.verdict else { panic!("accepted") };
    assert!(reply.to_string().starts_with("530 5.7.0 "), "{reply}");

    running.client.wait_ready(PATIENCE).await.unwrap();
    let hosts = running.client.hosts();
    let inner: std::net::IpAddr = "192.168.0.20".parse().unwrap();
    assert_eq!(hosts.addresses(&"inner.domain.jp".parse().unwrap()), Some(&[inner][..]));
}

#[tokio::test]
async fn refusals_of_a_commit() {
    let mut running = start().await;
    let stale = running.commit(7, &[("routes", "")]).await.unwrap_err();
    assert_eq!(stale.code(), Code::Aborted);
    assert!(stale.message().contains("based on version 7, but version 0"), "{}", stale.message());
    let unknown = running.commit(0, &[("gateway.dat", "")]).await.unwrap_err();
    assert_eq!(unknown.code(), Code::InvalidArgument);
    let twice = running.commit(0, &[("routes", ""), ("routes", "")]).await.unwrap_err();
    assert_eq!(twice.code(), Code::InvalidArgument);

    let outcome = running.commit(0, &[("routes", "a.jp,h.jp,0\nb.jp")]).await.unwrap();
    assert!(!outcome.accepted);
    let problems: Vec<(u32, &str)> = outcome.problems.iter().map(|it| (it.line, it.code.as_str())).collect();
    assert_eq!(problems, [(1, "E-GW-PORT"), (2, "E-GW-FIELDS")]);

    let response = running.directory.get_directory(GetDirectoryRequest {}).await.unwrap().into_inner();
    let names: Vec<&str> = response.documents.iter().map(|document| document.name.as_str()).collect();
    assert_eq!(names, DocumentName::ALL.map(DocumentName::name));
    assert_eq!(response.version, 0);
}

#[tokio::test]
async fn health_is_reported_and_a_stop_ends_everything() {
    let running = start().await;
    let channel =
        Channel::from_shared(format!("http://{}", running.address)).unwrap().connect().await.unwrap();
    let mut health = HealthClient::new(channel);
    for service in ["", "hikyaku.policy.v1.PolicyService", "hikyaku.directory.v1.DirectoryService"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        let mut states = health.watch(request).await.unwrap().into_inner();
        let serving =
            async { while states.message().await.unwrap().unwrap().status() != ServingStatus::Serving {} };
        tokio::time::timeout(PATIENCE, serving).await.unwrap();
    }
    running.stop.cancel();
    tokio::time::timeout(PATIENCE, running.app).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_client_does_not_notice_that_the_service_was_started_again() {
    let running = start().await;
    let decision = running.client.check_connection("203.0.113.1".parse().unwrap()).await.unwrap();
    assert_eq!(&*decision.decision.decided_by, "builtin:default");
    running.stop.cancel();
    running.app.await.unwrap().unwrap();

    let listener = TcpListener::bind(running.address).await.unwrap();
    let app = App::build(PolicyConfig::default(), listener, running.nats.connect().await).await.unwrap();
    let store = app.store();
    tokio::spawn(app.run(CancellationToken::new()));
    assert!(store.wait_for_version(0, PATIENCE).await);
    running.client.check_connection("203.0.113.2".parse().unwrap()).await.unwrap();
}
