use std::net::SocketAddr;

use hikyaku_testkit::{
    client::SmtpClient,
    eventually::eventually,
    mx::{Script, ScriptedMx},
    peers::Peer,
    relay::Relay,
};

use crate::lab::{CONTENT, Lab, SOON};

/// A relay that takes every address of own.test that the inner server knows, if `more` does not say otherwise.
async fn asking(inner: SocketAddr, more: &str) -> anyhow::Result<(Lab, Relay)> {
    let mut lab = Lab::empty().await?;
    lab.own_domain_at("own.test", inner);
    // One test guesses very many recipients.
    lab.configure("[ingress]\ntarpit_seconds = 0\n")?;
    let relay = lab.up().await?;
    set_source(&lab, &relay, more).await?;
    Ok((lab, relay))
}

async fn set_source(lab: &Lab, relay: &Relay, more: &str) -> anyhow::Result<()> {
    let file = lab.folder.path().join("sources");
    std::fs::write(&file, format!("own.test recipients=next-hop {more}\n"))?;
    relay.ctl(&["directory", "set", "sources", &file.to_string_lossy()]).await?;
    Ok(())
}

async fn client(relay: &Relay) -> anyhow::Result<SmtpClient> {
    let mut client = SmtpClient::connect(relay.smtp()).await?;
    client.expect("EHLO client.test").await?;
    client.expect("MAIL FROM:<a@client.test>").await?;
    Ok(client)
}

/// SEED-064: one question for an address that is not there, however often it is tried.
#[tokio::test]
async fn seed_064_an_address_is_asked_about_once() -> anyhow::Result<()> {
    let inner = ScriptedMx::start(Script::RefuseLocalPart("nobody", "550 5.1.1 no such user")).await?;
    let (_lab, relay) = asking(inner.address(), "").await?;
    let asked = |address: &str| inner.attempts().iter().filter(|(_, to, _)| to == address).count();
    let mut client = client(&relay).await?;
    for number in 0..1_000 {
        let name = if number == 0 { "nobody" } else { "Nobody" };
        let reply = client.command(&format!("RCPT TO:<{name}@own.test>")).await?;
        // A session ends after so many refusals; the next one asks no more than it did.
        if reply.starts_with("421") {
            client = self::client(&relay).await?;
            continue;
        }
        assert!(reply.starts_with("550 5.1.1"), "{reply}");
    }
    assert_eq!(asked("Nobody@own.test") + asked("nobody@own.test"), 1);

    client = self::client(&relay).await?;
    client.expect("RSET").await?;
    client.send_mail("a@client.test", &["ann@own.test"], CONTENT).await?;
    client.send_mail("a@client.test", &["ann@own.test"], CONTENT).await?;
    eventually(SOON, async || match inner.received_count() {
        2 => Ok(()),
        count => Err(format!("{count} of 2")),
    })
    .await;
    assert_eq!(asked("ann@own.test"), 3, "one question, two deliveries");
    let explained = relay
        .ctl(&["explain", "--client", "203.0.113.9", "--from", "a@x.test", "--to", "nobody@own.test"])
        .await?;
    assert!(explained.contains("550 5.1.1") && explained.contains("if the next hop knows it"), "{explained}");
    Ok(())
}

/// SEED-064: while nobody can say, it is 451, or 250 where that was chosen; never 550.
#[tokio::test]
async fn seed_064_an_inner_server_that_cannot_be_asked() -> anyhow::Result<()> {
    for script in
        [Script::Silent, Script::Greeting("554 5.7.1 not you"), Script::RefuseRcpt("451 4.7.1 later")]
    {
        let inner = ScriptedMx::start(script.clone()).await?;
        let (lab, relay) = asking(inner.address(), "").await?;
        let reply = client(&relay).await?.command("RCPT TO:<ann@own.test>").await?;
        assert!(reply.starts_with("451 4.3.0"), "{script:?}: {reply}");
        set_source(&lab, &relay, "when-down=accept").await?;
        eventually(SOON, async || {
            let reply = client(&relay).await.map_err(|error| error.to_string())?;
            let reply =
                { reply }.command("RCPT TO:<ann@own.test>").await.map_err(|error| error.to_string())?;
            if reply.starts_with("250") { Ok(()) } else { Err(reply) }
        })
        .await;
    }
    Ok(())
}

#[tokio::test]
async fn seed_064_postfix_is_understood() -> anyhow::Result<()> {
    let inner = match Peer::postfix_knowing("inline:{ann@own.test=mail/box}")? {
        Ok(inner) => inner,
        Err(skipped) => {
            println!("skipped: {skipped}");
            return Ok(());
        }
    };
    let (_lab, relay) = asking(inner.address(), "").await?;
    let mut client = client(&relay).await?;
    let reply = client.command("RCPT TO:<nobody@own.test>").await?;
    assert!(reply.starts_with("550 5.1.1"), "{reply}");
    client.expect("RSET").await?;
    client.send_mail("a@client.test", &["ann@own.test"], CONTENT).await?;
    eventually(SOON, async || {
        let mail = inner.mail();
        if mail.contains("Hello, world.") { Ok(()) } else { Err(mail) }
    })
    .await;
    Ok(())
}
