use std::net::SocketAddr;

use hikyaku_testkit::{
    client::SmtpClient,
    eventually::eventually,
    mx::{Script, ScriptedMx},
};

use crate::lab::{Certificates, Lab, SOON};

const STRANGER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 9)), 0);

/// SEED-101: with a pause of five seconds on port 25, who does not wait hears 554; nobody waits on 587.
#[tokio::test]
async fn seed_101_greet_pause() -> anyhow::Result<()> {
    let certificates = Certificates::new()?;
    let mut lab = Lab::empty().await?;
    let mx = ScriptedMx::start(Script::Accept).await?;
    lab.own_domain("own.test", &mx);
    let listeners = certificates.configuration(&["gw.test"]);
    lab.configure(&format!(
        "relay_from = [\"127.0.0.1/32\"]\n{listeners}[ingress]\ngreet_pause_seconds = 5\n\
         banners = {{ \"127.0.0.1:0\" = \"mx.test ESMTP hello\" }}\n"
    ))?;
    let relay = lab.up().await?;

    let mut hasty = SmtpClient::silent_from(STRANGER, relay.smtp()).await?;
    hasty.send(b"EHLO hasty.test\r\n").await?;
    let reply = hasty.reply().await?;
    assert!(reply.starts_with("554 5.5.0"), "{reply}");
    assert_eq!(hasty.reply().await.unwrap_or_default(), "", "the connection is closed");

    let mut patient = SmtpClient::connect_from(STRANGER, relay.smtp()).await?;
    patient.expect("EHLO patient.test").await?;
    patient.expect("MAIL FROM:<a@patient.test>").await?;
    patient.expect("RCPT TO:<b@own.test>").await?;

    // Nobody waits here, so what is sent at once waits for the greeting.
    let here: SocketAddr = "127.0.0.1:0".parse()?;
    for (from, to, greeting) in [
        (here, relay.smtp(), "220 mx.test ESMTP hello"),
        (STRANGER, relay.address("submission")?, "220 gw.test ESMTP"),
    ] {
        let mut client = SmtpClient::silent_from(from, to).await?;
        client.send(b"EHLO client.test\r\n").await?;
        assert_eq!(client.reply().await?, greeting);
        assert!(client.reply().await?.starts_with("250"));
    }
    eventually(SOON, async || {
        let refused = relay.mail_log("refused", None);
        let is_told = refused.iter().any(|line| line["decided_by"] == "smtp.early-talker");
        if is_told { Ok(()) } else { Err(format!("{refused:?}")) }
    })
    .await;
    Ok(())
}
