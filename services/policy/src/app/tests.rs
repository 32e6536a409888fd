//! The service over gRPC.

use std::net::IpAddr;

use hikyaku_proto::directory::v1::{
    self as proto, CommitDocumentsRequest, Document, GetDirectoryRequest,
    directory_service_client::DirectoryServiceClient,
};
use tonic::{Code, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::{lab::*, *};
use crate::{
    credential::{CramMd5Verifier, ScramVerifier},
    document::DocumentName,
};

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

    let response = running
        .directory
        .get_directory(GetDirectoryRequest { with_credentials: true, ..GetDirectoryRequest::default() })
        .await
        .unwrap()
        .into_inner();
    let names: Vec<&str> = response.documents.iter().map(|document| document.name.as_str()).collect();
    assert_eq!(names, DocumentName::ALL.map(DocumentName::name));
    assert_eq!(response.version, 0);
}

/// Not even from this machine, where everybody may ask the policy.
#[tokio::test]
async fn the_directory_is_for_who_is_known() {
    let running = start().await;
    let mut nobody = DirectoryServiceClient::connect(format!("http://{}", running.address)).await.unwrap();
    let refused = nobody.get_directory(GetDirectoryRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let change = CommitDocumentsRequest { validate_only: true, ..CommitDocumentsRequest::default() };
    assert_eq!(nobody.commit_documents(change).await.unwrap_err().code(), Code::Unauthenticated);
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

/// Versions are told, compared, searched and brought back.
#[tokio::test]
async fn versions_over_grpc() {
    let mut running = start().await;
    let mut watch =
        running.directory.watch_directory(proto::WatchDirectoryRequest {}).await.unwrap().into_inner();
    let mut in_force = async || watch.message().await.unwrap().unwrap().version;
    assert_eq!(in_force().await, 0);
    let own = ("own-domains", "domain.jp\n");
    running.commit(0, &[own, ("aliases", "user1@domain.jp\tuser1@domain.jp\n")]).await.unwrap();
    running.commit(1, &[("routes", "domain.jp,192.0.2.1,25\n")]).await.unwrap();
    while in_force().await != 2 {}

    let listed = running.directory.list_versions(proto::ListVersionsRequest {}).await.unwrap().into_inner();
    let shown: Vec<(u64, Vec<String>)> =
        listed.versions.into_iter().map(|version| (version.version, version.changed)).collect();
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(shown, [(2, names(&["routes"])), (1, names(&["own-domains", "aliases"]))]);
    let search = proto::SearchDirectoryRequest { text: "DOMAIN.jp".to_owned(), limit: 2 };
    let found = running.directory.search_directory(search).await.unwrap().into_inner();
    let lines: Vec<(&str, u32)> = found.lines.iter().map(|it| (it.document.as_str(), it.line)).collect();
    assert_eq!((lines, found.has_more), (vec![("own-domains", 1), ("aliases", 1)], true));

    let question = proto::Question {
        client: "203.0.113.9".to_owned(),
        reverse_path: "a@x.example".to_owned(),
        recipient: "user1@domain.jp".to_owned(),
        ..proto::Question::default()
    };
    let explain = proto::ExplainRequest { question: Some(question.clone()) };
    let explained = running.directory.explain(explain).await.unwrap().into_inner();
    assert_eq!((explained.steps.len(), explained.decided_by.as_str()), (9, "aliases:1"));
    let other = proto::Question { recipient: "v@z.example".to_owned(), ..question.clone() };
    let replay = |text: &str| proto::ReplayEnvelopesRequest {
        questions: vec![other.clone(), question.clone()],
        documents: vec![Document { name: "routes".to_owned(), text: text.to_owned() }],
    };
    let moved =
        running.directory.replay_envelopes(replay("domain.jp,192.0.2.2,25")).await.unwrap().into_inner();
    assert!(moved.accepted);
    let differences: Vec<(u32, &str, &str)> =
        moved.differences.iter().map(|it| (it.question, it.before.as_str(), it.after.as_str())).collect();
    assert_eq!(
        differences,
        [(1, "250 user1@domain.jp by [192.0.2.1]:25", "250 user1@domain.jp by [192.0.2.2]:25")]
    );
    let refused =
        running.directory.replay_envelopes(replay("domain.jp,192.0.2.x,25")).await.unwrap().into_inner();
    assert!(!refused.accepted && refused.problems.iter().any(|problem| problem.code == "E-GW-NEXTHOP"));
    let tested = running.directory.test_relay(proto::TestRelayRequest {}).await.unwrap().into_inner();
    assert_eq!(tested.forms.iter().filter(|form| form.refused).count(), 30);

    let back = proto::RollBackRequest { base_version: 2, version: 1 };
    let rolled = running.directory.roll_back(back).await.unwrap().into_inner();
    assert_eq!((rolled.version, rolled.accepted), (3, true));
    let version = |version| GetDirectoryRequest { version, with_credentials: false };
    let third = running.directory.get_directory(version(0)).await.unwrap().into_inner();
    let first = running.directory.get_directory(version(1)).await.unwrap().into_inner();
    assert_eq!(third.documents, first.documents);
    assert!(third.documents.iter().all(|document| document.name != "credentials"));
    let unknown = running.directory.get_directory(version(9)).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    let unknown = proto::RollBackRequest { base_version: 3, version: 9 };
    assert_eq!(running.directory.roll_back(unknown).await.unwrap_err().code(), Code::NotFound);
}

/// SEED-112, SEED-116: the right secret, a wrong one and none at all, until the account is locked; also by another process.
#[tokio::test]
async fn logins_over_grpc() {
    let mut running = start().await;
    let scram = ScramVerifier::of_password("pass1234", b"0123456789abcdef", 4_096);
    let cram_md5 = CramMd5Verifier::of_password("tanstaaftanstaaf");
    let texts = [
        ("own-domains", "domain.co.jp".to_owned()),
        (
            "accounts",
            "user1@domain.co.jp\nuser2@domain.co.jp\nbucho@domain.co.jp\noff@domain.co.jp\tsmtp=off\n"
                .to_owned(),
        ),
        (
            "credentials",
            format!(
                "user1@domain.co.jp\tscram-sha-256\t{scram}\nuser2@domain.co.jp\tcram-md5\t{cram_md5}\noff@domain.co.jp\tscram-sha-256\t{scram}\n"
            ),
        ),
        ("settings", "lock_after_failures = 3".to_owned()),
    ];
    let texts: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let outcome = running.commit(0, &texts).await.unwrap();
    assert!(outcome.accepted, "{:?}", outcome.problems);
    let from = |last: u8| IpAddr::from([203, 0, last, 9]);
    let ask = async |client: &PolicyClient, from: IpAddr, name: &str, password: &str| {
        let secret = SecretString::from(password);
        match client.authenticate(from, name, Proof::Password(&secret)).await.unwrap() {
            AuthenticationAnswer::Accept { identity, .. } => format!("235 {identity}"),
            AuthenticationAnswer::Continue { .. } => "334".to_owned(),
            AuthenticationAnswer::Refuse { reply, .. } => {
                format!("{} {}", reply.code(), reply.enhanced().unwrap())
            }
        }
    };
    let client = &running.client;
    for (name, password, said) in [
        ("user1@domain.co.jp", "pass1234", "235 user1@domain.co.jp"),
        ("USER1@domain.co.jp", "pass1234", "235 user1@domain.co.jp"),
        ("user2@domain.co.jp", "tanstaaftanstaaf", "235 user2@domain.co.jp"),
        ("user1@domain.co.jp", "wrong", "535 5.7.8"),
        ("bucho@domain.co.jp", "pass1234", "535 5.7.8"),
        ("off@domain.co.jp", "pass1234", "535 5.7.8"),
        ("nobody@domain.co.jp", "pass1234", "535 5.7.8"),
        ("not an address@", "pass1234", "535 5.7.8"),
    ] {
        assert_eq!(ask(client, from(1), name, password).await, said, "{name}");
    }
    let bare = "user1";
    let secret = SecretString::from("pass1234");
    let answer = client.authenticate(from(1), bare, Proof::Password(&secret)).await.unwrap();
    assert!(matches!(answer, AuthenticationAnswer::Refuse { .. }), "nobody's without a domain (SEED-048)");

    let digest =
        [0xb9, 0x13, 0xa6, 0x02, 0xc7, 0xed, 0xa7, 0xa4, 0x95, 0xb4, 0xe6, 0xe7, 0x33, 0x4d, 0x38, 0x90];
    let proof = Proof::CramMd5 { challenge: b"<1896.697170952@postoffice.reston.mci.net>", digest: &digest };
    let login = "user2@domain.co.jp";
    let answer = client.authenticate(from(1), login, proof).await.unwrap();
    assert!(matches!(answer, AuthenticationAnswer::Accept { .. }), "{answer:?}");
    // A login that does not exist has parameters too, and always the same.
    let unknown = "nobody@domain.co.jp";
    let parameters = async |login| client.authenticate(from(1), login, Proof::ScramStart).await.unwrap();
    assert_eq!(parameters(unknown).await, parameters(unknown).await);
    let expected = AuthenticationAnswer::Continue { salt: b"0123456789abcdef".to_vec(), iterations: 4_096 };
    assert_eq!(parameters("user1@domain.co.jp").await, expected);

    // A login that does not exist has the same salt in every spelling, as one that does.
    let spelled = "Nobody@DOMAIN.co.jp";
    assert_eq!(parameters(unknown).await, parameters(spelled).await);

    let other = running.another().await;
    for _ in 0..3 {
        assert_eq!(ask(client, from(2), "user1@domain.co.jp", "wrong").await, "535 5.7.8");
    }
    for client in [client, &other] {
        assert_eq!(
            ask(client, from(2), "user1@domain.co.jp", "pass1234").await,
            "454 4.7.0",
            "locked for that network"
        );
        assert_eq!(
            ask(client, from(2), r#""us\er1"@domain.co.jp"#, "pass1234").await,
            "454 4.7.0",
            "in any spelling"
        );
        assert_eq!(ask(client, from(3), "user1@domain.co.jp", "pass1234").await, "235 user1@domain.co.jp");
    }
    let unlock = async |login: &str, client: &str| {
        let request = proto::UnlockLoginsRequest { login: login.to_owned(), client: client.to_owned() };
        running.directory.clone().unlock_logins(request).await
    };
    assert_eq!(unlock("", "").await.unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(unlock("User1@domain.co.jp", "").await.unwrap().into_inner().forgotten, 4);
    assert_eq!(
        ask(&other, from(2), "user1@domain.co.jp", "pass1234").await,
        "235 user1@domain.co.jp",
        "unlocked"
    );
    for _ in 0..3 {
        assert_eq!(ask(client, from(5), "user1@domain.co.jp", "wrong").await, "535 5.7.8");
    }
    assert_eq!(unlock("", "203.0.5.77").await.unwrap().into_inner().forgotten, 2);
    assert_eq!(ask(client, from(5), "user1@domain.co.jp", "pass1234").await, "235 user1@domain.co.jp");
    // Guesses side by side do not all pass before the first one counts: two take their turn at a time.
    let guesses = (0..40).map(|_| ask(client, from(4), "user2@domain.co.jp", "wrong"));
    let said = futures::future::join_all(guesses).await;
    assert!(said.iter().filter(|said| *said == "535 5.7.8").count() < 20, "{said:?}");

    // A secret that is taken away does not come back with an earlier version.
    let lock = proto::SetSecretRequest {
        account: "USER1@domain.co.jp".to_owned(),
        ..proto::SetSecretRequest::default()
    };
    let locked = running.directory.set_secret(lock).await.unwrap().into_inner().version;
    let back = proto::RollBackRequest { base_version: locked, version: 1 };
    assert!(running.directory.roll_back(back).await.unwrap().into_inner().accepted);
    assert_eq!(ask(&running.client, from(3), "user1", "pass1234").await, "535 5.7.8");
    let nobody = proto::SetSecretRequest {
        account: "nobody@domain.co.jp".to_owned(),
        ..proto::SetSecretRequest::default()
    };
    assert_eq!(running.directory.set_secret(nobody).await.unwrap_err().code(), Code::NotFound);
}
