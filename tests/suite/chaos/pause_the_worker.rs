//! A worker that is stopped for longer than the broker waits for it wakes up with buffers full of
//! the past: it must not send what the broker hands out again.

use std::{collections::BTreeMap, time::Duration};

use hikyaku_testkit::{
    client::SmtpClient,
    eventually::eventually,
    mx::{Script, ScriptedMx},
    relay::signal,
};

use crate::{e2e::roles_run_apart::Roles, lab::CONTENT};

const MESSAGES: usize = 200;
const REDELIVERY: Duration = Duration::from_secs(120);

#[tokio::test]
async fn what_it_had_is_not_sent_twice() -> anyhow::Result<()> {
    let inner = ScriptedMx::start(Script::SlowContent(Duration::from_millis(500))).await?;
    let roles = Roles::start("own.test", &inner).await?;
    let worker = roles.worker().await?;
    let mut client = SmtpClient::connect(roles.ingress.smtp()).await?;
    client.expect("EHLO client.test").await?;
    for n in 0..MESSAGES {
        client.send_mail("a@client.test", &[&format!("u{n}@own.test")], CONTENT).await?;
    }
    let pid = worker.pid().unwrap_or_default();
    signal("STOP", pid).await?;
    // Another worker takes over, which is the sign that the first has lost what it held.
    let second = roles.worker().await?;
    let before = inner.received_count();
    eventually(REDELIVERY, async || {
        let others = second.mail_log("delivered", None).len();
        if others > 0 { Ok(()) } else { Err(format!("{before} by the first, {others} by the second")) }
    })
    .await;
    inner.set(Script::Accept);
    signal("CONT", pid).await?;
    eventually(REDELIVERY, async || match copies(&inner).len() {
        MESSAGES => Ok(()),
        count => Err(format!("{count} of {MESSAGES} arrived")),
    })
    .await;
    let duplicates: usize = copies(&inner).values().map(|count| count - 1).sum();
    println!("{duplicates} duplicates of {MESSAGES}");
    // Only what was past its final dot when the worker was stopped.
    assert!(duplicates <= inner.most_sessions(), "{duplicates} duplicates");
    Ok(())
}

fn copies(inner: &ScriptedMx) -> BTreeMap<String, usize> {
    let mut copies = BTreeMap::new();
    for recipient in inner.received().into_iter().flat_map(|mail| mail.recipients) {
        *copies.entry(recipient).or_insert(0) += 1;
    }
    copies
}
