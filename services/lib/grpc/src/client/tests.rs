//! Channels to a server behind its guard, over real TCP and TLS.

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use hikyaku_proto::admin::v1::{
    DrainNodeRequest, DrainNodeResponse, ListNodesRequest, ListNodesResponse, Worker,
    node_admin_service_client::NodeAdminServiceClient,
    node_admin_service_server::{NodeAdminService, NodeAdminServiceServer},
};
use hikyaku_testkit::{
    certificates::{Authority, Names},
    eventually::eventually,
};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tonic::{Code, Request, Response, Status, transport::Server};

use super::{pods::Pods, *};
use crate::{
    callers,
    guard::{Guard, GuardConfig},
    role::Role,
    tls::{Identity, ServerTls},
    token::TokenHash,
};

const SOON: Duration = Duration::from_secs(30);
pub(super) const PATIENCE: Patience =
    Patience { connect: Duration::from_secs(10), keep_alive: Duration::from_secs(10) };

/// Lists who asks. A drain of "all" needs more than the table says.
struct Mirror;

#[tonic::async_trait]
impl NodeAdminService for Mirror {
    async fn list_nodes(
        &self,
        request: Request<ListNodesRequest>,
    ) -> Result<Response<ListNodesResponse>, Status> {
        let shown = |caller: &callers::Caller| format!("{} {}", caller.name, caller.role);
        let id = crate::caller(&request).map(shown).unwrap_or_default();
        assert!(!request.metadata().contains_key("authorization"), "services do not see tokens");
        if id.ends_with("viewer") {
            crate::require(&request, Role::Operator)?;
        }
        let workers = vec![Worker { id, ..Worker::default() }];
        Ok(Response::new(ListNodesResponse { workers, shards: 0 }))
    }

    async fn drain_node(&self, _: Request<DrainNodeRequest>) -> Result<Response<DrainNodeResponse>, Status> {
        Ok(Response::new(DrainNodeResponse {}))
    }
}

pub(super) struct Lab {
    folder: TempDir,
    authority: Authority,
}

impl Lab {
    pub(super) fn new() -> Self {
        let lab = Self { folder: tempfile::tempdir().unwrap(), authority: Authority::new("ours").unwrap() };
        lab.authority.write(&lab.path("ca.crt")).unwrap();
        let callers = format!(
            "ann operator {}\nbob viewer {}\nworker operator uri:spiffe://test/worker\n",
            TokenHash::of("of-ann"),
            TokenHash::of("of-bob")
        );
        fs::write(lab.path("callers"), callers).unwrap();
        fs::write(lab.path("ann"), "of-ann\n").unwrap();
        fs::write(lab.path("bob"), "of-bob\n").unwrap();
        fs::write(lab.path("eve"), "of-eve\n").unwrap();
        lab.issue("server", &Names { dns: &["server.test"], ..Names::default() });
        lab.issue("worker", &Names { uris: &["spiffe://test/worker"], ..Names::default() });
        lab.issue("other", &Names { common: "other", ..Names::default() });
        lab
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn issue(&self, name: &str, names: &Names<'_>) -> Identity {
        let files = self.authority.issue(names).unwrap().write(self.folder.path(), name).unwrap();
        Identity { certificate: files.certificate, key: files.key }
    }

    fn identity(&self, name: &str) -> Identity {
        Identity { certificate: self.path(&format!("{name}.crt")), key: self.path(&format!("{name}.key")) }
    }

    pub(super) async fn serve(&self, client_ca: bool) -> SocketAddr {
        let client_ca = client_ca.then(|| self.path("ca.crt"));
        let tls = ServerTls { identity: self.identity("server"), client_ca };
        let config = GuardConfig { tls: Some(tls), ..self.callers() };
        serve(&Guard::new(&config).unwrap()).await
    }

    fn callers(&self) -> GuardConfig {
        GuardConfig { callers: Some(self.path("callers")), ..GuardConfig::default() }
    }

    pub(super) fn client(&self, identity: Option<&str>, token: Option<&str>) -> ClientConfig {
        let tls = ClientTls {
            ca: self.path("ca.crt"),
            identity: identity.map(|name| self.identity(name)),
            server_name: Some("server.test".to_owned()),
        };
        ClientConfig { tls: Some(tls), token_file: token.map(|name| self.path(name)), plaintext: false }
    }
}

async fn serve(guard: &Guard) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder()
        .layer(guard.gate(&listener).unwrap())
        .add_service(NodeAdminServiceServer::new(Mirror))
        .serve_with_incoming(guard.incoming(listener));
    tokio::spawn(async move { server.await.unwrap() });
    address
}

/// Who the server says that we are.
pub(super) async fn ask(channel: &Channel) -> Result<String, Status> {
    let mut client = NodeAdminServiceClient::new(channel.clone());
    let workers = client.list_nodes(ListNodesRequest {}).await?.into_inner().workers;
    Ok(workers.into_iter().map(|worker| worker.id).collect())
}

async fn tls_channel(address: SocketAddr, config: &ClientConfig) -> Channel {
    connect(&format!("https://{address}"), config, PATIENCE).await.unwrap()
}

async fn refused(address: SocketAddr, config: &ClientConfig) -> (Code, String) {
    let status = ask(&tls_channel(address, config).await).await.unwrap_err();
    (status.code(), status.message().to_owned())
}

/// Why there is no connection, with all causes.
async fn not_connected(address: SocketAddr, config: &ClientConfig) -> String {
    let error: Box<dyn std::error::Error> =
        match connect(&format!("https://{address}"), config, PATIENCE).await {
            // In TLS 1.3 the server refuses a certificate after the handshake.
            Ok(channel) => Box::new(ask(&channel).await.unwrap_err()),
            Err(error) => Box::new(error),
        };
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}

#[tokio::test]
async fn certificates_and_tokens_say_who_calls() {
    let lab = Lab::new();
    let server = lab.serve(true).await;
    let worker = lab.client(Some("worker"), None);
    assert_eq!(ask(&tls_channel(server, &worker).await).await.unwrap(), "worker operator");
    let both = lab.client(Some("other"), Some("ann"));
    assert_eq!(ask(&tls_channel(server, &both).await).await.unwrap(), "ann operator");
    let (code, said) = refused(server, &lab.client(Some("other"), None)).await;
    assert_eq!((code, &*said), (Code::Unauthenticated, "no caller is known by the certificate cn:other"));
    let (code, said) = refused(server, &lab.client(Some("worker"), Some("eve"))).await;
    assert_eq!((code, &*said), (Code::Unauthenticated, "the token is not known here"));
    let needs =
        "hikyaku.admin.v1.NodeAdminService/ListNodes needs the role operator, and bob has the role viewer";
    let (code, said) = refused(server, &lab.client(Some("other"), Some("bob"))).await;
    assert_eq!((code, &*said), (Code::PermissionDenied, needs), "asked for by the handler");

    // Without a certificate no connection, whatever else is shown.
    not_connected(server, &lab.client(None, Some("ann"))).await;
    let stranger = Authority::new("theirs").unwrap();
    let pair = stranger.issue(&Names { uris: &["spiffe://test/worker"], ..Names::default() }).unwrap();
    pair.write(lab.folder.path(), "stranger").unwrap();
    not_connected(server, &lab.client(Some("stranger"), None)).await;
    // A server that nobody whom we trust has vouched for, or that has another name.
    stranger.write(&lab.path("stranger-ca.crt")).unwrap();
    let mut config = lab.client(Some("worker"), None);
    config.tls.as_mut().unwrap().ca = lab.path("stranger-ca.crt");
    let said = not_connected(server, &config).await;
    assert!(said.contains("UnknownIssuer"), "{said}");
    let mut config = lab.client(Some("worker"), None);
    config.tls.as_mut().unwrap().server_name = Some("elsewhere.test".to_owned());
    let said = not_connected(server, &config).await;
    assert!(said.contains("not valid for name"), "{said}");
    // The others did no harm.
    assert_eq!(ask(&tls_channel(server, &worker).await).await.unwrap(), "worker operator");
}

#[tokio::test]
async fn without_a_client_authority_a_token_is_enough() {
    let lab = Lab::new();
    let server = lab.serve(false).await;
    assert_eq!(
        ask(&tls_channel(server, &lab.client(None, Some("ann"))).await).await.unwrap(),
        "ann operator"
    );
    assert_eq!(refused(server, &lab.client(None, None)).await.0, Code::Unauthenticated);
}

#[tokio::test]
async fn renewed_certificates_are_for_new_connections() {
    let lab = Lab::new();
    let server = lab.serve(true).await;
    let config = lab.client(Some("worker"), None);
    let old = tls_channel(server, &config).await;
    ask(&old).await.unwrap();
    // A key that does not belong to the certificate changes nothing.
    let right = fs::read(lab.path("server.key")).unwrap();
    fs::copy(lab.path("other.key"), lab.path("server.key")).unwrap();
    ask(&tls_channel(server, &config).await).await.unwrap();
    fs::write(lab.path("server.key"), right).unwrap();

    let next = Authority::new("next").unwrap();
    let pair = next.issue(&Names { dns: &["server.test"], ..Names::default() }).unwrap();
    pair.write(lab.folder.path(), "server").unwrap();
    next.write(&lab.path("next-ca.crt")).unwrap();
    let mut trusting = config.clone();
    trusting.tls.as_mut().unwrap().ca = lab.path("next-ca.crt");
    eventually(SOON, async || {
        let url = format!("https://{server}");
        let channel = connect(&url, &trusting, PATIENCE).await.map_err(|error| error.to_string())?;
        ask(&channel).await.map_err(|status| status.to_string())
    })
    .await;
    let said = not_connected(server, &config).await;
    assert!(said.contains("UnknownIssuer"), "{said}");
    assert_eq!(ask(&old).await.unwrap(), "worker operator", "its connection is as it was");
}

#[tokio::test]
async fn callers_and_tokens_change_without_a_new_connection() {
    let lab = Lab::new();
    let server = serve(&Guard::new(&lab.callers()).unwrap()).await;
    let config = ClientConfig { token_file: Some(lab.path("ann")), ..ClientConfig::default() };
    let channel = connect(&format!("http://{server}"), &config, PATIENCE).await.unwrap();
    assert_eq!(ask(&channel).await.unwrap(), "ann operator");
    let becomes = async |wanted: &str| {
        eventually(SOON, async || match ask(&channel).await {
            Ok(now) if now == wanted => Ok(()),
            Err(status) if status.message() == wanted => Ok(()),
            other => Err(format!("{other:?}, not {wanted}")),
        })
        .await;
    };
    fs::write(lab.path("callers"), format!("carl operator {}\n", TokenHash::of("of-carl"))).unwrap();
    becomes("the token is not known here").await;
    fs::write(lab.path("ann"), "of-carl").unwrap();
    becomes("carl operator").await;
}

#[tokio::test]
async fn the_token_of_up_is_that_of_an_operator() {
    let lab = Lab::new();
    let guard = GuardConfig { operator_token: Some(lab.path("eve")), ..GuardConfig::default() };
    let server = serve(&Guard::new(&guard).unwrap()).await;
    let config = ClientConfig { token_file: Some(lab.path("eve")), ..ClientConfig::default() };
    let channel = connect(&format!("http://{server}"), &config, PATIENCE).await.unwrap();
    assert_eq!(ask(&channel).await.unwrap(), "operator operator");
}

#[tokio::test]
async fn what_cannot_be_a_channel() {
    let lab = Lab::new();
    let said = |url: &str, config: &ClientConfig| Pods::find(url, config, PATIENCE).unwrap_err().to_string();
    let plain = ClientConfig { token_file: Some(lab.path("ann")), ..ClientConfig::default() };
    for bad in ["", "host", "host:1", "ftp://host:1", "http://"] {
        assert!(said(bad, &plain).contains("is not an endpoint of the form http://host:port"), "{bad:?}");
    }
    assert!(
        said("https://a.test:1", &plain).starts_with("https://a.test:1 needs the file of the authorities")
    );
    assert!(
        said("http://192.0.2.1:1", &plain)
            .starts_with("the token is not sent to http://192.0.2.1:1 without TLS")
    );
    for near in ["http://127.0.0.1:1", "http://[::1]:1", "http://localhost:1"] {
        Pods::find(near, &plain, PATIENCE).unwrap();
    }
    Pods::find("http://192.0.2.1:1", &ClientConfig { plaintext: true, ..plain.clone() }, PATIENCE).unwrap();
    Pods::find("http://192.0.2.1:1", &ClientConfig::default(), PATIENCE).unwrap();
    let missing = ClientConfig { token_file: Some(lab.path("nobody")), ..ClientConfig::default() };
    assert!(said("http://127.0.0.1:1", &missing).starts_with("cannot read "));
    fs::write(lab.path("empty"), "\n").unwrap();
    let empty = ClientConfig { token_file: Some(lab.path("empty")), ..ClientConfig::default() };
    assert!(said("http://127.0.0.1:1", &empty).ends_with("a token is 1 to 1024 visible ASCII characters"));
    for (certificate, key) in [("worker.crt", "other.key"), ("ann", "worker.key"), ("worker.crt", "ann")] {
        let mut config = lab.client(Some("worker"), None);
        let identity = Identity { certificate: lab.path(certificate), key: lab.path(key) };
        config.tls.as_mut().unwrap().identity = Some(identity);
        let error = said("https://127.0.0.1:1", &config);
        let file = Path::new(if certificate == "ann" { certificate } else { key });
        assert!(error.starts_with(&format!("{}: ", lab.folder.path().join(file).display())), "{error}");
        assert!(!error.contains("of-ann"), "{error}");
    }
}
