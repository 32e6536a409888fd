//! Brokers die, alone and together, and are cut off from each other.

use std::time::Duration;

use hikyaku_testkit::nats_cluster::{NODES, NatsCluster};

use crate::{chaos::storm::Storm, rig::Brokers};

/// Time in which the others elect new leaders.
const ELECTION: Duration = Duration::from_secs(8);

async fn storm() -> anyhow::Result<Storm> {
    Storm::begin(Brokers::Three(NatsCluster::start().await?), 2, 3).await
}

#[tokio::test]
async fn each_is_killed_in_turn() -> anyhow::Result<()> {
    let mut storm = storm().await?;
    for node in 0..NODES {
        storm.rig.cluster()?.kill(node)?;
        storm.more_mail(100).await;
        storm.rig.cluster()?.restart(node)?;
        storm.more_mail(100).await;
        tokio::time::sleep(ELECTION).await;
    }
    storm.end(NODES).await;
    Ok(())
}

#[tokio::test]
async fn all_are_killed_at_once() -> anyhow::Result<()> {
    let mut storm = storm().await?;
    for node in 0..NODES {
        storm.rig.cluster()?.kill(node)?;
    }
    for node in 0..NODES {
        storm.rig.cluster()?.restart(node)?;
    }
    storm.more_mail(100).await;
    storm.end(1).await;
    Ok(())
}

#[tokio::test]
async fn one_is_cut_off_from_the_others() -> anyhow::Result<()> {
    let mut storm = storm().await?;
    for node in 0..NODES {
        storm.rig.cluster()?.cut_off(node);
        tokio::time::sleep(ELECTION).await;
        storm.rig.cluster()?.heal(node);
        storm.more_mail(100).await;
    }
    storm.end(NODES).await;
    Ok(())
}
