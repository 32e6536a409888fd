use std::time::Duration;

use hikyaku_testkit::{
    client::send_one,
    mx::{Script, ScriptedMx},
};

use crate::lab::{CONTENT, Lab, SOON, set_traffic};

/// SEED-154: a host that is slower than its time is given up, and another time holds without a restart.
#[tokio::test]
async fn seed_154_times_of_a_destination_change_live() -> anyhow::Result<()> {
    let mut lab = Lab::new().await?;
    let slow = ScriptedMx::start(Script::SlowContent(Duration::from_secs(4))).await?;
    lab.own_domain("slow.test", &slow);
    let relay = lab.up().await?;
    let destination = format!("[{}]:{}", slow.address().ip(), slow.address().port());
    set_traffic(&relay, &format!("destination {destination} timeout_final_dot=1s\n")).await?;
    crate::lab::in_force(&relay, &destination, "timeout_final_dot 1s").await;
    let id = send_one(relay.smtp(), "a@client.test", &["b@slow.test"], CONTENT).await?;
    let deferred = relay.wait_for_mail_log("deferred", &id, SOON).await;
    let cause = deferred["cause"].as_str().unwrap_or_default();
    assert!(cause.contains("timed out while waiting for the reply to the final dot"), "{cause}");
    assert_eq!(deferred["class"], "noreply");

    set_traffic(&relay, &format!("destination {destination} timeout_final_dot=20m\n")).await?;
    crate::lab::in_force(&relay, &destination, "timeout_final_dot 20m").await;
    relay.ctl(&["queue", "retry", &id]).await?;
    relay.wait_for_mail_log("delivered", &id, SOON).await;
    Ok(())
}
