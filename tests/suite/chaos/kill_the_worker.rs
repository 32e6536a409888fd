//! kill -9 of the only delivery worker during load: another takes over, nothing is lost.

use std::time::Duration;

use hikyaku_testkit::{
    client::SmtpClient,
    eventually::eventually,
    mx::{Script, ScriptedMx},
};

use crate::{e2e::roles_run_apart::Roles, lab::CONTENT};

const MESSAGES: usize = 600;
const REDELIVERY: Duration = Duration::from_secs(90);

#[tokio::test]
async fn another_takes_over() -> anyhow::Result<()> {
    let inner = ScriptedMx::start(Script::Accept).await?;
    let roles = Roles::start("own.test", &inner).await?;
    let worker = roles.worker().await?;
    let mut client = SmtpClient::connect(roles.ingress.smtp()).await?;
    client.expect("EHLO client.test").await?;
    let mut worker = Some(worker);
    for n in 0..MESSAGES {
        client.send_mail("a@client.test", &[&format!("u{n}@own.test")], CONTENT).await?;
        if n == MESSAGES / 2
            && let Some(worker) = worker.take()
        {
            worker.kill().await?;
        }
    }
    let _next = roles.worker().await?;
    let recipients = || {
        let mut all: Vec<String> = inner.received().into_iter().flat_map(|mail| mail.recipients).collect();
        all.sort();
        all
    };
    eventually(REDELIVERY, async || {
        let mut all = recipients();
        all.dedup();
        if all.len() == MESSAGES { Ok(()) } else { Err(format!("{} of {MESSAGES} arrived", all.len())) }
    })
    .await;
    let copies = recipients().len() - MESSAGES;
    assert!(copies <= inner.most_sessions(), "{copies} duplicates, {} sessions", inner.most_sessions());
    Ok(())
}
