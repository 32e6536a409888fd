//! Recipients and logins that somebody else knows, over gRPC, with a real slapd.

use hikyaku_testkit::{
    certificates::{Authority, Names},
    ldap::{BASE, LdapServer, Person, SEARCHER},
};

use super::{tests::*, *};
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

#[tokio::test]
async fn seed_236_an_ldap_server_has_to_be_known() {
    let mut running = start_with(Vec::new()).await;
    let outcome = running.commit(0, &DOCUMENTS).await.unwrap();
    let codes: Vec<&str> = outcome.problems.iter().map(|problem| problem.code.as_str()).collect();
    assert!(!outcome.accepted && codes.contains(&"E-SRC-LDAP"), "{codes:?}");
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
