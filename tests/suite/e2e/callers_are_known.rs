//! Who may call which service, with real processes.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use hikyaku_testkit::{
    certificates::{Authority, Names},
    client::send_one,
    eventually::eventually,
    mx::{Script, ScriptedMx},
    nats::NatsServer,
    relay::{Relay, token},
};
use serde_json::Value;

use crate::{
    lab::{CONTENT, Lab, SOON},
    rig::{Brokers, Rig, domain},
};

async fn refused(relay: &Relay, who: &[&str], arguments: &[&str]) -> String {
    relay.ctl_as("http", who, arguments).await.unwrap_err().to_string()
}

#[tokio::test]
async fn up_keeps_a_token_for_its_operator() -> anyhow::Result<()> {
    let lab = Lab::new().await?;
    let relay = lab.up().await?;
    let file = lab.folder.path().join("data/operator-token");
    assert_eq!(fs::metadata(&file)?.permissions().mode() & 0o777, 0o600);
    let said: Vec<Value> = relay
        .log()
        .into_iter()
        .filter(|line| line["message"] == "operators show the token in this file")
        .collect();
    assert_eq!(said.len(), 1);
    assert_eq!(said[0]["file"], file.to_string_lossy().as_ref());
    let token = fs::read_to_string(&file)?;
    let log: String = relay.log().iter().map(Value::to_string).collect();
    assert!(!log.contains(token.trim()), "the token itself is told to nobody");
    assert!(relay.ctl(&["queue", "list"]).await?.starts_with("no entries"));
    for command in [["queue", "list"], ["directory", "get"], ["node", "list"], ["dead", "list"]] {
        let said = refused(&relay, &[], &command).await;
        assert!(said.contains(" needs the role viewer, and the call does not say who makes it"), "{said}");
        assert!(said.contains("give --token-file FILE or set HIKYAKU_TOKEN_FILE"), "{said}");
    }
    // The same one after a restart.
    relay.terminate().await?;
    let relay = lab.up().await?;
    assert_eq!(fs::read_to_string(&file)?, token);
    relay.ctl(&["queue", "list"]).await?;
    Ok(())
}

/// Mail that waits, an operator and a viewer.
async fn waiting() -> anyhow::Result<(Lab, Relay, ScriptedMx, String)> {
    let mut lab = Lab::new().await?;
    let away = ScriptedMx::start(Script::RefuseRcpt("451 4.3.2 closed for repair")).await?;
    lab.own_domain("away.test", &away);
    let folder = lab.folder.path();
    let (_, ann) = token(folder, "ann", "operator").await?;
    let (_, bob) = token(folder, "bob", "viewer").await?;
    fs::write(folder.join("callers"), format!("; who may call\n{ann}{bob}"))?;
    let grpc = format!("[grpc]\ncallers = {:?}\n", folder.join("callers"));
    lab.configure(&grpc)?;
    let relay = lab.up().await?;
    let id = send_one(relay.smtp(), "a@client.test", &["b@away.test"], CONTENT).await?;
    relay.wait_for_mail_log("deferred", &id, SOON).await;
    Ok((lab, relay, away, id))
}

fn show<'a>(folder: &Path, name: &str, text: &'a mut String) -> [&'a str; 2] {
    *text = folder.join(format!("{name}-token")).to_string_lossy().into_owned();
    ["--token-file", text]
}

#[tokio::test]
async fn a_viewer_may_look_and_not_change() -> anyhow::Result<()> {
    let (lab, relay, _away, id) = waiting().await?;
    let folder = lab.folder.path();
    let (mut ann, mut bob) = (String::new(), String::new());
    let (ann, bob) = (show(folder, "ann", &mut ann), show(folder, "bob", &mut bob));
    eventually(SOON, async || {
        let list = relay.ctl_as("http", &bob, &["queue", "list"]).await.map_err(|error| error.to_string())?;
        if list.contains(&id) && list.contains("scheduled") { Ok(()) } else { Err(list) }
    })
    .await;
    let diagnoses = &["diagnose", "away.test"][..];
    for looks in
        [diagnoses, &["queue", "count"], &["queue", "show", &id], &["queue", "audit"], &["dest", "list"]]
    {
        relay.ctl_as("http", &bob, looks).await?;
    }
    let destination = relay.ctl_as("http", &bob, &["--json", "dest", "list"]).await?;
    let routes = folder.join("routes");
    fs::write(&routes, "away.test,192.0.2.1,25\n")?;
    let routes = routes.to_string_lossy();
    let before = relay.ctl_as("http", &bob, &["directory", "get", "routes"]).await?;
    let set = ["directory", "set", "routes", &routes];
    let validate = ["directory", "set", "routes", &routes, "--validate-only"];
    assert!(relay.ctl_as("http", &bob, &validate).await?.ends_with("would be applied\n"));

    let all_changes: [&[&str]; 7] = [
        // Asking about a recipient tries who is there.
        &["diagnose", "away.test", "--to", "b@away.test"],
        &["queue", "delete", &id],
        &["queue", "delete", "--all"],
        &["queue", "hold", &id],
        &["queue", "bounce", &id, "--reason", "x"],
        &["node", "drain", "x"],
        &set,
    ];
    for change in all_changes {
        let said = refused(&relay, &bob, change).await;
        assert!(said.contains(" needs the role operator, and bob has the role viewer"), "{said}");
        let said = refused(&relay, &[], change).await;
        assert!(said.contains("does not say who makes it: give --token-file FILE"), "{said}");
    }
    // The hash is no token.
    let hash = folder.join("hash");
    let callers = fs::read_to_string(folder.join("callers"))?;
    fs::write(
        &hash,
        callers.split_whitespace().find(|word| word.starts_with("sha256:")).unwrap_or_default(),
    )?;
    let said = refused(&relay, &["--token-file", &hash.to_string_lossy()], &["queue", "list"]).await;
    assert!(said.contains("the token is not known here"), "{said}");

    let shown = relay.ctl_as("http", &ann, &["--json", "queue", "show", &id]).await?;
    let shown: Value = serde_json::from_str(&shown)?;
    assert_eq!(shown["entries"][0]["state"], "scheduled", "nothing was changed");
    assert_eq!(relay.ctl_as("http", &ann, &["directory", "get", "routes"]).await?, before);
    assert!(relay.mail_log("operator", None).is_empty());
    assert!(destination.contains("away.test") || destination.contains("127.0.0.1"), "{destination}");
    let refusals = relay.log().into_iter().filter(|line| line["message"] == "call was refused").count();
    assert!((1..=20).contains(&refusals), "{refusals}");

    relay.ctl_as("http", &ann, &["queue", "hold", &id]).await?;
    relay.ctl_as("http", &ann, &["queue", "delete", &id]).await?;
    let log = relay.mail_log("operator", None);
    let verbs: Vec<(&Value, &Value)> = log.iter().map(|line| (&line["verb"], &line["who"])).collect();
    assert_eq!(verbs, [(&"hold".into(), &"ann".into()), (&"delete".into(), &"ann".into())]);
    relay.ctl_as("http", &ann, &set).await?;
    let committed = relay.mail_log("directory", None);
    assert_eq!(committed.last().map(|line| line["by"].clone()), Some("ann".into()), "{committed:?}");

    // Bob has left; nothing is started again for that.
    fs::write(folder.join("callers"), without(&callers, "bob"))?;
    eventually(SOON, async || match relay.ctl_as("http", &bob, &["queue", "list"]).await {
        Ok(_) => Err("bob is still known".to_owned()),
        Err(error) if error.to_string().contains("the token is not known here") => Ok(()),
        Err(error) => Err(error.to_string()),
    })
    .await;
    relay.ctl_as("http", &ann, &["queue", "list"]).await?;
    Ok(())
}

/// The lines of the others.
fn without(callers: &str, name: &str) -> String {
    callers.lines().filter(|line| !line.starts_with(name)).map(|line| format!("{line}\n")).collect()
}

/// Who holds is who was admitted, whatever the call says.
#[tokio::test]
async fn a_hold_has_the_name_of_the_caller() -> anyhow::Result<()> {
    let (lab, relay, _away, _) = waiting().await?;
    let mut ann = String::new();
    let ann = show(lab.folder.path(), "ann", &mut ann);
    relay.ctl_as("http", &ann, &["queue", "hold", "--destination", "held.test"]).await?;
    let shown = relay.ctl_as("http", &ann, &["destination", "show", "held.test"]).await?;
    assert!(shown.contains("by ann"), "{shown}");
    Ok(())
}

#[tokio::test]
async fn roles_know_each_other_by_their_certificates() -> anyhow::Result<()> {
    let inner = ScriptedMx::start(Script::Accept).await?;
    let broker = Brokers::One(NatsServer::start()?);
    let mut rig = Rig::secured(broker, &domain("own.test", &inner), true).await?;
    let ingress = rig.ingress().await?;
    let worker = rig.worker().await?;
    let id = send_one(ingress.smtp(), "a@client.test", &["b@own.test"], CONTENT).await?;
    worker.wait_for_mail_log("delivered", &id, SOON).await;

    let stranger = Authority::new("theirs")?;
    stranger.write(Path::new(&rig.path("stranger-ca.crt")))?;
    let names = Names { common: "ann", uris: &["spiffe://rig/ann"], ..Names::default() };
    stranger.issue(&names)?.write(Path::new(&rig.path("")), "stranger")?;
    let list = |ca: &str, pair: Option<&str>, token: Option<&str>| {
        let mut who =
            vec!["--ca".to_owned(), rig.path(ca), "--server-name".to_owned(), "admin.test".to_owned()];
        if let Some(pair) = pair {
            let (certificate, key) = (rig.path(&format!("{pair}.crt")), rig.path(&format!("{pair}.key")));
            who.extend(["--certificate".to_owned(), certificate, "--key".to_owned(), key]);
        }
        who.extend(token.into_iter().flat_map(|token| ["--token-file".to_owned(), rig.path(token)]));
        who
    };
    let ask = async |who: Vec<String>| {
        let who: Vec<&str> = who.iter().map(String::as_str).collect();
        worker.ctl_as("https", &who, &["node", "list"]).await.map_err(|error| error.to_string())
    };
    assert!(ask(list("ca.crt", Some("ann"), None)).await.unwrap().contains("delivery-"));
    assert!(ask(list("ca.crt", Some("relay"), Some("operator-token"))).await.is_ok(), "a token says more");
    let said = ask(list("ca.crt", Some("relay"), None)).await.unwrap_err();
    assert!(said.contains(" needs the role viewer, and relay has the role relay"), "{said}");
    let said = ask(list("ca.crt", Some("policy"), None)).await.unwrap_err();
    assert!(said.contains("no caller is known by the certificate uri:spiffe://rig/policy"), "{said}");
    // Whoever they say they are: another authority says it, or nobody.
    ask(list("ca.crt", Some("stranger"), Some("operator-token"))).await.unwrap_err();
    ask(list("ca.crt", None, Some("operator-token"))).await.unwrap_err();
    let said = ask(list("stranger-ca.crt", Some("ann"), None)).await.unwrap_err();
    assert!(said.contains("UnknownIssuer"), "{said}");
    refused(&worker, &["--token-file", &rig.path("operator-token")], &["node", "list"]).await;
    assert_eq!(rig.policy.log().iter().filter(|line| line["message"] == "call was refused").count(), 0);
    Ok(())
}

/// Whoever cannot ask accepts nothing and refuses nothing for good.
#[tokio::test]
async fn an_ingress_that_the_policy_does_not_know_says_451() -> anyhow::Result<()> {
    let inner = ScriptedMx::start(Script::Accept).await?;
    let broker = Brokers::One(NatsServer::start()?);
    let mut rig = Rig::secured(broker, &domain("own.test", &inner), false).await?;
    let ingress = rig.ingress().await?;
    send_one(ingress.smtp(), "a@client.test", &["b@own.test"], CONTENT).await?;
    let hears = async |wanted: &str| {
        eventually(SOON, async || {
            let said = match send_one(ingress.smtp(), "a@client.test", &["c@own.test"], CONTENT).await {
                Ok(_) => "250".to_owned(),
                Err(error) => error.to_string(),
            };
            if said.contains(wanted) { Ok(()) } else { Err(said) }
        })
        .await;
    };
    // It asks for a certificate now, and this ingress has none.
    rig.policy_again(&rig.policy_tls(Some("ca.crt"))).await?;
    hears("451 4.3.0").await;
    rig.policy_again(&rig.policy_tls(None)).await?;
    hears("250").await;
    // Its token is nobody's any more.
    let callers = rig.path("callers");
    fs::write(&callers, without(&fs::read_to_string(&callers)?, "relay"))?;
    hears("451 4.3.0").await;
    Ok(())
}
