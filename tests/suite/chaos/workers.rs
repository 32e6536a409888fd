//! Workers come, go, die, sleep and are cut off.

use std::time::{Duration, Instant};

use hikyaku_testkit::{nats::NatsServer, nats_cluster::NatsCluster, relay::signal, wire::Wire};

use crate::{
    chaos::storm::{CAP, Storm},
    rig::Brokers,
};

/// Longer than a worker may be silent before others take what it had.
const LONG_SILENCE: Duration = Duration::from_secs(8);

fn one_broker() -> anyhow::Result<Brokers> {
    Ok(Brokers::One(NatsServer::start()?))
}

#[tokio::test]
async fn one_is_killed_and_others_take_over() -> anyhow::Result<()> {
    let mut storm = Storm::begin(one_broker()?, 1, 3).await?;
    let start = Instant::now();
    storm.workers.remove(1).kill().await?;
    storm.more_arrivals(100).await;
    for worker in &storm.workers {
        let log = worker.log();
        let taken = log.iter().filter(|line| line["message"] == "shard is ours").count();
        println!("a worker that lives has taken {taken} shards; {:?} after the kill", start.elapsed());
    }
    storm.end(1).await;
    Ok(())
}

#[tokio::test]
async fn they_come_and_go_under_load() -> anyhow::Result<()> {
    let mut storm = Storm::begin(one_broker()?, 1, 3).await?;
    for _ in 0..4 {
        let worker = storm.rig.worker().await?;
        storm.workers.push(worker);
    }
    storm.more_mail(200).await;
    for _ in 0..5 {
        storm.worker_goes().await?;
    }
    storm.more_mail(200).await;
    let worker = storm.rig.worker().await?;
    storm.workers.push(worker);
    storm.more_mail(200).await;
    // Nothing is cut: what goes is handed over.
    storm.end(0).await;
    Ok(())
}

/// SIGSTOP beyond the time after which it counts as dead. Its connections stay open, because
/// nobody can close them; it must not send on them what others have taken over.
#[tokio::test]
async fn one_sleeps_too_long() -> anyhow::Result<()> {
    let mut storm = Storm::begin(one_broker()?, 1, 3).await?;
    let sleeper = storm.workers[0].pid().unwrap_or_default();
    signal("STOP", sleeper).await?;
    tokio::time::sleep(LONG_SILENCE).await;
    storm.more_arrivals(100).await;
    signal("CONT", sleeper).await?;
    storm.more_mail(200).await;
    storm.end_with(1, 2 * CAP).await;
    Ok(())
}

/// It lives and cannot be heard: it lets go by itself before others take over.
#[tokio::test]
async fn one_is_cut_off_from_the_broker() -> anyhow::Result<()> {
    let mut storm = Storm::begin(Brokers::Three(NatsCluster::start().await?), 1, 2).await?;
    let wire = Wire::to(storm.rig.cluster()?.address(0)).await?;
    let worker = storm.rig.worker_with(&format!("nats = \"nats://{}\"", wire.address())).await?;
    storm.workers.push(worker);
    storm.more_mail(200).await;
    wire.cut();
    tokio::time::sleep(LONG_SILENCE).await;
    storm.more_arrivals(100).await;
    wire.heal();
    storm.more_mail(200).await;
    storm.end(1).await;
    Ok(())
}
