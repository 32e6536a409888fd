use hikyaku_testkit::{
    client::{SmtpClient, send_one},
    mx::{Script, ScriptedMx},
};

use crate::lab::{CONTENT, Lab, SOON};

const MIB: usize = 1024 * 1024;

fn content_of(bytes: usize) -> String {
    let line = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd\r\n";
    format!("Subject: big\r\n\r\n{}", line.repeat(bytes / line.len()))
}

#[tokio::test]
async fn twenty_five_mebibytes_pass_and_sixty_do_not() -> anyhow::Result<()> {
    let mut lab = Lab::new().await?;
    let inner = ScriptedMx::start(Script::Accept).await?;
    lab.own_domain("own.test", &inner);
    let relay = lab.up().await?;
    let content = content_of(25 * MIB);
    let id = send_one(relay.smtp(), "a@client.test", &["b@own.test"], &content).await?;
    relay.wait_for_mail_log("delivered", &id, SOON).await;
    assert!(inner.received()[0].text().ends_with(&content), "25 MiB arrive as they were");

    let mut client = SmtpClient::connect(relay.smtp()).await?;
    client.expect("EHLO client.test").await?;
    let reply = client.command(&format!("MAIL FROM:<a@client.test> SIZE={}", 60 * MIB)).await?;
    assert!(reply.starts_with("552 5.3.4"), "{reply}");
    client.expect("MAIL FROM:<a@client.test>").await?;
    client.expect("RCPT TO:<b@own.test>").await?;
    client.expect("DATA").await?;
    client.send(content_of(60 * MIB).as_bytes()).await?;
    let reply = client.command(".").await?;
    assert!(reply.starts_with("552 5.3.4"), "{reply}");
    // The connection stays usable.
    client.send_mail("a@client.test", &["b@own.test"], CONTENT).await?;
    Ok(())
}

#[tokio::test]
async fn a_bare_line_feed_is_refused() -> anyhow::Result<()> {
    let mut lab = Lab::new().await?;
    let inner = ScriptedMx::start(Script::Accept).await?;
    lab.own_domain("own.test", &inner);
    let relay = lab.up().await?;
    let mut client = SmtpClient::connect(relay.smtp()).await?;
    client.expect("EHLO client.test").await?;
    client.expect("MAIL FROM:<a@client.test>").await?;
    client.expect("RCPT TO:<b@own.test>").await?;
    client.expect("DATA").await?;
    client.send(b"Subject: x\r\n\r\nsmuggled\n.\nMAIL FROM:<c@evil.test>\r\n.\r\n").await?;
    let reply = client.reply().await?;
    assert!(reply.starts_with('5'), "{reply}");
    assert_eq!(client.reply().await?, "", "the connection ends");
    Ok(())
}

/// From an address that is in no relay network.
#[tokio::test]
async fn strangers_do_not_relay() -> anyhow::Result<()> {
    let mut lab = Lab::new().await?;
    let inner = ScriptedMx::start(Script::Accept).await?;
    lab.own_domain("own.test", &inner);
    let relay = lab.up().await?;
    let stranger = std::net::SocketAddr::from(([127, 0, 0, 9], 0));
    let mut client = SmtpClient::connect_from(stranger, relay.smtp()).await?;
    client.expect("EHLO stranger.test").await?;
    client.expect("MAIL FROM:<a@stranger.test>").await?;
    let reply = client.command("RCPT TO:<b@foreign.test>").await?;
    assert!(reply.starts_with("550 5.7.1"), "{reply}");
    client.expect("RCPT TO:<b@own.test>").await?;
    client.expect("RSET").await?;
    let reply = client.command("MAIL FROM:<made.up@own.test>").await?;
    assert!(reply.starts_with("530 5.7.0"), "{reply}");
    Ok(())
}
