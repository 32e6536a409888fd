//! The drills of deploy/README.md that need no Kubernetes: everything is lost but a backup.

use std::{collections::BTreeMap, fs, path::Path};

use hikyaku_testkit::{
    client::send_one,
    eventually::eventually,
    mx::{Script, ScriptedMx},
    nats::NatsServer,
    relay::Relay,
};
use serde_json::Value;

use crate::{
    lab::{CONTENT, SOON},
    rig::{Brokers, Rig, domain},
};

/// Envelopes that meet each document: taken, relayed, unknown, foreign, and of a login.
const QUESTIONS: [&[&str]; 5] = [
    &["--client", "203.0.113.9", "--from", "a@x.example", "--to", "b@own.test"],
    &["--client", "192.168.0.9", "--from", "u@own.test", "--to", "v@elsewhere.test"],
    &["--client", "203.0.113.9", "--from", "a@x.example", "--to", "nobody@strict.test"],
    &["--client", "203.0.113.9", "--from", "a@x.example", "--to", "v@elsewhere.test"],
    &[
        "--client",
        "203.0.113.9",
        "--from",
        "ann@strict.test",
        "--to",
        "v@elsewhere.test",
        "--login",
        "ann@strict.test",
    ],
];

fn one_broker() -> anyhow::Result<Brokers> {
    Ok(Brokers::One(NatsServer::start()?))
}

async fn answers(policy: &Relay) -> anyhow::Result<Vec<String>> {
    let mut answers = Vec::new();
    for question in QUESTIONS {
        let mut answer: Value =
            serde_json::from_str(&policy.ctl(&[&["--json", "explain"], question].concat()).await?)?;
        // Which version it is differs, and nothing else may.
        if let Some(fields) = answer.as_object_mut() {
            fields.retain(|name, _| !name.to_lowercase().contains("version"));
        }
        answers.push(answer.to_string());
    }
    Ok(answers)
}

fn files(folder: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        files.insert(entry.file_name().to_string_lossy().into_owned(), fs::read_to_string(entry.path())?);
    }
    Ok(files)
}

async fn export(policy: &Relay, folder: &str) -> anyhow::Result<BTreeMap<String, String>> {
    policy.ctl(&["directory", "export", folder, "--with-credentials"]).await?;
    files(Path::new(folder))
}

/// A version is committed before all say so.
async fn eventually_answers(policy: &Relay, wanted: &[String]) {
    eventually(SOON, async || match answers(policy).await {
        Ok(found) if found == wanted => Ok(()),
        found => Err(format!("{found:?}")),
    })
    .await;
}

/// All disks are gone, and the export of the directory is there.
#[tokio::test]
async fn a_directory_comes_back_in_an_empty_cluster() -> anyhow::Result<()> {
    let inner = ScriptedMx::start(Script::Accept).await?;
    let before = Rig::start(one_broker()?, &domain("own.test", &inner), "").await?;
    before.document("own-domains", "own.test\nstrict.test\n").await?;
    before.document("relay-networks", "192.168.0.0/24\n").await?;
    before.document("accounts", "ann@strict.test\tname=Ann\n").await?;
    let secret = before.path("secret");
    fs::write(&secret, "correct horse battery staple\n")?;
    before.policy.ctl(&["account", "secret", "ann@strict.test", &secret]).await?;
    let kept = tempfile::tempdir()?;
    let backup = kept.path().join("backup").to_string_lossy().into_owned();
    let documents = export(&before.policy, &backup).await?;
    assert!(documents["credentials"].contains("ann@strict.test"), "{documents:?}");
    let wanted = answers(&before.policy).await?;
    drop(before); // brokers, folders, everything

    let after = Rig::over(one_broker()?, "").await?;
    after.policy.ctl(&["check", &backup]).await?;
    after.policy.ctl(&["directory", "apply", &backup, "--comment", "restored"]).await?;
    eventually_answers(&after.policy, &wanted).await;
    let again = kept.path().join("again").to_string_lossy().into_owned();
    assert_eq!(export(&after.policy, &again).await?, documents);
    Ok(())
}

/// The copy of a stopped broker's store has queue and directory. What was delivered after it was made is sent
/// again: a restored queue is an old one.
#[tokio::test]
async fn a_copy_of_a_store_brings_queued_mail_back() -> anyhow::Result<()> {
    let inner = ScriptedMx::start(Script::RefuseRcpt("451 4.7.1 later")).await?;
    let mut before = Rig::start(one_broker()?, &domain("own.test", &inner), "").await?;
    let (ingress, worker) = (before.ingress().await?, before.worker().await?);
    let id = send_one(ingress.smtp(), "a@client.test", &["b@own.test"], CONTENT).await?;
    worker.wait_for_mail_log("deferred", &id, SOON).await;
    assert_eq!((ingress.terminate().await?, worker.terminate().await?), (Some(0), Some(0)));
    let kept = tempfile::tempdir()?;
    let copy = kept.path().join("store");
    let Brokers::One(broker) = &mut before.brokers else { unreachable!() };
    broker.kill()?;
    hikyaku_testkit::nats::copy(&broker.store(), &copy)?;

    // The original goes on, and delivers.
    broker.restart()?;
    inner.set(Script::Accept);
    let worker = before.worker().await?;
    eventually(SOON, async || {
        worker.ctl(&["queue", "retry", &id]).await.map(drop).map_err(|error| error.to_string())
    })
    .await;
    worker.wait_for_mail_log("delivered", &id, SOON).await;
    assert_eq!(inner.received_count(), 1);
    drop((worker, before));

    let mut after = Rig::over(Brokers::One(NatsServer::restored(&copy)?), "").await?;
    let (ingress, worker) = (after.ingress().await?, after.worker().await?);
    let waiting = worker.queue().await?;
    assert!(waiting.len() == 1 && waiting[0].to_string().contains(&id), "{waiting:?}");
    worker.ctl(&["queue", "retry", "--all"]).await?;
    worker.wait_for_mail_log("delivered", &id, SOON).await;
    assert_eq!(inner.received_count(), 2, "the queue does not know what happened after the copy was made");
    // New mail goes by the directory that came with it, and everybody has an end.
    let newer = send_one(ingress.smtp(), "a@client.test", &["c@own.test"], CONTENT).await?;
    worker.wait_for_mail_log("delivered", &newer, SOON).await;
    eventually(SOON, async || {
        let (status, said) =
            worker.ctl_status(&["queue", "audit"]).await.map_err(|error| error.to_string())?;
        if status == Some(0) { Ok(()) } else { Err(said) }
    })
    .await;
    Ok(())
}

/// Somebody commits a wrong version: it is found by what it changed, and taken back.
#[tokio::test]
async fn a_bad_version_is_taken_back() -> anyhow::Result<()> {
    let inner = ScriptedMx::start(Script::Accept).await?;
    let mut rig = Rig::start(one_broker()?, &domain("own.test", &inner), "").await?;
    rig.document("own-domains", "own.test\nstrict.test\n").await?;
    let wanted = answers(&rig.policy).await?;
    let good = rig.policy.ctl(&["--json", "directory", "versions"]).await?;
    let good = newest(&good)?;

    // The domain's own mail goes nowhere, and strangers' mail is not taken any more.
    rig.document("routes", "own.test, 127.0.0.1, 9\n").await?;
    rig.document("aliases", "").await?;
    assert_ne!(answers(&rig.policy).await?, wanted);
    let diff = rig.policy.ctl(&["directory", "diff", &good.to_string()]).await?;
    assert!(diff.contains("routes") && diff.contains("aliases"), "{diff}");
    rig.policy.ctl(&["directory", "roll-back", &good.to_string()]).await?;
    eventually_answers(&rig.policy, &wanted).await;
    let (ingress, worker) = (rig.ingress().await?, rig.worker().await?);
    let id = send_one(ingress.smtp(), "a@client.test", &["b@own.test"], CONTENT).await?;
    worker.wait_for_mail_log("delivered", &id, SOON).await;
    Ok(())
}

fn newest(versions: &str) -> anyhow::Result<u64> {
    let versions: Value = serde_json::from_str(versions)?;
    let list = versions["versions"].as_array().or(versions.as_array());
    let numbers = list.into_iter().flatten().filter_map(|version| match &version["version"] {
        Value::String(text) => text.parse().ok(),
        number => number.as_u64(),
    });
    numbers.max().ok_or_else(|| anyhow::anyhow!("no version in {versions}"))
}
