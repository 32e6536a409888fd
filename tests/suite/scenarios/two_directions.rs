//! Scenario 1: mode A, both directions, fall-through. Scenario 7: two tiers and another port.

use hikyaku_testkit::eventually::eventually;

use super::{EXT, Gateway, INNER};
use crate::lab::{CONTENT, SOON};

fn x_relays(content: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(content);
    let header = text.split("\r\n\r\n").next().unwrap_or_default();
    header.lines().filter(|line| line.starts_with("X-Relay:")).map(str::to_owned).collect()
}

#[tokio::test]
async fn scenario_1_both_directions() -> anyhow::Result<()> {
    let gateway = Gateway::start().await?;
    let route = format!("domain.jp, {}, {}\n", gateway.inner_address().ip(), gateway.inner_address().port());
    let said = gateway
        .import(
            &[
                ("alias", "al.tsv", "*@domain.jp\t*@domain.jp\n"),
                ("gateway", "gw.dat", &route),
                ("effect", "eff.dat", "127.0.0.20 true\n"),
            ],
            &[],
        )
        .await?;
    assert!(
        said.contains("/al.tsv:1: warning W-AL-MODEA: every address of domain.jp is accepted\n"),
        "{said}"
    );
    assert!(said.contains("\napplied as version 1\n"), "{said}");

    let mut ext = gateway.client(EXT).await?;
    ext.expect("MAIL FROM:<a@x.example>").await?;
    ext.expect("RCPT TO:<whoever@domain.jp>").await?;
    let refused = ext.command("RCPT TO:<v@z.test>").await?;
    assert!(refused.starts_with("550 5.7.1"), "{refused}");
    ext.expect("DATA").await?;
    ext.send(CONTENT.as_bytes()).await?;
    ext.expect(".").await?;
    ext.expect("QUIT").await?;
    assert_eq!(gateway.says(EXT, &["MAIL FROM:<fake@domain.jp>"]).await?, ["530 5.7.0"]);
    let mut inner = gateway.client(INNER).await?;
    inner.expect("HELO mail.domain.jp").await?;
    inner.send_mail("user1@domain.jp", &["b@z.test"], CONTENT).await?;

    eventually(SOON, async || match (gateway.inner.received_count(), gateway.world.received_count()) {
        (1, 1) => Ok(()),
        counts => Err(format!("{counts:?}")),
    })
    .await;
    let (inbound, outbound) = (&gateway.inner.received()[0], &gateway.world.received()[0]);
    assert_eq!(
        (inbound.sender.as_str(), inbound.recipients.as_slice()),
        ("a@x.example", &["whoever@domain.jp".to_owned()][..])
    );
    assert_eq!(x_relays(&inbound.content), Vec::<String>::new());
    assert_eq!(outbound.recipients, ["b@z.test"]);
    assert_eq!(x_relays(&outbound.content), ["X-Relay: gw.test From <user1@domain.jp>"]);

    // Neither direction works without its line (SEED-001).
    gateway.relay.ctl(&["directory", "roll-back", "1"]).await?;
    let empty = gateway.lab.folder.path().join("empty");
    std::fs::write(&empty, "")?;
    let empty = empty.to_string_lossy().into_owned();
    gateway.relay.ctl(&["directory", "set", "access", &empty]).await?;
    gateway.relay.ctl(&["directory", "set", "aliases", &empty]).await?;
    eventually(SOON, async || {
        let inner = gateway.says(INNER, &["MAIL FROM:<a@x.example>", "RCPT TO:<b@z.test>"]).await;
        let ext = gateway.says(EXT, &["MAIL FROM:<a@x.example>", "RCPT TO:<u@domain.jp>"]).await;
        match (inner, ext) {
            (Ok(inner), Ok(ext)) if inner[1] == "550 5.7.1" && ext[1] == "550 5.1.1" => Ok(()),
            said => Err(format!("{said:?}")),
        }
    })
    .await;
    Ok(())
}

/// The commands of the products' trace: HELO, and a blank after the colon.
#[tokio::test]
async fn scenario_7_two_tiers() -> anyhow::Result<()> {
    let gateway = Gateway::start().await?;
    let address = gateway.inner_address();
    let route = format!("test.jp,{},{}\n", address.ip(), address.port());
    gateway
        .import(
            &[
                ("alias", "al.tsv", "*@test.jp\t*@test.jp\n"),
                ("gateway", "gw.dat", &route),
                ("effect", "eff.dat", "127.0.0.102 true\n"),
            ],
            &[],
        )
        .await?;
    let mut inner = gateway.client("127.0.0.102").await?;
    inner.expect("helo inner").await?;
    inner.send_mail("bucho@test.jp", &["info@z.test"], CONTENT).await?;
    let mut outside = gateway.client(EXT).await?;
    for command in ["HELO dc.epost.test", "MAIL From: <info@z.test>", "RCPT To: <bucho@test.jp>", "DATA"] {
        outside.expect(command).await?;
    }
    outside.send(CONTENT.as_bytes()).await?;
    outside.expect(".").await?;
    eventually(SOON, async || match (gateway.inner.received_count(), gateway.world.received_count()) {
        (1, 1) => Ok(()),
        counts => Err(format!("{counts:?}")),
    })
    .await;
    assert_eq!(gateway.inner.received()[0].recipients, ["bucho@test.jp"]);

    // Variation b: a smart host beside a table is how mail goes round between two machines.
    let said =
        gateway.import(&[("settings", "set.txt", "smarthost = 127.0.0.102\n")], &["--dry-run"]).await?;
    assert!(said.contains("set.txt:1: warning W-LOOPRISK: [127.0.0.102]:25"), "{said}");
    Ok(())
}
