//! LIMITS (RFC 9422): what a next hop takes in a session and in a transaction.

use hikyaku_testkit::{
    client::{SmtpClient, send_one},
    eventually::eventually,
    mx::{Script, ScriptedMx},
};

use crate::lab::{CONTENT, Lab, SOON};

/// The server refuses for good what is over its limits, so everything that arrives was within them.
#[tokio::test]
async fn more_is_not_tried() -> anyhow::Result<()> {
    let mut lab = Lab::new().await?;
    let inner = ScriptedMx::start(Script::Limits(2, 3)).await?;
    lab.own_domain("own.test", &inner);
    let relay = lab.up().await?;
    let mut client = SmtpClient::connect(relay.smtp()).await?;
    let offer = client.expect("EHLO client.test").await?;
    assert!(offer.contains("LIMITS RCPTMAX=1000"), "{offer}");
    let five: Vec<String> = (0..5).map(|n| format!("part{n}@own.test")).collect();
    let to: Vec<&str> = five.iter().map(String::as_str).collect();
    client.send_mail("a@client.test", &to, CONTENT).await?;
    for n in 0..7 {
        send_one(relay.smtp(), "a@client.test", &[&format!("single{n}@own.test")], CONTENT).await?;
    }
    let received = eventually(SOON, async || {
        let received = inner.received();
        let recipients: usize = received.iter().map(|mail| mail.recipients.len()).sum();
        if recipients == 12 { Ok(received) } else { Err(format!("{recipients} recipients")) }
    })
    .await;
    assert!(received.iter().all(|mail| mail.recipients.len() <= 3));
    assert_eq!(received.len(), 9, "two parts of the first, and seven");
    assert!(inner.total_sessions() >= 5, "{} sessions", inner.total_sessions());
    Ok(())
}
