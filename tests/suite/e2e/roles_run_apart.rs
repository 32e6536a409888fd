//! Each role as a process of its own, as in a cluster, with two workers.

use hikyaku_testkit::{
    client::send_one,
    eventually::eventually,
    mx::{Script, ScriptedMx},
    nats::NatsServer,
};

use crate::{
    lab::{CONTENT, SOON},
    rig::{Brokers, Rig, domain},
};

#[tokio::test]
async fn mail_passes_and_a_second_worker_changes_nothing() -> anyhow::Result<()> {
    let inner = ScriptedMx::start(Script::Accept).await?;
    let mut rig = Rig::start(Brokers::One(NatsServer::start()?), &domain("own.test", &inner), "").await?;
    let ingress = rig.ingress().await?;
    let _first = rig.worker().await?;
    let _second = rig.worker().await?;
    for n in 0..20 {
        send_one(ingress.smtp(), "a@client.test", &[&format!("u{n}@own.test")], CONTENT).await?;
    }
    eventually(SOON, async || match inner.received_count() {
        20 => Ok(()),
        count => Err(format!("{count} of 20 arrived")),
    })
    .await;
    assert!(inner.most_sessions() <= 20);
    Ok(())
}

#[tokio::test]
async fn without_the_policy_service_nothing_is_accepted_or_refused_for_good() -> anyhow::Result<()> {
    let inner = ScriptedMx::start(Script::Accept).await?;
    let mut rig = Rig::start(Brokers::One(NatsServer::start()?), &domain("own.test", &inner), "").await?;
    let ingress = rig.ingress().await?;
    let smtp = ingress.smtp();
    send_one(smtp, "a@client.test", &["b@own.test"], CONTENT).await?;
    rig.policy.kill().await?;
    eventually(SOON, async || {
        let error = match send_one(smtp, "a@client.test", &["c@own.test"], CONTENT).await {
            Ok(_) => return Err("accepted from memory".to_owned()),
            Err(error) => error.to_string(),
        };
        if error.contains("451 4.3.0") { Ok(()) } else { Err(error) }
    })
    .await;
    Ok(())
}
