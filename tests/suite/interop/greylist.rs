//! Postfix with postgrey as a next hop: the retry clocks and its five minutes run 60 times faster.

use hikyaku_testkit::{client::send_one, eventually::eventually, peers::Peer};

use crate::lab::{CONTENT, Lab, SOON, listening};

const RATE: u32 = 60;
const GREYLIST_SECONDS: u32 = 300;

#[tokio::test]
async fn greylisted_mail_waits_and_no_other() -> anyhow::Result<()> {
    let peer = Peer::greylisting_postfix(GREYLIST_SECONDS / RATE, "known@own.test").await?;
    let Some(peer) = listening(peer).await else { return Ok(()) };
    let mut lab = Lab::new().await?;
    lab.own_domain_at("own.test", peer.address());
    lab.configure(&format!("[delivery]\nretry_clock_rate = {RATE}\n"))?;
    let relay = lab.up().await?;

    let mut greylisted = Vec::new();
    for n in 0..5 {
        let from = format!("stranger{n}@client.test");
        greylisted.push(send_one(relay.smtp(), &from, &["b@own.test"], CONTENT).await?);
    }
    for id in &greylisted {
        let deferred = relay.wait_for_mail_log("deferred", id, SOON).await;
        let cause = deferred["cause"].as_str().unwrap_or_default();
        assert!(cause.contains("450 4.2.0") && cause.contains("Greylisted"), "{deferred}");
    }
    // It waits for nothing, at the same host and the same time.
    for _ in 0..3 {
        let id = send_one(relay.smtp(), "a@client.test", &["known@own.test"], CONTENT).await?;
        let delivered = relay.wait_for_mail_log("delivered", &id, SOON).await;
        assert_eq!(delivered["attempt"], 1, "{delivered}");
        assert!(relay.mail_log("deferred", Some(&id)).is_empty());
    }
    for id in &greylisted {
        let delivered = relay.wait_for_mail_log("delivered", id, SOON).await;
        assert!(delivered["attempt"].as_u64() >= Some(2), "{delivered}");
    }
    // Who was let in once is not asked again.
    let id = send_one(relay.smtp(), "stranger0@client.test", &["b@own.test"], CONTENT).await?;
    assert_eq!(relay.wait_for_mail_log("delivered", &id, SOON).await["attempt"], 1);
    eventually(SOON, async || {
        let mail = peer.mail();
        let (messages, delayed) =
            (mail.matches("\nSubject: hello").count(), mail.matches("X-Greylist: delayed").count());
        if (messages, delayed) == (9, 5) { Ok(()) } else { Err(format!("{messages}, {delayed}: {mail}")) }
    })
    .await;
    Ok(())
}
