//! Scenario 2: mode B against forged bounces.

use hikyaku_testkit::eventually::eventually;
use serde_json::Value;

use super::{EXT, Gateway};
use crate::lab::{CONTENT, SOON};

const FORGED: usize = 10_000;
const SESSIONS: usize = 10;

/// SEED-061.
#[tokio::test]
async fn scenario_2_forged_bounces_end_at_the_border() -> anyhow::Result<()> {
    let gateway = Gateway::start().await?;
    let address = gateway.inner_address();
    gateway
        .import(
            &[
                (
                    "alias",
                    "al.tsv",
                    "user1@domain.co.jp\tuser1@domain.co.jp\nuser2@domain.co.jp\tuser2@domain.co.jp\n",
                ),
                ("gateway", "gw.dat", &format!("domain.co.jp,{},{}\n", address.ip(), address.port())),
            ],
            &[],
        )
        .await?;
    for session in 0..SESSIONS {
        let mut client = gateway.client(EXT).await?;
        for number in 0..FORGED / SESSIONS {
            client.expect("MAIL FROM:<>").await?;
            let reply = client.command(&format!("RCPT TO:<r{session}x{number}@domain.co.jp>")).await?;
            assert!(reply.starts_with("550 5.1.1"), "{reply}");
            client.expect("RSET").await?;
        }
    }
    let mut client = gateway.client(EXT).await?;
    for _ in 0..20 {
        client.send_mail("", &["user1@domain.co.jp"], CONTENT).await?;
    }
    client.send_mail("", &["postmaster@domain.co.jp"], CONTENT).await?;
    client.expect("MAIL FROM:<a@x.example>").await?;
    client.expect("RCPT TO:<user1@domain.co.jp>").await?;
    let reply = client.command("RCPT TO:<user3@domain.co.jp>").await?;
    assert!(reply.starts_with("550 5.1.1"), "{reply}");
    client.expect("DATA").await?;
    client.send(CONTENT.as_bytes()).await?;
    client.expect(".").await?;
    eventually(SOON, async || match gateway.inner.received_count() {
        22 => Ok(()),
        count => Err(format!("{count} of 22")),
    })
    .await;
    let last = gateway.inner.received().pop().unwrap();
    assert_eq!(last.recipients, ["user1@domain.co.jp"]);
    assert_eq!(gateway.relay.mail_log("bounced", None), Vec::<Value>::new());
    assert!(gateway.relay.ctl(&["dead", "list"]).await?.starts_with("no dead letters"));
    Ok(())
}
