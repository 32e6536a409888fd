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

/// `node drain` hands the shards of a node over, and `node resume` lets it take some again.
#[tokio::test]
async fn a_drained_node_delivers_nothing() -> anyhow::Result<()> {
    let inner = ScriptedMx::start(Script::Accept).await?;
    let mut rig = Rig::start(Brokers::One(NatsServer::start()?), &domain("own.test", &inner), "").await?;
    let ingress = rig.ingress().await?;
    let first = rig.worker().await?;
    let second = rig.worker().await?;
    let shares = async || -> anyhow::Result<Vec<usize>> {
        let list: serde_json::Value = serde_json::from_str(&second.ctl(&["--json", "node", "list"]).await?)?;
        let workers = list["workers"].as_array().cloned().unwrap_or_default();
        Ok(workers.iter().map(|worker| worker["shards"].as_array().map_or(0, Vec::len)).collect())
    };
    let become_shares = async |wanted: Vec<usize>| {
        eventually(SOON, async || match shares().await {
            Ok(shares) if shares == wanted => Ok(()),
            other => Err(format!("{other:?}, not {wanted:?}")),
        })
        .await;
    };
    become_shares(vec![8, 8]).await;
    second.ctl(&["node", "drain", "delivery-2"]).await?;
    become_shares(vec![0, 16]).await;
    for n in 0..10 {
        send_one(ingress.smtp(), "a@client.test", &[&format!("u{n}@own.test")], CONTENT).await?;
    }
    eventually(SOON, async || match second.mail_log("delivered", None).len() {
        10 => Ok(()),
        count => Err(format!("{count} of 10 delivered")),
    })
    .await;
    assert_eq!(first.mail_log("attempt", None).len(), 0);
    second.ctl(&["node", "resume", "delivery-2"]).await?;
    become_shares(vec![8, 8]).await;
    let unknown = second.ctl(&["node", "drain", "nobody"]).await.unwrap_err();
    assert!(unknown.to_string().contains("nobody"), "{unknown}");
    Ok(())
}
