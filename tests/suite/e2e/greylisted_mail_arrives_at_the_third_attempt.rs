//! SEED-178: a window of 300 s for each (client, sender, recipient) is passed at t = 360 s.
//! The relay's retry clocks and the window run 60 times faster here.

use std::time::Duration;

use hikyaku_testkit::{
    client::send_one,
    mx::{Script, ScriptedMx},
};

use crate::lab::{CONTENT, Lab, SOON};

const RATE: u32 = 60;

#[tokio::test]
async fn at_360_seconds() -> anyhow::Result<()> {
    let mut lab = Lab::new().await?;
    let window = Duration::from_secs(300) / RATE;
    let mx = ScriptedMx::start(Script::Greylist(window)).await?;
    lab.configure(&format!("[delivery]\nretry_clock_rate = {RATE}\nmx_port = {}", mx.address().port()))?;
    lab.mail_for("grey.test", mx.address());
    let relay = lab.up().await?;
    let id = send_one(relay.smtp(), "a@client.test", &["b@grey.test"], CONTENT).await?;
    let delivered = relay.wait_for_mail_log("delivered", &id, SOON).await;
    assert_eq!(delivered["attempt"], 3);
    let codes: Vec<u16> = mx.attempts().iter().map(|(_, _, code)| *code).collect();
    assert_eq!(codes, [451, 451, 250]);
    let first = mx.attempts()[0].0;
    let seconds: Vec<u64> =
        mx.attempts().iter().map(|(at, ..)| (at.duration_since(first) * RATE).as_secs()).collect();
    // 120 and 360 s, less a tenth of jitter.
    assert!(seconds[1] >= 108 && seconds[2] >= 324, "{seconds:?}");
    let deferred = relay.mail_log("deferred", Some(&id));
    assert_eq!(deferred.len(), 2);
    assert!(deferred[0]["cause"].as_str().unwrap().contains("451 4.7.1 greylisted"), "{deferred:?}");
    Ok(())
}

/// The server's own time is kept: 32 s and a little, where the interval would be 120 s.
#[tokio::test]
async fn at_the_time_that_the_server_says() -> anyhow::Result<()> {
    const RATE: u32 = 10;
    let mut lab = Lab::new().await?;
    let mx =
        ScriptedMx::start(Script::RefuseRcpt("451 4.7.1 Greylisted, please try again in 30 seconds")).await?;
    lab.configure(&format!("[delivery]\nretry_clock_rate = {RATE}\nmx_port = {}", mx.address().port()))?;
    lab.mail_for("grey.test", mx.address());
    let relay = lab.up().await?;
    let id = send_one(relay.smtp(), "a@client.test", &["b@grey.test"], CONTENT).await?;
    relay.wait_for_mail_log("deferred", &id, SOON).await;
    mx.set(Script::Accept);
    let delivered = relay.wait_for_mail_log("delivered", &id, SOON).await;
    assert_eq!(delivered["attempt"], 2);
    let waited = mx.attempts()[1].0.duration_since(mx.attempts()[0].0) * RATE;
    assert!((32..108).contains(&waited.as_secs()), "{waited:?}");
    Ok(())
}
