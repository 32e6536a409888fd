use std::net::SocketAddr;

use hikyaku_testkit::{eventually::eventually, nats::NatsServer, port, relay::Relay};

use crate::lab::{Lab, SOON, http_get};

async fn answers(address: SocketAddr, status: u16, words: &str) {
    eventually(SOON, async || match http_get(address, "/readyz").await {
        Ok((found, body)) if found == status && body.contains(words) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

/// What an orchestrator asks: a process without its broker lives, and gets no work.
#[tokio::test]
async fn ready_is_who_can_do_its_work() -> anyhow::Result<()> {
    let mut nats = NatsServer::start()?;
    let mut lab = Lab::new().await?;
    let file = nats.password_file()?;
    let address = port::unused()?;
    lab.configure(&format!(
        "metrics = \"{address}\"\nnats = \"{}\"\n[nats_login]\nuser = \"hikyaku\"\npassword_file = {file:?}\n\
         [nats_system_login]\nuser = \"system\"\npassword_file = {file:?}\n",
        nats.url()
    ))?;
    let relay: Relay = lab.up().await?;
    answers(address, 200, "ready").await;
    let (status, metrics) = http_get(address, "/metrics").await?;
    assert!(
        status == 200 && metrics.contains("mail_policy_directory_load_duration_seconds_bucket"),
        "{metrics}"
    );
    assert_eq!(http_get(address, "/elsewhere").await?.0, 404);

    nats.kill()?;
    answers(address, 503, "shards: the roster does not show this worker alive").await;
    answers(address, 503, "queue: ").await;
    assert_eq!(http_get(address, "/livez").await?.0, 200);
    nats.restart()?;
    answers(address, 200, "ready").await;
    assert_eq!(relay.terminate().await?, Some(0));
    Ok(())
}
