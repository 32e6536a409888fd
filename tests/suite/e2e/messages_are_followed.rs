//! What became of a message: its life over all nodes (SEED-202).

use std::time::Duration;

use hikyaku_testkit::{
    client::{SmtpClient, send_one},
    eventually::eventually,
    mx::{Script, ScriptedMx},
    nats::NatsServer,
    relay::Relay,
};
use serde_json::Value;

use crate::{
    lab::SOON,
    rig::{Brokers, Rig, domain},
};

const CONTENT: &str = "From: ann@client.test\r\nMessage-ID: <one@client.test>\r\n\r\nHello.\r\n";

async fn trace(worker: &Relay, arguments: &[&str]) -> anyhow::Result<Vec<Value>> {
    let arguments: Vec<&str> = ["--json", "trace"].iter().chain(arguments).copied().collect();
    let (status, text) = worker.ctl_status(&arguments).await?;
    let lines: Vec<Value> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    anyhow::ensure!(status == Some(i32::from(lines.is_empty())), "exit status {status:?}: {text}");
    Ok(lines)
}

fn events(lines: &[Value]) -> Vec<(&str, &str)> {
    let text = |line: &'_ Value, key: &str| -> &'static str {
        line[key].as_str().map_or("", |text| Box::leak(text.to_owned().into_boxed_str()))
    };
    lines.iter().map(|line| (text(line, "role"), text(line, "event"))).collect()
}

/// Waits until these events are told, in this order.
async fn tells(worker: &Relay, arguments: &[&str], expected: &[(&str, &str)]) -> Vec<Value> {
    eventually(SOON, async || {
        let lines = trace(worker, arguments).await.map_err(|error| error.to_string())?;
        if events(&lines) == expected {
            Ok(lines)
        } else {
            Err(format!("{arguments:?}: {:?}", events(&lines)))
        }
    })
    .await
}

#[tokio::test]
async fn seed_202_a_message_is_followed_over_all_nodes() -> anyhow::Result<()> {
    let grey = ScriptedMx::start(Script::Greylist(Duration::from_millis(500))).await?;
    let full = ScriptedMx::start(Script::RefuseRcpt("550 5.2.2 mailbox full")).await?;
    let inner = ScriptedMx::start(Script::Accept).await?;
    let domains =
        [domain("grey.test", &grey), domain("full.test", &full), domain("client.test", &inner)].concat();
    let tables = "[delivery]\nretry_clock_rate = 60\n";
    let mut rig = Rig::start(Brokers::One(NatsServer::start()?), &domains, tables).await?;
    rig.document(
        "aliases",
        "info@grey.test\tbob@grey.test\n*@grey.test\t*@grey.test\n*@full.test\t*@full.test\n",
    )
    .await?;
    let ingress = rig.ingress().await?;
    let first = rig.worker().await?;
    let second = rig.worker().await?;

    let id = send_one(ingress.smtp(), "ann@client.test", &["info@grey.test"], CONTENT).await?;
    let bounced = send_one(ingress.smtp(), "Ann@client.test", &["u@full.test"], CONTENT).await?;
    let mut client = SmtpClient::connect(ingress.smtp()).await?;
    client.expect("EHLO client.test").await?;
    client.expect("MAIL FROM:<ann@client.test>").await?;
    assert!(client.command("RCPT TO:<nobody@client.test>").await?.starts_with("550"));

    let life = [
        ("ingress", "accepted"),
        ("delivery", "attempt"),
        ("delivery", "deferred"),
        ("delivery", "attempt"),
        ("delivery", "delivered"),
    ];
    let lines = tells(&first, &[&id], &life).await;
    assert!(lines.iter().all(|line| line["queue_id"] == *id));
    assert_eq!(lines[0]["message_id"], "<one@client.test>");
    assert_eq!(lines[0]["original_recipients"], serde_json::json!(["info@grey.test"]));
    // By every way, from every worker, and however it is spelled.
    for worker in [&first, &second] {
        for what in [&*id.to_lowercase(), "info@grey.test", "BOB@grey.test", &format!("{id}-0")] {
            assert_eq!(events(&tells(worker, &[what], &life).await), life, "{what}");
        }
    }

    // The report about a message belongs to its life, and is followed to its end.
    let with_report = [
        ("ingress", "accepted"),
        ("delivery", "attempt"),
        ("delivery", "bounced"),
        ("delivery", "reported"),
        ("delivery", "attempt"),
        ("delivery", "delivered"),
    ];
    let lines = tells(&second, &[&bounced], &with_report).await;
    assert_eq!(lines[5]["queue_id"], lines[3]["report"]);
    assert_eq!(lines[5]["recipient"], "Ann@client.test");

    // Of a sender both, with what was refused; the newest only where that is asked.
    let both = trace(&first, &["--sender", "ann@client.test"]).await?;
    let count = |event: &str| both.iter().filter(|line| line["event"] == event).count();
    assert_eq!((count("accepted"), count("refused"), count("delivered")), (2, 1, 2), "{both:#?}");
    assert_eq!(
        both.iter().find(|line| line["event"] == "refused").unwrap()["recipient"],
        "nobody@client.test"
    );
    let newest = trace(&first, &["--sender", "ann@client.test", "--limit", "1"]).await?;
    assert!(newest.iter().any(|line| line["queue_id"] == *bounced));
    assert!(!newest.iter().any(|line| line["queue_id"] == *id));
    assert_eq!(trace(&first, &["--message-id", "one@client.test"]).await?.len(), both.len() - 1);

    let text = first.ctl(&["trace", &id]).await?;
    assert!(text.lines().next().unwrap_or_default().contains("accepted from 127.0.0.1"), "{text}");
    assert_eq!(trace(&first, &["nobody@there.test"]).await?.len(), 0);
    assert_eq!(trace(&first, &["01ARZ3NDEKTSV4RRFFQ69G5FAV"]).await?.len(), 0);
    Ok(())
}

/// What a process has written is found when it is gone: killed, or at its end, by what it left behind.
#[tokio::test]
async fn what_a_dead_process_has_written_is_found() -> anyhow::Result<()> {
    let inner = ScriptedMx::start(Script::Accept).await?;
    let mut rig = Rig::start(Brokers::One(NatsServer::start()?), &domain("own.test", &inner), "").await?;
    let killed = rig.ingress().await?;
    let ended = rig.ingress().await?;
    let worker = rig.worker().await?;
    let mut ids = Vec::new();
    for ingress in [&killed, &ended] {
        for number in 0..20 {
            ids.push(
                send_one(ingress.smtp(), "a@client.test", &[&format!("u{number}@own.test")], CONTENT).await?,
            );
        }
    }
    let life = [("ingress", "accepted"), ("delivery", "attempt"), ("delivery", "delivered")];
    tells(&worker, &[&ids[19]], &life).await;
    killed.kill().await?;
    ended.terminate().await?;
    for id in &ids {
        tells(&worker, &[id], &life).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_cluster_without_the_stream_says_so() -> anyhow::Result<()> {
    let inner = ScriptedMx::start(Script::Accept).await?;
    let tables = "[mail_log]\nstream = false\n";
    let mut rig = Rig::start(Brokers::One(NatsServer::start()?), &domain("own.test", &inner), tables).await?;
    let worker = rig.worker().await?;
    let (status, text) = worker.ctl_status(&["trace", "ann@client.test"]).await?;
    assert!(status == Some(1) && text.contains("mail_log.stream is off"), "{status:?}: {text}");
    Ok(())
}
