use std::net::SocketAddr;

use hikyaku_testkit::{
    client::SmtpClient,
    eventually::eventually,
    mx::{Script, ScriptedMx},
    relay::signal,
};

use crate::lab::{Lab, SOON};

const MESSAGE: usize = 1024 * 1024;

async fn client(relay: SocketAddr) -> anyhow::Result<SmtpClient> {
    let mut client = SmtpClient::connect(relay).await?;
    client.expect("EHLO client.test").await?;
    Ok(client)
}

/// Content of all connections together takes no more than it may: who comes when most is taken is put off before
/// it sends anything, and mail goes on when the others have ended.
#[tokio::test]
async fn content_has_so_much_memory_and_no_more() -> anyhow::Result<()> {
    let mut lab = Lab::new().await?;
    let mx = ScriptedMx::start(Script::Accept).await?;
    lab.own_domain("own.test", &mx);
    lab.configure(&format!(
        "[ingress]\nmax_message_bytes = {MESSAGE}\nmax_content_memory_bytes = {}\n",
        4 * MESSAGE
    ))?;
    let relay = lab.up().await?;
    let mut begun = Vec::new();
    for _ in 0..12 {
        let mut client = client(relay.smtp()).await?;
        if client.command("MAIL FROM:<a@client.test>").await?.starts_with("452 4.3.1") {
            break;
        }
        client.expect("RCPT TO:<b@own.test>").await?;
        client.expect("DATA").await?;
        client.send("0123456789abcd\r\n".repeat(MESSAGE / 2 / 16).as_bytes()).await?;
        begun.push(client);
    }
    let mut late = client(relay.smtp()).await?;
    eventually(SOON, async || {
        let mut late = client(relay.smtp()).await.map_err(|error| error.to_string())?;
        let reply = late.command("MAIL FROM:<a@client.test>").await.map_err(|error| error.to_string())?;
        if reply.starts_with("452 4.3.1") { Ok(()) } else { Err(reply) }
    })
    .await;

    let mut accepted = 0;
    for client in &mut begun {
        let reply = client.command(".").await?;
        assert!(reply.starts_with("250") || reply.starts_with("452 4.3.1"), "{reply}");
        accepted += usize::from(reply.starts_with("250"));
    }
    assert!(accepted > 0, "who has begun can end");
    late.send_mail("a@client.test", &["b@own.test"], "Subject: late\r\n\r\n").await?;
    eventually(SOON, async || match mx.received_count() {
        count if count == accepted + 1 => Ok(()),
        count => Err(format!("{count} of {}", accepted + 1)),
    })
    .await;
    Ok(())
}

/// A queue that is slow must not be what fills the memory.
#[tokio::test]
async fn content_counts_until_it_is_stored() -> anyhow::Result<()> {
    let mut lab = Lab::new().await?;
    let mx = ScriptedMx::start(Script::Accept).await?;
    lab.own_domain("own.test", &mx);
    lab.configure(&format!(
        "[ingress]\nmax_message_bytes = {MESSAGE}\nmax_content_memory_bytes = {}\n",
        2 * MESSAGE
    ))?;
    let relay = lab.up().await?;
    let broker: u32 =
        std::fs::read_to_string(lab.folder.path().join("data/nats/nats-server.pid"))?.trim().parse()?;
    signal("STOP", broker).await?;
    let mut begun = Vec::new();
    eventually(SOON, async || {
        let mut client = client(relay.smtp()).await.map_err(|error| error.to_string())?;
        let reply = client.command("MAIL FROM:<a@client.test>").await.map_err(|error| error.to_string())?;
        if reply.starts_with("452 4.3.1") {
            return Ok(());
        }
        let whole = "0123456789abcd\r\n".repeat(MESSAGE / 2 / 16) + ".\r\n";
        for command in ["RCPT TO:<b@own.test>", "DATA"] {
            client.expect(command).await.map_err(|error| error.to_string())?;
        }
        client.send(whole.as_bytes()).await.map_err(|error| error.to_string())?;
        begun.push(client);
        Err(format!("{} messages wait for the queue: {reply}", begun.len()))
    })
    .await;
    signal("CONT", broker).await?;
    eventually(SOON, async || {
        let mut late = client(relay.smtp()).await.map_err(|error| error.to_string())?;
        let reply = late.command("MAIL FROM:<a@client.test>").await.map_err(|error| error.to_string())?;
        if reply.starts_with("250") { Ok(()) } else { Err(reply) }
    })
    .await;
    Ok(())
}

/// Who sends large messages, and never ends them, does not keep out what others send.
#[tokio::test]
async fn one_client_does_not_take_all_memory() -> anyhow::Result<()> {
    let mut lab = Lab::empty().await?;
    let mx = ScriptedMx::start(Script::Accept).await?;
    lab.own_domain("own.test", &mx);
    lab.configure(&format!(
        "[ingress]\nmax_message_bytes = {MESSAGE}\nmax_content_memory_bytes = {}\n",
        8 * MESSAGE
    ))?;
    let relay = lab.up().await?;
    let (slow, other) = (SocketAddr::from(([127, 0, 0, 9], 0)), SocketAddr::from(([127, 0, 0, 8], 0)));
    let mut begun = Vec::new();
    for _ in 0..16 {
        let mut client = SmtpClient::connect_from(slow, relay.smtp()).await?;
        client.expect("EHLO slow.test").await?;
        client.expect("MAIL FROM:<a@slow.test>").await?;
        client.expect("RCPT TO:<b@own.test>").await?;
        client.expect("DATA").await?;
        client.send("0123456789abcd\r\n".repeat(MESSAGE / 2 / 16).as_bytes()).await?;
        begun.push(client);
    }
    // What the last one has sent was read when its reply comes.
    let mut replies = Vec::new();
    for client in begun.iter_mut().rev().take(8) {
        replies.push(client.command(".").await?);
    }
    assert!(replies.iter().any(|reply| reply.starts_with("452 4.3.1")), "{replies:?}");
    let mut client = SmtpClient::connect_from(other, relay.smtp()).await?;
    client.expect("EHLO other.test").await?;
    client.send_mail("a@other.test", &["b@own.test"], "Subject: other\r\n\r\n").await?;
    Ok(())
}
