//! The mail log is an interface: every line is as its schema says, and every sink gets all of them; one that does not
//! take them stops nobody.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use anyhow::Context as _;
use hikyaku_testkit::{
    client::{SmtpClient, send_one},
    collector::Collector,
    eventually::eventually,
    hook::Hook,
    mx::{Script, ScriptedMx},
    port,
};
use serde_json::Value;

use crate::{
    chart::helm::python,
    lab::{CONTENT, Lab, SOON},
    observe::traffic::Scene,
};

const VALIDATE: &str = "
import json, sys
from jsonschema import Draft202012Validator
validator = Draft202012Validator(json.loads(sys.argv[1]))
for line in sys.stdin:
    for error in validator.iter_errors(json.loads(line)):
        print(error.message[:200], line.strip()[:400])
";

#[tokio::test]
async fn seed_200_every_line_is_as_the_schema_says() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    scene.round().await?;
    scene.round().await?;
    // It was refused once, so it waits.
    scene.relay.ctl(&["queue", "delete", "--destination", "[127.0.0.1]:1"]).await?;
    eventually(SOON, async || match scene.relay.mail_log("deleted", None).len() {
        0 => Err("nothing was deleted".to_owned()),
        _ => Ok(()),
    })
    .await;
    let lines: Vec<Value> = scene.relay.log().into_iter().filter(|line| line["target"] == "mail").collect();
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let wrong = python(VALIDATE, &[&hikyaku_mail_log::schema().to_string()], &text);
    assert_eq!(wrong, "");
    let seen: BTreeSet<&str> = lines.iter().filter_map(|line| line["event"].as_str()).collect();
    for event in [
        "connected",
        "disconnected",
        "accepted",
        "refused",
        "authentication",
        "attempt",
        "delivered",
        "deferred",
        "bounced",
        "reported",
        "rerouted",
        "deleted",
        "operator",
        "directory",
    ] {
        assert!(seen.contains(event), "{event} did not happen: {seen:?}");
    }
    Ok(())
}

/// The names of events, with what they are about.
fn told<'a>(lines: impl Iterator<Item = &'a Value>) -> Vec<String> {
    let of_messages = lines.filter(|line| line["queue_id"].is_string());
    let mut told: Vec<String> = of_messages.map(ToString::to_string).collect();
    told.sort();
    told
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn every_sink_gets_every_line() -> anyhow::Result<()> {
    let mx = ScriptedMx::start(Script::Accept).await?;
    // A server that is down at first gets everything, once each, in order.
    let hook = Hook::start(2).await?;
    let mut lab = Lab::new().await?;
    lab.mail_for("there.test", mx.address());
    let (file, token) = (lab.folder.path().join("mail.log"), lab.folder.path().join("token"));
    std::fs::write(&token, "secret-of-the-hook\n")?;
    let collector = Collector::start().await?;
    lab.configure(&format!(
        "otlp_endpoint = \"http://{}\"\n[mail_log]\nfile = {file:?}\nfile_max_bytes = 65536\nwebhook = \"http://{}/lines\"\n\
         webhook_token_file = {token:?}\notlp = true\n[delivery]\nmx_port = {}\n",
        collector.address,
        hook.address,
        mx.address().port()
    ))?;
    let relay = lab.up().await?;
    let mut last = String::new();
    for number in 0..100 {
        last = send_one(relay.smtp(), "a@client.test", &[&format!("u{number}@there.test")], CONTENT).await?;
    }
    relay.wait_for_mail_log("delivered", &last, SOON).await;
    eventually(SOON, async || match relay.mail_log("delivered", None).len() {
        100 => Ok(()),
        count => Err(format!("{count} of 100")),
    })
    .await;
    let stdout = told(relay.log().iter().filter(|line| line["target"] == "mail"));
    assert_eq!(stdout.len(), 300);

    eventually(SOON, async || {
        let taken = hook.posts().into_iter().filter(|post| post.was_taken);
        let text: String = taken.map(|post| post.body).collect();
        match told(lines(&text).iter()) {
            posted if posted == stdout => Ok(()),
            posted => Err(format!("{} of {} lines", posted.len(), stdout.len())),
        }
    })
    .await;
    let posts = hook.posts();
    assert!(posts.iter().all(|post| post.authorization == "Bearer secret-of-the-hook"));
    assert_eq!(
        (&posts[0].id, &posts[0].body),
        (&posts[2].id, &posts[2].body),
        "what was refused comes again"
    );
    let ids: Vec<&str> = posts.iter().filter(|post| post.was_taken).map(|post| &*post.id).collect();
    let numbers: Vec<u64> = ids.iter().map(|id| id.rsplit('/').next().unwrap().parse().unwrap()).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "each once, in order: {ids:?}");
    let log = relay.log().iter().map(ToString::to_string).collect::<String>();
    assert!(!log.contains("secret-of-the-hook"));

    eventually(SOON, async || {
        let bodies: String = collector.logs().iter().map(|(body, _)| format!("{body}\n")).collect();
        match told(lines(&bodies).iter()) {
            exported if exported == stdout => Ok(()),
            exported => Err(format!("{} of {} records", exported.len(), stdout.len())),
        }
    })
    .await;
    let records = collector.logs();
    let (body, attributes) = records.iter().find(|(body, _)| body.contains(&last)).unwrap();
    assert_eq!(attributes["mail.queue_id"], last);
    assert!(body.contains(&format!("\"event\":\"{}\"", attributes["mail.event"])));

    // The file, with those that were put aside.
    relay.terminate().await?;
    let mut text = String::new();
    for name in std::fs::read_dir(lab.folder.path())?.map(|entry| entry.map(|entry| entry.path())) {
        let name = name?;
        if name.to_string_lossy().contains("mail.log") {
            text += &std::fs::read_to_string(name)?;
        }
    }
    assert_eq!(told(lines(&text).iter()), stdout);
    Ok(())
}

async fn metric(at: SocketAddr, series: &'static str) -> f64 {
    let text = tokio::task::spawn_blocking(move || hikyaku_testkit::metrics::read(at)).await;
    text.ok().and_then(Result::ok).map_or(f64::NAN, |text| hikyaku_testkit::metrics::value(&text, series))
}

fn posted(hook: &Hook) -> String {
    hook.posts().into_iter().filter(|post| post.was_taken).map(|post| post.body).collect()
}

/// A line that the web server never takes is lost to it, and counted; the others arrive. One that takes nothing is seen.
#[tokio::test]
async fn a_web_server_that_refuses_a_line_gets_the_others() -> anyhow::Result<()> {
    let mx = ScriptedMx::start(Script::Accept).await?;
    let hook = Hook::start(0).await?;
    let metrics = port::unused()?;
    let mut lab = Lab::new().await?;
    lab.mail_for("there.test", mx.address());
    lab.configure(&format!(
        "metrics = \"{metrics}\"\n[mail_log]\nwebhook = \"http://{}/lines\"\n[delivery]\nmx_port = {}\n",
        hook.address,
        mx.address().port()
    ))?;
    let relay = lab.up().await?;
    hook.refuse("poison", 413)?;
    let send = async |sender: &str| {
        let id = send_one(relay.smtp(), sender, &["u@there.test"], CONTENT).await?;
        relay.wait_for_mail_log("delivered", &id, SOON).await;
        anyhow::Ok(id)
    };
    let mut ids = Vec::new();
    for sender in ["a@client.test", "poison@client.test", "b@client.test"] {
        ids.push(send(sender).await?);
    }
    let of = |id: &str, text: &str| text.lines().filter(|line| line.contains(id)).count();
    eventually(SOON, async || match posted(&hook) {
        text if of(&ids[0], &text) == 3 && of(&ids[2], &text) == 3 => Ok(()),
        text => Err(text),
    })
    .await;
    // Its acceptance and its delivery name the sender.
    assert_eq!(of(&ids[1], &posted(&hook)), 1);
    eventually(SOON, async || match metric(metrics, "mail_log_lost_total{sink=\"webhook\"}").await {
        2.0 => Ok(()),
        lost => Err(format!("{lost} lines lost")),
    })
    .await;
    let message = "lines of the mail log are refused for ever; the webhook does not get them";
    let told: Vec<Value> = relay.log().into_iter().filter(|line| line["message"] == message).collect();
    assert_eq!(told.iter().filter_map(|line| line["lines"].as_u64()).sum::<u64>(), 2, "{told:?}");

    // It knows our token no more: nothing is lost, and how much waits is seen.
    hook.refuse("", 401)?;
    let waits = send("c@client.test").await?;
    eventually(SOON, async || {
        let batches = metric(metrics, "mail_log_webhook_waiting").await;
        let age = metric(metrics, "mail_log_webhook_oldest_age_seconds").await;
        if batches >= 1.0 && age > 0.0 { Ok(()) } else { Err(format!("{batches} batches, {age} s")) }
    })
    .await;
    hook.refuse_nothing();
    eventually(SOON, async || match of(&waits, &posted(&hook)) {
        3 => Ok(()),
        lines => Err(format!("{lines} lines")),
    })
    .await;
    eventually(SOON, async || match metric(metrics, "mail_log_webhook_waiting").await {
        0.0 => Ok(()),
        batches => Err(format!("{batches} batches")),
    })
    .await;
    assert_eq!(metric(metrics, "mail_log_lost_total{sink=\"webhook\"}").await, 2.0);
    Ok(())
}

/// Each line that a collector did not get is counted, and said once.
#[tokio::test]
async fn a_collector_that_is_away_loses_lines_that_are_counted() -> anyhow::Result<()> {
    let mx = ScriptedMx::start(Script::Accept).await?;
    let (metrics, away) = (port::unused()?, port::unused()?);
    let mut lab = Lab::new().await?;
    lab.mail_for("there.test", mx.address());
    lab.configure(&format!(
        "metrics = \"{metrics}\"\notlp_endpoint = \"http://{away}\"\n[mail_log]\notlp = true\n[delivery]\nmx_port = {}\n",
        mx.address().port()
    ))?;
    let relay = lab.up().await?;
    for _ in 0..3 {
        let id = send_one(relay.smtp(), "a@client.test", &["u@there.test"], CONTENT).await?;
        relay.wait_for_mail_log("delivered", &id, SOON).await;
    }
    eventually(SOON, async || {
        let log = relay.log();
        let lines = log.iter().filter(|line| line["target"] == "mail").count();
        let lost = metric(metrics, "mail_log_lost_total{sink=\"otlp\"}").await;
        let message = "the collector takes no lines of the mail log; they are lost to it";
        match log.iter().filter(|line| line["message"] == message).count() {
            1 if lines >= 9 && lost == lines as f64 => Ok(()),
            told => Err(format!("{lost} of {lines} lines are lost, told {told} times")),
        }
    })
    .await;
    Ok(())
}

/// More than a pipe holds: mail goes on, and the process ends.
#[tokio::test]
async fn a_standard_output_that_nobody_reads_stops_no_mail() -> anyhow::Result<()> {
    const MESSAGES: usize = 300;
    let mx = ScriptedMx::start(Script::Accept).await?;
    let mut lab = Lab::new().await?;
    lab.mail_for("there.test", mx.address());
    lab.configure(&format!("[delivery]\nmx_port = {}\n", mx.address().port()))?;
    let mut relay = lab.up().await?;
    let send = async |count: usize| {
        let mut client = SmtpClient::connect(relay.smtp()).await?;
        client.expect("EHLO client.test").await?;
        for number in 0..count {
            client.send_mail("a@client.test", &[&format!("u{number}@there.test")], CONTENT).await?;
        }
        anyhow::Ok(())
    };
    relay.read_log(false);
    send(MESSAGES).await?;
    eventually(SOON, async || match mx.received_count() {
        MESSAGES => Ok(()),
        count => Err(format!("{count} of {MESSAGES}")),
    })
    .await;
    assert!(relay.mail_log("delivered", None).len() < MESSAGES, "somebody reads");
    // Who reads again gets what waited.
    relay.read_log(true);
    eventually(SOON, async || match relay.mail_log("delivered", None).len() {
        MESSAGES => Ok(()),
        count => Err(format!("{count} of {MESSAGES} lines")),
    })
    .await;
    // And the process ends while nobody reads.
    relay.read_log(false);
    send(MESSAGES).await?;
    let ended = tokio::time::timeout(Duration::from_secs(120), relay.stop()).await;
    assert_eq!(ended.context("it does not end")??, Some(0));
    Ok(())
}
