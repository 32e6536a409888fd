//! Recipients and logins that somebody else knows, over gRPC, with a real slapd.

use hikyaku_testkit::{
    certificates::{Authority, Names},
    ldap::{BASE, LdapServer, Person, SEARCHER},
};

use super::{lab::*, *};
use crate::ldap::{LdapBind, LdapConfig};

const PEOPLE: [Person<'static>; 3] = [
    Person { name: "ann", mail: &["ann@domain.jp", "info@domain.jp"], password: Some("correct horse") },
    Person { name: "twin-1", mail: &["twin@domain.jp"], password: Some("one") },
    Person { name: "twin-2", mail: &["twin@domain.jp"], password: Some("two") },
];
const DOCUMENTS: [(&str, &str); 3] = [
    ("own-domains", "domain.jp\nopen.jp"),
    (
        "sources",
        "domain.jp recipients=ldap:corp login=ldap:corp\nopen.jp recipients=ldap:corp when-down=accept",
    ),
    ("routes", "*,192.0.2.1,25"),
];

fn corp(server: &LdapServer) -> LdapConfig {
    LdapConfig {
        name: "corp".to_owned(),
        url: format!("ldap://{}", server.address()),
        starttls: false,
        ca: None,
        bind: Some(LdapBind { dn: SEARCHER.to_owned(), password_file: server.password_file().unwrap() }),
        base: BASE.to_owned(),
        recipient_filter: "(mail={address})".to_owned(),
        login_filter: "(mail={address})".to_owned(),
        timeout: Duration::from_secs(5),
    }
}

async fn rcpt(client: &PolicyClient, to: &str) -> String {
    let asker = Asker::anonymous([203, 0, 113, 9].into());
    let answer = client.check_recipient(&asker, &"a@x.example".parse().unwrap(), &to.parse().unwrap()).await;
    match answer.unwrap().verdict {
        RecipientVerdict::Accept { .. } => "250".to_owned(),
        RecipientVerdict::Refuse(reply) => format!("{} {}", reply.code(), reply.enhanced().unwrap()),
    }
}

/// SEED-236: an entry is a recipient, none is 550, and a server that is down is never 550.
#[tokio::test]
async fn seed_236_recipients_of_a_directory() {
    let mut server = match LdapServer::start(&PEOPLE, None).await.unwrap() {
        Ok(server) => server,
        Err(skipped) => return println!("skipped: {skipped}"),
    };
    let mut running = start_with(vec![corp(&server)]).await;
    assert!(running.commit(0, &DOCUMENTS).await.unwrap().accepted);
    let client = &running.client;
    for (to, said) in [
        ("ann@domain.jp", "250"),
        ("INFO@domain.jp", "250"),
        ("twin@domain.jp", "250"),
        ("nobody@domain.jp", "550 5.1.1"),
        // What a client sends is a value: this is not everybody.
        ("*@domain.jp", "550 5.1.1"),
        ("\"*)(mail=ann\"@domain.jp", "550 5.1.1"),
        ("postmaster@domain.jp", "250"),
        // One mailbox in every spelling, whoever asks first.
        ("\"t\\wi\\n\"@domain.jp", "250"),
        ("Twin@domain.jp", "250"),
    ] {
        assert_eq!(rcpt(client, to).await, said, "{to}");
    }
    server.stop();
    // What was answered still holds, also for who asks another process.
    assert_eq!(rcpt(client, "nobody@domain.jp").await, "550 5.1.1");
    let other = running.another_with(vec![corp(&server)]).await;
    assert_eq!(rcpt(&other, "ann@domain.jp").await, "250");
    assert_eq!(rcpt(client, "new@domain.jp").await, "451 4.3.0");
    assert_eq!(rcpt(client, "new@open.jp").await, "250", "the administrator chose it");
    server.resume().await.unwrap();
    assert_eq!(rcpt(client, "other@domain.jp").await, "550 5.1.1");
    running.stop.cancel();
}

/// Who commits must name servers that are there; a process that lacks one later answers for all else.
#[tokio::test]
async fn seed_236_an_ldap_server_has_to_be_known() {
    let mut running = start_with(Vec::new()).await;
    let outcome = running.commit(0, &DOCUMENTS).await.unwrap();
    let codes: Vec<&str> = outcome.problems.iter().map(|problem| problem.code.as_str()).collect();
    assert!(!outcome.accepted && codes.contains(&"E-SRC-LDAP"), "{codes:?}");

    let mut running = start_with(vec![silent().await.0]).await;
    let more = [("own-domains", "domain.jp\nother.jp"), ("aliases", "a@other.jp\ta@other.jp"), DOCUMENTS[1]];
    assert!(running.commit(0, &more).await.unwrap().accepted);
    let other = running.another_with(Vec::new()).await;
    assert_eq!(rcpt(&other, "a@other.jp").await, "250");
    assert_eq!(rcpt(&other, "a@domain.jp").await, "451 4.3.0");
}

/// One pod's answer, by its line, and not another pod's turn: a slow source is no dead pod.
#[tokio::test]
async fn seed_064_a_slow_source_is_asked_by_one_pod() {
    let (config, listener) = silent().await;
    let mut running = start_with(vec![config.clone()]).await;
    assert!(running.commit(0, &DOCUMENTS).await.unwrap().accepted);
    let second = running.second(vec![config]).await;
    let client = client_of(&[running.address, second]).await;
    let asker = Asker::anonymous([203, 0, 113, 9].into());
    let (sender, recipient) = ("a@x.example".parse().unwrap(), "ann@domain.jp".parse().unwrap());
    let answer = client.check_recipient(&asker, &sender, &recipient).await.unwrap();
    assert_eq!(&*answer.decided_by, "sources:1");
    assert_eq!(rcpt(&client, "new@open.jp").await, "250", "the administrator chose it");
    let connections = async {
        let mut kept = Vec::new();
        while let Ok(Ok(connection)) =
            tokio::time::timeout(Duration::from_millis(300), listener.accept()).await
        {
            kept.push(connection);
        }
        kept.len()
    };
    assert!(connections.await <= 2, "one of each pod at most");
}

/// A server that takes connections and says nothing, for as long as the listener lives.
async fn silent() -> (LdapConfig, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = LdapConfig {
        name: "corp".to_owned(),
        url: format!("ldap://{}", listener.local_addr().unwrap()),
        starttls: false,
        ca: None,
        bind: None,
        base: BASE.to_owned(),
        recipient_filter: "(mail={address})".to_owned(),
        login_filter: "(mail={address})".to_owned(),
        timeout: Duration::from_secs(3),
    };
    (config, listener)
}

/// A server that hangs takes nobody else with it: neither logins that are checked here, nor other sources.
#[tokio::test]
async fn seed_236_a_server_that_hangs_is_waited_for_alone() {
    let (config, _listener) = silent().await;
    let mut running = start_with(vec![config]).await;
    let more = [
        ("own-domains", "domain.jp\nother.jp"),
        ("accounts", "user@other.jp"),
        ("aliases", "a@other.jp\ta@other.jp"),
        ("sources", "domain.jp recipients=ldap:corp login=ldap:corp"),
    ];
    assert!(running.commit(0, &more).await.unwrap().accepted);
    let client = &running.client;
    let login = async |name: &str| {
        let secret = SecretString::from("wrong");
        let from = [203, 0, 113, 9].into();
        match client.authenticate(from, name, Proof::Password(&secret)).await.unwrap() {
            AuthenticationAnswer::Refuse { reply, .. } => reply.code(),
            other @ (AuthenticationAnswer::Accept { .. } | AuthenticationAnswer::Continue { .. }) => {
                panic!("{other:?}")
            }
        }
    };
    let names: Vec<String> = (0..40).map(|n| format!("u{n}@domain.jp")).collect();
    let hanging = futures::future::join_all(names.iter().map(|name| login(name)));
    let theirs = async {
        // Once those hang.
        tokio::time::sleep(Duration::from_millis(300)).await;
        (login("user@other.jp").await, rcpt(client, "a@other.jp").await)
    };
    let (codes, theirs) = tokio::join!(hanging, theirs);
    assert_eq!(theirs, (535, "250".to_owned()));
    assert!(codes.iter().all(|code| *code == 454), "{codes:?}");
}

/// SEED-236: a bind decides. Whatever goes wrong there is 454, and only a wrong password is a failure.
#[tokio::test]
async fn seed_236_logins_of_a_directory() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("corp").unwrap();
    let ca = folder.path().join("ca.crt");
    authority.write(&ca).unwrap();
    let names = Names { common: "ldap", dns: &["127.0.0.1"], uris: &[] };
    let pair = authority.issue(&names).unwrap().write(folder.path(), "ldap").unwrap();
    let mut server = match LdapServer::start(&PEOPLE, Some(&pair)).await.unwrap() {
        Ok(server) => server,
        Err(skipped) => return println!("skipped: {skipped}"),
    };
    let config = LdapConfig { starttls: true, ca: Some(ca), ..corp(&server) };
    let mut running = start_with(vec![config]).await;
    let settings = ("settings", "lock_after_failures = 10");
    assert!(running.commit(0, &[&DOCUMENTS[..], &[settings]].concat()).await.unwrap().accepted);
    let login = async |name: &str, password: &str| {
        let secret = SecretString::from(password);
        let from = [203, 0, 113, 9].into();
        match running.client.authenticate(from, name, Proof::Password(&secret)).await.unwrap() {
            AuthenticationAnswer::Accept { identity, .. } => format!("235 {identity}"),
            AuthenticationAnswer::Continue { .. } => "334".to_owned(),
            AuthenticationAnswer::Refuse { reply, .. } => format!("{}", reply.code()),
        }
    };
    for (name, password, said) in [
        ("ann@domain.jp", "correct horse", "235 ann@domain.jp"),
        ("info@domain.jp", "correct horse", "235 info@domain.jp"),
        ("ann@domain.jp", "wrong", "535"),
        // RFC 4513 5.1.2: a bind without a password succeeds and proves nothing.
        ("ann@domain.jp", "", "535"),
        ("nobody@domain.jp", "correct horse", "535"),
        ("nobody@domain.jp", "", "535"),
        ("*@domain.jp", "correct horse", "535"),
        ("ann@open.jp", "correct horse", "535"),
        ("twin@domain.jp", "one", "454"),
    ] {
        assert_eq!(login(name, password).await, said, "{name} {password:?}");
    }
    server.stop();
    for _ in 0..20 {
        assert_eq!(login("ann@domain.jp", "correct horse").await, "454");
    }
    server.resume().await.unwrap();
    assert_eq!(login("ann@domain.jp", "correct horse").await, "235 ann@domain.jp", "nobody was locked");
    running.stop.cancel();
}

/// A server whose certificate is of nobody that we trust hears no password.
#[tokio::test]
async fn seed_236_a_stranger_hears_no_password() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (Authority::new("ours").unwrap(), Authority::new("theirs").unwrap());
    let ca = folder.path().join("ca.crt");
    ours.write(&ca).unwrap();
    let names = Names { common: "ldap", dns: &["127.0.0.1"], uris: &[] };
    let pair = theirs.issue(&names).unwrap().write(folder.path(), "ldap").unwrap();
    let server = match LdapServer::start(&PEOPLE, Some(&pair)).await.unwrap() {
        Ok(server) => server,
        Err(skipped) => return println!("skipped: {skipped}"),
    };
    let config = LdapConfig { starttls: true, ca: Some(ca), ..corp(&server) };
    let mut running = start_with(vec![config]).await;
    assert!(running.commit(0, &DOCUMENTS).await.unwrap().accepted);
    assert_eq!(rcpt(&running.client, "ann@domain.jp").await, "451 4.3.0");
}
