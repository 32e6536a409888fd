use hikyaku_testkit::{
    client::send_one,
    eventually::eventually,
    mx::{Script, ScriptedMx},
    nats::NatsServer,
    relay::Relay,
};
use serde_json::Value;

use crate::lab::{CONTENT, Lab, SOON};

/// Everything that was accepted up to now.
const AUDIT: [&str; 5] = ["--json", "queue", "audit", "--older-than", "0s"];

const CHECK: [&str; 5] = ["--json", "queue", "check", "--older-than", "0s"];

fn route(domain: &str, mx: &ScriptedMx) -> String {
    format!("{domain},{},{}\n", mx.address().ip(), mx.address().port())
}

/// A relay whose retries come two thousand times as fast, so that it gives up after 14 s; with a
/// broker that others reach too.
async fn hasty(lab: &mut Lab, nats: &NatsServer) -> anyhow::Result<Relay> {
    let delivery = "[delivery]\nretry_clock_rate = 2000\nrouted_give_up_seconds = 28800\n\
                    delay_notice_after_seconds = 0\n";
    lab.configure(&(nats.configuration()? + delivery))?;
    lab.up().await
}

async fn set(lab: &Lab, relay: &Relay, document: &str, text: &str) -> anyhow::Result<()> {
    let file = lab.folder.path().join(document);
    std::fs::write(&file, text)?;
    relay.ctl(&["directory", "set", document, &file.to_string_lossy()]).await?;
    Ok(())
}

#[tokio::test]
async fn each_end_is_counted_and_none_is_missing() -> anyhow::Result<()> {
    let (mut lab, nats) = (Lab::new().await?, NatsServer::start()?);
    let good = ScriptedMx::start(Script::Accept).await?;
    let bad = ScriptedMx::start(Script::RefuseRcpt("550 5.1.1 unknown")).await?;
    let dying = ScriptedMx::start(Script::RefuseRcpt("451 4.7.1 later")).await?;
    let closed = ScriptedMx::start(Script::RefuseRcpt("451 4.3.2 closed for repair")).await?;
    let domains = [
        ("home.test", &good),
        ("good.test", &good),
        ("bad.test", &bad),
        ("dying.test", &dying),
        ("deleted.test", &closed),
        ("moves.test", &closed),
    ];
    for (domain, mx) in domains {
        lab.own_domain(domain, mx);
    }
    let relay = hasty(&mut lab, &nats).await?;
    let until =
        format!("destination [127.0.0.1]:{} give_up_temp=5d give_up_noreply=5d\n", closed.address().port());
    set(&lab, &relay, "traffic", &until).await?;

    let smtp = relay.smtp();
    send_one(smtp, "a@home.test", &["1@good.test", "2@good.test", "3@bad.test"], CONTENT).await?;
    // Larger than what travels inside an envelope, at first or through retries.
    let large = format!("{CONTENT}{}", "0123456789abcdef\r\n".repeat(8_000));
    let middle = format!("{CONTENT}{}", "0123456789abcdef\r\n".repeat(2_000));
    send_one(smtp, "", &["4@bad.test"], &large).await?;
    send_one(smtp, "a@home.test", &["5@dying.test"], &middle).await?;
    let deleted = send_one(smtp, "a@home.test", &["6@deleted.test"], CONTENT).await?;
    let moved = send_one(smtp, "a@home.test", &["7@moves.test"], CONTENT).await?;
    relay.wait_for_mail_log("deferred", &moved, SOON).await;
    let routes: String =
        domains.map(|(domain, mx)| route(domain, if domain == "moves.test" { &good } else { mx })).concat();
    set(&lab, &relay, "routes", &routes).await?;
    eventually(SOON, async || {
        let deleted = relay.ctl(&["queue", "delete", &deleted]).await.map_err(|error| error.to_string())?;
        if deleted.starts_with('1') { Ok(()) } else { Err(deleted) }
    })
    .await;

    // Seven recipients and two reports about them.
    let expected = [
        ("accepted", 9),
        ("delivered", 5),
        ("failed", 1),
        ("expired", 1),
        ("deleted", 1),
        ("dead_lettered", 1),
        ("queued", 0),
        ("missing", 0),
    ];
    eventually(SOON, async || {
        let text = relay.ctl(&AUDIT).await.map_err(|error| error.to_string())?;
        let audit: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let wrong = expected.iter().any(|(name, count)| audit[name] != *count);
        if wrong { Err(text) } else { Ok(()) }
    })
    .await;
    let check = relay.ctl(&CHECK).await?;
    for expected in ["\"entries\": 0", "\"dead_letters\": 1", "\"stored\": 1", "\"orphans\": 0"] {
        assert!(check.contains(expected), "{expected}: {check}");
    }
    Ok(())
}

/// The broker itself, or somebody with its password, takes an entry away.
#[tokio::test]
async fn a_message_that_vanished_is_named() -> anyhow::Result<()> {
    let (mut lab, nats) = (Lab::new().await?, NatsServer::start()?);
    let later = ScriptedMx::start(Script::RefuseRcpt("451 4.7.1 later")).await?;
    lab.own_domain("own.test", &later);
    let relay = hasty(&mut lab, &nats).await?;
    let kept = send_one(relay.smtp(), "a@client.test", &["kept@own.test"], CONTENT).await?;
    let id = send_one(relay.smtp(), "a@client.test", &["gone@own.test"], CONTENT).await?;
    relay.wait_for_mail_log("deferred", &id, SOON).await;
    relay.wait_for_mail_log("deferred", &kept, SOON).await;
    // An attempt that runs at this moment writes its retry: then once more.
    eventually(SOON, async || {
        for shard in 0..16 {
            let filter = format!("{{\"filter\":\"hikyaku.v1.*.*.*.{id}.0\"}}");
            let purge = format!("$JS.API.STREAM.PURGE.HIKYAKU_QUEUE_{shard}");
            nats.ask(&purge, &filter).map_err(|error| error.to_string())?;
        }
        match relay.ctl(&["queue", "audit", "--older-than", "0s"]).await {
            Ok(text) => Err(text),
            Err(error) if error.to_string().contains(&id) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    })
    .await;
    let error = relay.ctl(&AUDIT).await.unwrap_err().to_string();
    assert!(error.contains("gone@own.test") && error.contains("\"missing\": 1"), "{error}");
    assert!(!error.contains(&kept), "{error}");
    Ok(())
}

#[tokio::test]
async fn missing_content_and_content_left_over_are_named() -> anyhow::Result<()> {
    let (mut lab, nats) = (Lab::new().await?, NatsServer::start()?);
    let later = ScriptedMx::start(Script::RefuseRcpt("451 4.7.1 later")).await?;
    lab.own_domain("own.test", &later);
    lab.configure(&nats.configuration()?)?;
    let relay = lab.up().await?;
    let content = format!("{CONTENT}{}", "0123456789abcdef\r\n".repeat(2_000));
    let id = send_one(relay.smtp(), "a@client.test", &["b@own.test"], &content).await?;
    eventually(SOON, async || {
        let check = relay.ctl(&CHECK).await.map_err(|error| error.to_string())?;
        if check.contains("\"stored\": 1") { Ok(()) } else { Err(check) }
    })
    .await;
    nats.ask("hikyaku.body.v1.3.00000000000000000000000001-0", "nobody's")?;
    let check = relay.ctl(&CHECK).await?;
    assert!(check.contains("\"owner\": \"00000000000000000000000001-0\""), "{check}");
    for shard in 0..16 {
        let filter = format!("{{\"filter\":\"hikyaku.body.v1.{shard}.{id}-0\"}}");
        nats.ask(&format!("$JS.API.STREAM.PURGE.HIKYAKU_BODY_{shard}"), &filter)?;
    }
    let error = relay.ctl(&CHECK).await.unwrap_err().to_string();
    assert!(error.contains("\"missing\": 1") && error.contains(&format!("{id}-0")), "{error}");
    Ok(())
}
