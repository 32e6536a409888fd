use hikyaku_testkit::{
    client::SmtpClient,
    eventually::eventually,
    mx::{Script, ScriptedMx},
    nats::NatsServer,
    relay::Relay,
};

use crate::lab::{CONTENT, Lab, SOON};

async fn up_on(lab: &mut Lab, nats: &NatsServer) -> anyhow::Result<Relay> {
    let file = nats.password_file()?;
    lab.configure(&format!(
        "nats = \"{}\"\n[nats_login]\nuser = \"hikyaku\"\npassword_file = {file:?}\n\
         [nats_system_login]\nuser = \"system\"\npassword_file = {file:?}\n",
        nats.url()
    ))?;
    lab.up().await
}

async fn offer(relay: &Relay) -> anyhow::Result<String> {
    let mut client = SmtpClient::connect(relay.smtp()).await?;
    client.expect("EHLO client.test").await?;
    client.expect("MAIL FROM:<a@client.test>").await?;
    client.expect("RCPT TO:<b@own.test>").await?;
    client.expect("DATA").await?;
    client.send(CONTENT.as_bytes()).await?;
    Ok(client.command(".").await?)
}

#[tokio::test]
async fn a_broker_that_does_not_sync_gets_no_mail() -> anyhow::Result<()> {
    let nats = NatsServer::start_with("sync_interval: \"2m\"")?;
    let mut lab = Lab::new().await?;
    let inner = ScriptedMx::start(Script::Accept).await?;
    lab.own_domain("own.test", &inner);
    let relay = up_on(&mut lab, &nats).await?;
    let reply = offer(&relay).await?;
    assert!(reply.starts_with("451 4.3.0"), "{reply}");
    assert_eq!(inner.received_count(), 0);
    Ok(())
}

#[tokio::test]
async fn a_broker_that_comes_back_is_used_again() -> anyhow::Result<()> {
    let mut nats = NatsServer::start()?;
    let mut lab = Lab::new().await?;
    let inner = ScriptedMx::start(Script::Accept).await?;
    lab.own_domain("own.test", &inner);
    let relay = up_on(&mut lab, &nats).await?;
    assert!(offer(&relay).await?.starts_with("250 2.0.0"));
    nats.kill()?;
    let reply = offer(&relay).await?;
    assert!(reply.starts_with("451 4.3.0"), "{reply}");
    nats.restart()?;
    eventually(SOON, async || {
        let reply = offer(&relay).await.map_err(|error| error.to_string())?;
        if reply.starts_with("250") { Ok(()) } else { Err(reply) }
    })
    .await;
    Ok(())
}
