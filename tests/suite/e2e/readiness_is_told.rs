use std::net::SocketAddr;

use hikyaku_testkit::{eventually::eventually, nats::NatsServer, relay::Relay};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::lab::{Lab, SOON};

/// Status and body.
async fn get(address: SocketAddr, path: &str) -> anyhow::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address).await?;
    stream
        .write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes())
        .await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let status = answer.split(' ').nth(1).unwrap_or_default().parse()?;
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    Ok((status, body))
}

async fn answers(address: SocketAddr, status: u16, words: &str) {
    eventually(SOON, async || match get(address, "/readyz").await {
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
    let address = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
    lab.configure(&format!(
        "metrics = \"{address}\"\nnats = \"{}\"\n[nats_login]\nuser = \"hikyaku\"\npassword_file = {file:?}\n\
         [nats_system_login]\nuser = \"system\"\npassword_file = {file:?}\n",
        nats.url()
    ))?;
    let relay: Relay = lab.up().await?;
    answers(address, 200, "ready").await;
    let (status, metrics) = get(address, "/metrics").await?;
    assert!(
        status == 200 && metrics.contains("mail_policy_directory_load_duration_seconds_bucket"),
        "{metrics}"
    );
    assert_eq!(get(address, "/elsewhere").await?.0, 404);

    nats.kill()?;
    answers(address, 503, "shards: the roster does not show this worker alive").await;
    answers(address, 503, "queue: ").await;
    assert_eq!(get(address, "/livez").await?.0, 200);
    nats.restart()?;
    answers(address, 200, "ready").await;
    assert_eq!(relay.terminate().await?, Some(0));
    Ok(())
}
