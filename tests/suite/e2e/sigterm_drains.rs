use hikyaku_testkit::{
    client::{SmtpClient, send_one},
    eventually::eventually,
    mx::{Script, ScriptedMx},
    relay::signal,
};

use crate::lab::{CONTENT, Lab, SOON};

#[tokio::test]
async fn waiting_mail_survives_and_sessions_are_told() -> anyhow::Result<()> {
    let mut lab = Lab::new().await?;
    let inner = ScriptedMx::start(Script::RefuseRcpt("451 4.7.1 later")).await?;
    lab.own_domain("own.test", &inner);
    let relay = lab.up().await?;
    let mut idle = SmtpClient::connect(relay.smtp()).await?;
    idle.expect("EHLO client.test").await?;
    let id = send_one(relay.smtp(), "a@client.test", &["b@own.test"], CONTENT).await?;
    relay.wait_for_mail_log("deferred", &id, SOON).await;
    let (code, farewell) = tokio::join!(relay.terminate(), idle.reply());
    assert_eq!(code?, Some(0));
    assert!(farewell?.starts_with("421 4.3.2"));

    inner.set(Script::Accept);
    let relay = lab.up().await?;
    relay.ctl(&["queue", "retry", &id]).await?;
    relay.wait_for_mail_log("delivered", &id, SOON).await;
    Ok(())
}

/// With a broker that is gone and one that hangs, the relay ends all the same, and loses nothing.
#[tokio::test]
async fn it_ends_without_its_broker() -> anyhow::Result<()> {
    let mut lab = Lab::new().await?;
    let inner = ScriptedMx::start(Script::RefuseRcpt("451 4.7.1 later")).await?;
    lab.own_domain("own.test", &inner);
    let relay = lab.up().await?;
    let id = send_one(relay.smtp(), "a@client.test", &["b@own.test"], CONTENT).await?;
    relay.wait_for_mail_log("deferred", &id, SOON).await;
    let pid_file = lab.folder.path().join("data/nats/nats-server.pid");
    let broker: u32 = std::fs::read_to_string(pid_file)?.trim().parse()?;
    signal("STOP", broker).await?;
    let ended = tokio::time::timeout(SOON * 2, relay.terminate()).await;
    let _ = signal("CONT", broker).await; // it was killed with the relay, if all went well
    assert!(ended.is_ok(), "SIGTERM has no end");
    let relay = lab.up().await?;
    inner.set(Script::Accept);
    relay.ctl(&["queue", "retry", &id]).await?;
    relay.wait_for_mail_log("delivered", &id, SOON).await;
    Ok(())
}

/// Two on one folder would stop each other's broker.
#[tokio::test]
async fn a_second_relay_leaves_the_folder_alone() -> anyhow::Result<()> {
    let mut lab = Lab::new().await?;
    let inner = ScriptedMx::start(Script::Accept).await?;
    lab.own_domain("own.test", &inner);
    let relay = lab.up().await?;
    let data = lab.folder.path().join("data");
    let second = tokio::process::Command::new(hikyaku_testkit::relay::program("hikyaku"))
        .args(["up", "--smtp", "127.0.0.1:0", "--data-dir"])
        .arg(&data)
        .output()
        .await?;
    let error = String::from_utf8_lossy(&second.stderr);
    assert!(!second.status.success() && error.contains("another hikyaku uses"), "{error}");
    send_one(relay.smtp(), "a@client.test", &["b@own.test"], CONTENT).await?;
    eventually(SOON, async || match inner.received_count() {
        1 => Ok(()),
        count => Err(format!("{count} arrived")),
    })
    .await;
    Ok(())
}

/// A silent peer keeps a session busy for minutes; the second signal does not wait for it.
#[tokio::test]
async fn the_second_signal_ends_at_once() -> anyhow::Result<()> {
    let mut lab = Lab::new().await?;
    let inner = ScriptedMx::start(Script::Accept).await?;
    lab.own_domain("own.test", &inner);
    let relay = lab.up().await?;
    let mut busy = SmtpClient::connect(relay.smtp()).await?;
    busy.expect("EHLO client.test").await?;
    busy.expect("MAIL FROM:<a@client.test>").await?;
    busy.expect("RCPT TO:<b@own.test>").await?;
    busy.expect("DATA").await?;
    let pid = relay.pid().unwrap_or_default();
    signal("TERM", pid).await?;
    relay.wait_for_message("draining; a second signal ends at once").await;
    let code = relay.terminate().await?;
    assert_eq!(code, Some(130));
    // Its broker goes on, and the next start takes the folder over.
    let relay = lab.up().await?;
    send_one(relay.smtp(), "a@client.test", &["b@own.test"], CONTENT).await?;
    eventually(SOON, async || match inner.received_count() {
        1 => Ok(()),
        count => Err(format!("{count} arrived")),
    })
    .await;
    Ok(())
}
