//! The client against a scripted service over real gRPC on loopback.

mod pods; // several of them

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;

use hikyaku_proto::policy::v1::policy_service_server::{PolicyService, PolicyServiceServer};

use hikyaku_testkit::eventually::eventually;
use hikyaku_types::origin::Listener;
use secrecy::SecretString;

use super::*;
use crate::answer::{RecipientVerdict, Verdict};

const CLIENT: &str = "192.0.2.9";

/// Says yes, counts, and can be told to fail.
#[derive(Debug, Clone, Default)]
struct Script {
    calls: Arc<AtomicUsize>,
    is_broken: Arc<AtomicBool>,
    is_silent: Arc<AtomicBool>,
}

impl Script {
    async fn count(&self) -> Result<(), Status> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if self.is_silent.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if self.is_broken.load(Ordering::SeqCst) {
            // In turn, because each of them was met in a pod that was none of ours, or not as it should be.
            use tonic::Code::{Internal, PermissionDenied, Unauthenticated, Unimplemented};
            let codes = [Internal, PermissionDenied, Unimplemented, Unauthenticated];
            let code = codes[self.calls.load(Ordering::SeqCst) % codes.len()];
            return Err(Status::new(code, "broken by the test"));
        }
        Ok(())
    }
}

fn accept(scope: proto::Scope) -> Option<proto::Decision> {
    Some(proto::Decision {
        verdict: proto::Verdict::Accept.into(),
        decided_by: "builtin:test".to_owned(),
        scope: scope.into(),
        valid_for: Some(prost_types::Duration { seconds: 60, nanos: 0 }),
        ..proto::Decision::default()
    })
}

#[tonic::async_trait]
impl PolicyService for Script {
    async fn check_connection(
        &self,
        _: Request<proto::CheckConnectionRequest>,
    ) -> Result<Response<proto::CheckConnectionResponse>, Status> {
        self.count().await?;
        let decision = accept(proto::Scope::Address);
        Ok(Response::new(proto::CheckConnectionResponse { decision, unlimited: true, max_received: 20 }))
    }

    async fn check_sender(
        &self,
        _: Request<proto::CheckSenderRequest>,
    ) -> Result<Response<proto::CheckSenderResponse>, Status> {
        self.count().await?;
        let decision = accept(proto::Scope::Domain);
        Ok(Response::new(proto::CheckSenderResponse {
            decision,
            trusted: true,
            check_author: false,
            rate: None,
        }))
    }

    /// wide.example holds for the domain, bound.example for the domain and the sender, every other one
    /// for the address.
    async fn check_recipient(
        &self,
        request: Request<proto::CheckRecipientRequest>,
    ) -> Result<Response<proto::CheckRecipientResponse>, Status> {
        self.count().await?;
        let recipient = request.into_inner().recipient;
        let sender_bound = recipient.ends_with("@bound.example");
        let (scope, deliver_to) = if sender_bound || recipient.ends_with("@wide.example") {
            (proto::Scope::Domain, String::new())
        } else {
            (proto::Scope::Address, format!("moved-{recipient}"))
        };
        Ok(Response::new(proto::CheckRecipientResponse {
            decision: accept(scope).map(|decision| proto::Decision { sender_bound, ..decision }),
            deliver_to,
            destination: "[192.0.2.1]:25".to_owned(),
        }))
    }

    /// The password is the login.
    async fn authenticate(
        &self,
        request: Request<proto::AuthenticateRequest>,
    ) -> Result<Response<proto::AuthenticateResponse>, Status> {
        use proto::authenticate_request::Proof as Wire;
        self.count().await?;
        let proto::AuthenticateRequest { login, proof, .. } = request.into_inner();
        let no = proto::Decision {
            verdict: proto::Verdict::Reject.into(),
            code: 535,
            ..accept(proto::Scope::Address).unwrap_or_default()
        };
        let response = match proof {
            Some(Wire::Password(proto::PasswordProof { password })) if password == login => {
                proto::AuthenticateResponse {
                    decision: accept(proto::Scope::Address),
                    identity: format!("{login}@example.org"),
                    ..proto::AuthenticateResponse::default()
                }
            }
            Some(Wire::ScramStart(proto::ScramStart {})) => proto::AuthenticateResponse {
                decision: accept(proto::Scope::Address),
                scram_parameters: Some(proto::ScramParameters { salt: vec![1; 16], iterations: 4_096 }),
                ..proto::AuthenticateResponse::default()
            },
            _ => proto::AuthenticateResponse { decision: Some(no), ..proto::AuthenticateResponse::default() },
        };
        Ok(Response::new(response))
    }

    async fn check_author(
        &self,
        _: Request<proto::CheckAuthorRequest>,
    ) -> Result<Response<proto::CheckAuthorResponse>, Status> {
        self.count().await?;
        Ok(Response::new(proto::CheckAuthorResponse { decision: accept(proto::Scope::Address) }))
    }

    async fn get_overview(
        &self,
        _: Request<proto::GetOverviewRequest>,
    ) -> Result<Response<proto::GetOverviewResponse>, Status> {
        self.count().await?;
        let own = proto::OwnDomain { name: "own.jp".to_owned(), destination: "[192.0.2.1]:25".to_owned() };
        Ok(Response::new(proto::GetOverviewResponse {
            stored_version: 7,
            own_domains: vec![own],
            own_addresses: vec!["198.51.100.11".to_owned()],
            ..proto::GetOverviewResponse::default()
        }))
    }

    async fn resolve_route(
        &self,
        request: Request<proto::ResolveRouteRequest>,
    ) -> Result<Response<proto::ResolveRouteResponse>, Status> {
        self.count().await?;
        Ok(Response::new(proto::ResolveRouteResponse {
            destination: request.into_inner().domain,
            ..proto::ResolveRouteResponse::default()
        }))
    }

    async fn list_hosts(
        &self,
        request: Request<proto::ListHostsRequest>,
    ) -> Result<Response<proto::ListHostsResponse>, Status> {
        let unchanged = request.into_inner().known_version == 7;
        let hosts = vec![proto::HostEntry {
            name: "mx.example".to_owned(),
            addresses: vec!["192.0.2.1".to_owned(), "2001:db8::1".to_owned()],
        }];
        Ok(Response::new(proto::ListHostsResponse {
            version: 7,
            unchanged,
            hosts: if unchanged { Vec::new() } else { hosts },
        }))
    }

    async fn list_hours(
        &self,
        request: Request<proto::ListHoursRequest>,
    ) -> Result<Response<proto::ListHoursResponse>, Status> {
        let unchanged = request.into_inner().known_version == 5;
        let hours = vec![proto::RecipientHours {
            hours: "Mon 00:00-00:01 UTC".to_owned(),
            addresses: vec!["Ann@own.jp".to_owned()],
        }];
        let hours = if unchanged { Vec::new() } else { hours };
        Ok(Response::new(proto::ListHoursResponse { version: 5, unchanged, hours }))
    }

    /// Version 3, and from the moment on that the script is broken a rule that cannot be read.
    async fn get_traffic(
        &self,
        request: Request<proto::GetTrafficRequest>,
    ) -> Result<Response<proto::GetTrafficResponse>, Status> {
        let is_broken = self.is_broken.load(Ordering::SeqCst);
        let unchanged = request.into_inner().known_version == 3 && !is_broken;
        let rule = proto::SiteRule {
            line: Some(proto::RuleLine { shipped: false, line: 1 }),
            pattern: if is_broken { "a b" } else { "*" }.to_owned(),
            connections: Some(7),
            ..proto::SiteRule::default()
        };
        Ok(Response::new(proto::GetTrafficResponse {
            version: 3,
            unchanged,
            sites: if unchanged { Vec::new() } else { vec![rule] },
            ..proto::GetTrafficResponse::default()
        }))
    }
}

async fn serve(script: Script) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder()
        .add_service(PolicyServiceServer::new(script))
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(async move { server.await.unwrap() });
    address
}

async fn ready_client(address: SocketAddr) -> PolicyClient {
    let client = PolicyClient::new(PolicyClientConfig::new(format!("http://{address}"))).unwrap();
    client.wait_ready(Duration::from_secs(10)).await.unwrap();
    client
}

async fn start() -> (Script, PolicyClient) {
    let script = Script::default();
    let address = serve(script.clone()).await;
    (script, ready_client(address).await)
}

fn client_address() -> IpAddr {
    CLIENT.parse().unwrap()
}

fn asker() -> Asker {
    Asker::anonymous(client_address())
}

async fn deliver_to(client: &PolicyClient, recipient: &str) -> String {
    let sender = "a@sender.example".parse().unwrap();
    let answer = client.check_recipient(&asker(), &sender, &recipient.parse().unwrap()).await.unwrap();
    match answer.verdict {
        RecipientVerdict::Accept { deliver_to, destination } => {
            assert_eq!(destination.to_string(), "[192.0.2.1]:25");
            deliver_to.to_string()
        }
        RecipientVerdict::Refuse(reply) => panic!("refused: {reply}"),
    }
}

#[tokio::test]
async fn an_answer_of_address_scope_is_for_the_same_question_only() {
    let (script, client) = start().await;
    assert_eq!(deliver_to(&client, "x@narrow.example").await, "moved-x@narrow.example");
    assert_eq!(deliver_to(&client, "x@narrow.example").await, "moved-x@narrow.example");
    assert_eq!(script.calls.load(Ordering::SeqCst), 1);
    assert_eq!(deliver_to(&client, "y@narrow.example").await, "moved-y@narrow.example");
    assert_eq!(script.calls.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_answer_of_domain_scope_leaves_every_address_unchanged() {
    let (script, client) = start().await;
    for recipient in ["x@wide.example", "y@wide.example", "Z@wide.example"] {
        assert_eq!(deliver_to(&client, recipient).await, recipient);
    }
    assert_eq!(script.calls.load(Ordering::SeqCst), 1);
    let sender = "a@sender.example".parse().unwrap();
    let others = [
        Asker::anonymous("192.0.2.10".parse().unwrap()),
        Asker::new(client_address(), Listener::Submission, None),
        Asker::new(client_address(), Listener::Relay, Some("a@b.example".parse().unwrap())),
    ];
    for (calls, other) in (2..).zip(others) {
        client.check_recipient(&other, &sender, &"x@wide.example".parse().unwrap()).await.unwrap();
        assert_eq!(script.calls.load(Ordering::SeqCst), calls, "{other:?} is another question");
    }
    deliver_to(&client, "x%other@wide.example").await;
    assert_eq!(script.calls.load(Ordering::SeqCst), 5, "it is not meant by its domain");
}

#[tokio::test]
async fn an_answer_for_a_sender_is_for_this_sender_only() {
    let (script, client) = start().await;
    for recipient in ["x@bound.example", "y@bound.example"] {
        assert_eq!(deliver_to(&client, recipient).await, recipient);
    }
    assert_eq!(script.calls.load(Ordering::SeqCst), 1);
    let other = "b@sender.example".parse().unwrap();
    client.check_recipient(&asker(), &other, &"x@bound.example".parse().unwrap()).await.unwrap();
    assert_eq!(script.calls.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_login_is_asked_for_each_time() {
    let (script, client) = start().await;
    let login = "user1";
    for (password, is_right) in [("user1", true), ("wrong", false), ("user1", true)] {
        let proof = SecretString::from(password);
        let answer = client.authenticate(client_address(), login, Proof::Password(&proof)).await.unwrap();
        assert_eq!(matches!(answer, AuthenticationAnswer::Accept { .. }), is_right, "{answer:?}");
    }
    assert_eq!(script.calls.load(Ordering::SeqCst), 3);
    let answer = client.authenticate(client_address(), login, Proof::ScramStart).await.unwrap();
    assert_eq!(answer, AuthenticationAnswer::Continue { salt: vec![1; 16], iterations: 4_096 });
}

#[tokio::test]
async fn a_mapped_client_is_the_ipv4_client() {
    let (script, client) = start().await;
    assert!(client.check_connection(client_address()).await.unwrap().unlimited);
    assert!(client.check_connection("::ffff:192.0.2.9".parse().unwrap()).await.unwrap().unlimited);
    assert_eq!(script.calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_broken_service_is_no_verdict() {
    let (script, client) = start().await;
    script.is_broken.store(true, Ordering::SeqCst);
    assert!(client.check_connection(client_address()).await.is_err());
    assert!(client.check_sender(&asker(), &"a@b.example".parse().unwrap()).await.is_err());
    script.is_broken.store(false, Ordering::SeqCst);
    let answer = client.check_sender(&asker(), &"a@b.example".parse().unwrap()).await.unwrap();
    assert_eq!((answer.decision.verdict, answer.trusted), (Verdict::Accept, true));
}

#[tokio::test]
async fn an_old_route_is_no_answer() {
    let (script, client) = start().await;
    let known = "known.example".parse().unwrap();
    assert_eq!(client.resolve_route(&known, &ReversePath::Null).await.unwrap().to_string(), "known.example");
    script.is_broken.store(true, Ordering::SeqCst);
    assert!(client.resolve_route(&known, &ReversePath::Null).await.is_err());
}

#[tokio::test]
async fn the_host_map_is_here_when_the_client_is_ready() {
    let (_, client) = start().await;
    let hosts = client.hosts();
    let addresses = hosts.addresses(&"mx.example".parse().unwrap()).unwrap();
    assert_eq!(addresses, ["192.0.2.1".parse::<IpAddr>().unwrap(), "2001:db8::1".parse().unwrap()]);
    assert_eq!(hosts.addresses(&"other.example".parse().unwrap()), None);
}

#[tokio::test]
async fn the_last_traffic_rules_stay_in_use() {
    let (script, client) = start().await;
    let mut changes = client.traffic_changes();
    let hosts = ["mx.example".parse().unwrap()];
    assert_eq!(changes.borrow_and_update().site(&hosts).connections, Some(7));
    script.is_broken.store(true, Ordering::SeqCst);
    assert!(client.wait_ready(Duration::from_millis(1)).await.is_err());
    assert_eq!(client.traffic().site(&hosts).connections, Some(7));
    assert!(!changes.has_changed().unwrap(), "what is unchanged is not told");
}

#[tokio::test]
async fn nothing_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = PolicyClient::new(PolicyClientConfig::new(format!("http://{address}"))).unwrap();
    assert!(client.check_connection(client_address()).await.is_err());
    assert!(client.wait_ready(Duration::from_millis(1)).await.is_err());
    assert!(PolicyClient::new(PolicyClientConfig::new("no endpoint")).is_err());
}

#[tokio::test]
async fn an_overview_says_when_the_domain_is_not_an_own_one() {
    let (_script, client) = start().await;
    let (own, other) = ("own.jp".parse().unwrap(), "other.jp".parse().unwrap());
    let overview = client.overview(Some(&own)).await.unwrap();
    assert_eq!((overview.directory.stored_version, overview.directory.not_own), (7, None));
    assert_eq!(overview.own_domains, [(own, "[192.0.2.1]:25".parse().unwrap())]);
    let overview = client.overview(Some(&other)).await.unwrap();
    assert_eq!(overview.directory.not_own.as_deref(), Some("other.jp"));
    assert_eq!(client.overview(None).await.unwrap().directory.not_own, None);
}
