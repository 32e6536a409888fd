use std::time::{Duration as StdDuration, SystemTime};

use hikyaku_testkit::{
    client::{SmtpClient, send_one},
    eventually::eventually,
    mx::{Script, ScriptedMx},
};
use time::{Duration, OffsetDateTime};

use crate::lab::{CONTENT, Lab, SOON};

/// Hours of a minute's precision, from so many minutes after the present one, in UTC.
fn hours(from: i64, until: i64) -> String {
    let now = OffsetDateTime::from(SystemTime::now());
    let [from, until] = [from, until].map(|minutes| now + Duration::minutes(minutes));
    let time = |at: OffsetDateTime| format!("{:02}:{:02}", at.hour(), at.minute());
    format!("daily {}-{} UTC", time(from), time(until))
}

/// The minute, from the present one, that begins more than half a minute from now: what is set until then takes its time.
fn soon() -> i64 {
    if OffsetDateTime::from(SystemTime::now()).second() > 25 { 2 } else { 1 }
}

/// SEED-118: of one message's recipients one gets it at once, one when its hours begin, one when an operator
/// has changed its hours. Who sends outside of its hours is put off.
#[tokio::test]
async fn seed_118_mail_waits_for_its_hours() -> anyhow::Result<()> {
    let mut lab = Lab::new().await?;
    let inner = ScriptedMx::start(Script::Accept).await?;
    lab.own_domain("own.test", &inner);
    let relay = lab.up().await?;
    let soon = hours(soon(), 12 * 60);
    let accounts = |late: &str| {
        let always = "daily 00:00-24:00 UTC";
        format!(
            "now@own.test\treceive_hours={always}\nsoon@own.test\treceive_hours={soon}\nlate@own.test{late}\n"
        )
    };
    let set = async |text: String| {
        let path = lab.folder.path().join("accounts");
        std::fs::write(&path, text)?;
        relay.ctl(&["directory", "set", "accounts", &path.to_string_lossy()]).await
    };
    let (begins, ends) = (10 * 60, 12 * 60);
    set(accounts(&format!("\thours={}", hours(begins, ends)))).await?;
    // Workers look for changes every two seconds.
    tokio::time::sleep(StdDuration::from_secs(3)).await;

    let mut client = SmtpClient::connect(relay.smtp()).await?;
    client.expect("EHLO device.test").await?;
    let reply = client.command("MAIL FROM:<late@own.test>").await?;
    assert!(reply.starts_with("450 4.7.1"), "{reply}");
    client.expect("MAIL FROM:<soon@own.test>").await?;

    let to = ["now@own.test", "soon@own.test", "late@own.test"];
    let id = send_one(relay.smtp(), "a@client.test", &to, CONTENT).await?;
    let delivered = relay.wait_for_mail_log("delivered", &id, SOON).await;
    assert_eq!(delivered["recipient"], "now@own.test");
    relay.wait_for_mail_log("waits", &id, SOON).await;
    let recipients = || inner.received().into_iter().flat_map(|mail| mail.recipients).collect::<Vec<_>>();
    until(SOON * 5, &["now@own.test", "soon@own.test"], recipients).await;
    assert!(relay.mail_log("waits", Some(&id)).len() >= 2, "both have waited");

    set(accounts("")).await?;
    tokio::time::sleep(StdDuration::from_secs(3)).await;
    relay.ctl(&["queue", "retry", &id]).await?;
    until(SOON, &to, recipients).await;
    relay.ctl(&["queue", "audit", "--older-than", "0s"]).await?;
    Ok(())
}

async fn until(limit: StdDuration, expected: &[&str], recipients: impl Fn() -> Vec<String>) {
    eventually(limit, async || {
        let recipients = recipients();
        if recipients == expected { Ok(()) } else { Err(format!("{recipients:?} have it")) }
    })
    .await;
}
