use hikyaku_testkit::{
    client::send_one,
    eventually::eventually,
    mx::{Script, ScriptedMx},
};
use serde_json::Value;

use crate::lab::{CONTENT, Lab, SOON};

#[tokio::test]
async fn list_show_retry_delete() -> anyhow::Result<()> {
    let mut lab = Lab::new().await?;
    let inner = ScriptedMx::start(Script::RefuseRcpt("451 4.7.1 later")).await?;
    lab.own_domain("own.test", &inner);
    let relay = lab.up().await?;
    let id = send_one(relay.smtp(), "a@client.test", &["b@own.test"], CONTENT).await?;
    relay.wait_for_mail_log("deferred", &id, SOON).await;

    let entries = eventually(SOON, async || match relay.queue().await {
        Ok(entries) if entries.len() == 1 => Ok(entries),
        other => Err(format!("{other:?}")),
    })
    .await;
    assert!(entries[0].to_string().contains("scheduled"), "{entries:?}");
    let shown = relay.ctl(&["queue", "show", &id]).await?;
    assert!(shown.contains("451 4.7.1 later") && shown.contains("b@own.test"), "{shown}");
    let table = relay.ctl(&["queue", "list"]).await?;
    assert!(table.contains(&id) && table.contains("scheduled"), "{table}");

    let before = inner.attempts().len();
    relay.ctl(&["queue", "retry", &id]).await?;
    eventually(SOON, async || match inner.attempts().len() {
        count if count > before => Ok(()),
        count => Err(format!("{count} attempts")),
    })
    .await;
    eventually(SOON, async || match relay.mail_log("deferred", Some(&id)).len() {
        2 => Ok(()),
        count => Err(format!("{count} deferrals")),
    })
    .await;

    inner.set(Script::Accept);
    let destination = format!("[{}]:{}", inner.address().ip(), inner.address().port());
    eventually(SOON, async || {
        let text = relay.ctl(&["queue", "delete", "--destination", &destination]).await;
        let text = text.map_err(|error| error.to_string())?;
        if text.contains('1') { Ok(()) } else { Err(text) }
    })
    .await;
    assert_eq!(relay.queue().await?, Vec::<Value>::new());
    assert_eq!(inner.received_count(), 0);
    assert!(relay.ctl(&["queue", "show", &id]).await.is_err());
    Ok(())
}

/// SEED-022: queued mail uses the new route at its next attempt.
#[tokio::test]
async fn a_new_route_moves_what_waits() -> anyhow::Result<()> {
    let mut lab = Lab::new().await?;
    let old = ScriptedMx::start(Script::RefuseRcpt("451 4.3.2 closed for repair")).await?;
    let new = ScriptedMx::start(Script::Accept).await?;
    lab.own_domain("own.test", &old);
    let relay = lab.up().await?;
    let id = send_one(relay.smtp(), "a@client.test", &["b@own.test"], CONTENT).await?;
    relay.wait_for_mail_log("deferred", &id, SOON).await;
    let file = lab.folder.path().join("routes");
    std::fs::write(&file, format!("own.test,{},{}\n", new.address().ip(), new.address().port()))?;
    relay.ctl(&["directory", "set", "routes", &file.to_string_lossy()]).await?;
    eventually(SOON, async || {
        relay.ctl(&["queue", "retry", &id]).await.map_err(|error| error.to_string())?;
        if new.received_count() == 1 { Ok(()) } else { Err("not at the new host".to_owned()) }
    })
    .await;
    assert_eq!(relay.mail_log("rerouted", Some(&id)).len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_bad_document_changes_nothing() -> anyhow::Result<()> {
    let mut lab = Lab::new().await?;
    let inner = ScriptedMx::start(Script::Accept).await?;
    lab.own_domain("own.test", &inner);
    let relay = lab.up().await?;
    let before = relay.ctl(&["directory", "get", "routes"]).await?;
    let file = lab.folder.path().join("gw.dat");
    std::fs::write(&file, "own.test, 192.168.0.x, 25\nabc.jp,192.168.0.9,70000\n")?;
    let error =
        relay.ctl(&["directory", "set", "routes", &file.to_string_lossy()]).await.unwrap_err().to_string();
    assert!(error.contains("gw.dat:1: error E-GW-NEXTHOP"), "{error}");
    assert!(error.contains("gw.dat:2: error E-GW-PORT"), "{error}");
    assert_eq!(relay.ctl(&["directory", "get", "routes"]).await?, before);
    Ok(())
}

/// Recipients that shared a next hop part when one of their routes changes.
#[tokio::test]
async fn a_new_route_for_one_domain_moves_only_its_recipients() -> anyhow::Result<()> {
    let mut lab = Lab::new().await?;
    let old = ScriptedMx::start(Script::RefuseRcpt("451 4.3.2 closed for repair")).await?;
    let new = ScriptedMx::start(Script::Accept).await?;
    lab.own_domain("stays.test", &old);
    lab.own_domain("moves.test", &old);
    let relay = lab.up().await?;
    // Larger than what travels inside an envelope.
    let content = format!("{CONTENT}{}", "0123456789abcdef\r\n".repeat(8_000));
    let id = send_one(relay.smtp(), "a@client.test", &["a@stays.test", "b@moves.test"], &content).await?;
    relay.wait_for_mail_log("deferred", &id, SOON).await;
    let file = lab.folder.path().join("routes");
    let line =
        |domain: &str, mx: &ScriptedMx| format!("{domain},{},{}\n", mx.address().ip(), mx.address().port());
    std::fs::write(&file, line("stays.test", &old) + &line("moves.test", &new))?;
    relay.ctl(&["directory", "set", "routes", &file.to_string_lossy()]).await?;
    eventually(SOON, async || {
        relay.ctl(&["queue", "retry", &id]).await.map_err(|error| error.to_string())?;
        if new.received_count() == 1 { Ok(()) } else { Err("not at the new host".to_owned()) }
    })
    .await;
    assert_eq!(new.received()[0].recipients, ["b@moves.test"]);
    assert!(new.received()[0].text().ends_with(&content));
    old.set(Script::Accept);
    eventually(SOON, async || {
        relay.ctl(&["queue", "retry", &id]).await.map_err(|error| error.to_string())?;
        if old.received_count() == 1 { Ok(()) } else { Err("not at the old host".to_owned()) }
    })
    .await;
    assert_eq!(old.received()[0].recipients, ["a@stays.test"]);
    assert!(old.received()[0].text().ends_with(&content));
    Ok(())
}
