//! The client against a scripted service over real gRPC on loopback.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;

use hikyaku_proto::policy::v1::policy_service_server::{PolicyService, PolicyServiceServer};

use super::*;
use crate::answer::{RecipientVerdict, Verdict};

const CLIENT: &str = "192.0.2.9";

/// Says yes, counts, and can be told to fail.
#[derive(Clone, Default)]
struct Script {
    calls: Arc<AtomicUsize>,
    is_broken: Arc<AtomicBool>,
}

impl Script {
    fn count(&self) -> Result<(), Status> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if self.is_broken.load(Ordering::SeqCst) {
            return Err(Status::internal("broken by the test"));
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
        self.count()?;
        let decision = accept(proto::Scope::Address);
        Ok(Response::new(proto::CheckConnectionResponse { decision, relay_network: true }))
    }

    async fn check_sender(
        &self,
        _: Request<proto::CheckSenderRequest>,
    ) -> Result<Response<proto::CheckSenderResponse>, Status> {
        self.count()?;
        Ok(Response::new(proto::CheckSenderResponse { decision: accept(proto::Scope::Domain) }))
    }

    /// wide.example holds for the domain, every other one for the address.
    async fn check_recipient(
        &self,
        request: Request<proto::CheckRecipientRequest>,
    ) -> Result<Response<proto::CheckRecipientResponse>, Status> {
        self.count()?;
        let recipient = request.into_inner().recipient;
        let (scope, deliver_to) = if recipient.ends_with("@wide.example") {
            (proto::Scope::Domain, String::new())
        } else {
            (proto::Scope::Address, format!("moved-{recipient}"))
        };
        Ok(Response::new(proto::CheckRecipientResponse {
            decision: accept(scope),
            deliver_to,
            destination: "[192.0.2.1]:25".to_owned(),
        }))
    }

    async fn resolve_route(
        &self,
        request: Request<proto::ResolveRouteRequest>,
    ) -> Result<Response<proto::ResolveRouteResponse>, Status> {
        self.count()?;
        Ok(Response::new(proto::ResolveRouteResponse {
            destination: request.into_inner().domain,
            decided_by: String::new(),
            valid_for: None,
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

async fn deliver_to(client: &PolicyClient, recipient: &str) -> String {
    let sender = "a@sender.example".parse().unwrap();
    let answer =
        client.check_recipient(client_address(), &sender, &recipient.parse().unwrap()).await.unwrap();
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
    let other: IpAddr = "192.0.2.10".parse().unwrap();
    let sender = "a@sender.example".parse().unwrap();
    client.check_recipient(other, &sender, &"x@wide.example".parse().unwrap()).await.unwrap();
    assert_eq!(script.calls.load(Ordering::SeqCst), 2, "another client is another question");
}

#[tokio::test]
async fn a_mapped_client_is_the_ipv4_client() {
    let (script, client) = start().await;
    assert!(client.check_connection(client_address()).await.unwrap().relay_network);
    assert!(client.check_connection("::ffff:192.0.2.9".parse().unwrap()).await.unwrap().relay_network);
    assert_eq!(script.calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_broken_service_is_no_verdict() {
    let (script, client) = start().await;
    script.is_broken.store(true, Ordering::SeqCst);
    assert!(client.check_connection(client_address()).await.is_err());
    assert!(client.check_sender(client_address(), &"a@b.example".parse().unwrap()).await.is_err());
    script.is_broken.store(false, Ordering::SeqCst);
    let decision = client.check_sender(client_address(), &"a@b.example".parse().unwrap()).await.unwrap();
    assert_eq!(decision.verdict, Verdict::Accept);
}

#[tokio::test]
async fn an_old_route_is_no_answer() {
    let (script, client) = start().await;
    let known = "known.example".parse().unwrap();
    assert_eq!(client.resolve_route(&known).await.unwrap().to_string(), "known.example");
    script.is_broken.store(true, Ordering::SeqCst);
    assert!(client.resolve_route(&known).await.is_err());
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
