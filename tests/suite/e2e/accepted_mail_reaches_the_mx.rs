use hikyaku_testkit::{
    client::{SmtpClient, send_one},
    eventually::eventually,
    mx::{Script, ScriptedMx},
};

use crate::lab::{CONTENT, Lab, SOON};

#[tokio::test]
async fn byte_for_byte_below_our_trace_fields() -> anyhow::Result<()> {
    let mut lab = Lab::new().await?;
    let mx = ScriptedMx::start(Script::Accept).await?;
    lab.configure(&format!("[delivery]\nmx_port = {}", mx.address().port()))?;
    lab.mail_for("there.test", mx.address());
    let relay = lab.up().await?;
    let odd =
        "From: a@client.test\r\nX-Odd:\t b \r\nSubject: =?x\r\n\r\n.leading dot is ours\r\n \r\n\u{3042}\r\n";
    let stuffed = odd.replace("\r\n.", "\r\n..");
    let id = send_one(relay.smtp(), "a@client.test", &["b@there.test"], &stuffed).await?;
    relay.wait_for_mail_log("delivered", &id, SOON).await;
    let received = mx.received();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].sender, "a@client.test");
    assert_eq!(received[0].recipients, ["b@there.test"]);
    let text = received[0].text();
    let (trace, original) = text.split_at(text.len() - odd.len());
    assert_eq!(original, odd);
    assert!(trace.starts_with("Received: from client.test ([127.0.0.1])"), "{trace}");
    assert!(trace.contains("by gw.test") && trace.contains(&id), "{trace}");
    assert!(trace.ends_with("X-Relay: gw.test From <a@client.test>\r\n"), "{trace}");
    // A fast delivery may be logged before the acceptance.
    relay.wait_for_mail_log("accepted", &id, SOON).await;
    for event in ["accepted", "attempt", "delivered"] {
        assert_eq!(relay.mail_log(event, Some(&id)).len(), 1, "{event}");
    }
    Ok(())
}

/// SEED-029: one transaction for each next hop, whatever the recipients' domains.
#[tokio::test]
async fn recipients_of_one_next_hop_travel_together() -> anyhow::Result<()> {
    let mut lab = Lab::new().await?;
    let inner = ScriptedMx::start(Script::Accept).await?;
    for domain in ["p.test", "q.test", "r.test"] {
        lab.own_domain(domain, &inner);
    }
    let relay = lab.up().await?;
    send_one(relay.smtp(), "a@client.test", &["a@p.test", "b@q.test", "c@r.test"], CONTENT).await?;
    eventually(SOON, async || match inner.received().as_slice() {
        [one] if one.recipients == ["a@p.test", "b@q.test", "c@r.test"] => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn a_session_is_used_for_many_messages() -> anyhow::Result<()> {
    let mut lab = Lab::new().await?;
    let inner = ScriptedMx::start(Script::Accept).await?;
    lab.own_domain("own.test", &inner);
    let relay = lab.up().await?;
    let mut client = SmtpClient::connect(relay.smtp()).await?;
    client.expect("EHLO client.test").await?;
    for n in 0..50 {
        client.send_mail("a@client.test", &[&format!("u{n}@own.test")], CONTENT).await?;
    }
    eventually(SOON, async || match inner.received_count() {
        50 => Ok(()),
        count => Err(format!("{count} of 50 arrived")),
    })
    .await;
    assert!(inner.total_sessions() <= 20, "{} sessions for 50 messages", inner.total_sessions());
    Ok(())
}

/// Many servers take a few messages a session: the next one is no failure, and costs no retry.
#[tokio::test]
async fn a_session_that_ends_after_one_message_delays_nobody() -> anyhow::Result<()> {
    let mut lab = Lab::new().await?;
    let inner = ScriptedMx::start(Script::OneMessagePerSession).await?;
    lab.own_domain("own.test", &inner);
    let relay = lab.up().await?;
    let mut client = SmtpClient::connect(relay.smtp()).await?;
    client.expect("EHLO client.test").await?;
    for n in 0..10 {
        client.send_mail("a@client.test", &[&format!("u{n}@own.test")], CONTENT).await?;
    }
    eventually(SOON, async || match inner.received_count() {
        10 => Ok(()),
        count => Err(format!("{count} of 10 arrived")),
    })
    .await;
    assert!(relay.mail_log("deferred", None).is_empty());
    Ok(())
}

/// SEED-006: a peer that does not know EHLO.
#[tokio::test]
async fn helo_is_enough() -> anyhow::Result<()> {
    let mut lab = Lab::new().await?;
    let inner = ScriptedMx::start(Script::HeloOnly).await?;
    lab.own_domain("own.test", &inner);
    let relay = lab.up().await?;
    let id = send_one(relay.smtp(), "a@client.test", &["b@own.test"], CONTENT).await?;
    relay.wait_for_mail_log("delivered", &id, SOON).await;
    Ok(())
}
