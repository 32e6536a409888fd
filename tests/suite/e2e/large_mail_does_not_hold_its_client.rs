use hikyaku_testkit::{
    client::SmtpClient,
    eventually::eventually,
    mx::{Script, ScriptedMx},
    wire::Wire,
};

use crate::lab::{Lab, SOON};

const SIZE: usize = 50_000_000;
/// 1 Mbit/s.
const THIN: u64 = 125_000;

/// SEED-098: 50 MB over a line of 1 Mbit/s take more than six minutes, and the client does not.
#[tokio::test]
async fn seed_098_a_thin_line_does_not_hold_its_client() -> anyhow::Result<()> {
    let inner = ScriptedMx::start(Script::Accept).await?;
    let line = Wire::to(inner.address()).await?;
    line.carry(THIN);
    let mut lab = Lab::new().await?;
    lab.own_domain_at("own.test", line.address());
    let relay = lab.up().await?;
    let mut client = SmtpClient::connect(relay.smtp()).await?;
    client.expect("EHLO client.test").await?;
    let text = format!("{}\r\n", "x".repeat(76));
    let content = format!("Subject: large\r\n\r\n{}", text.repeat(SIZE / text.len()));
    client.send_mail("a@client.test", &["b@own.test"], &content).await?;
    assert_eq!(inner.received_count(), 0);
    assert_eq!(relay.queue().await?.len(), 1, "it is still queued");
    line.carry(0);
    eventually(SOON, async || match inner.received().first() {
        Some(received) if received.text().ends_with(&content[content.len() - 1_000_000..]) => Ok(()),
        Some(received) => Err(format!("{} octets", received.content.len())),
        None => Err("nothing yet".to_owned()),
    })
    .await;
    Ok(())
}
