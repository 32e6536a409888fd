//! The brokers' disks fill up, and lose their power with all that was not synced.

use std::time::Duration;

use hikyaku_testkit::{
    disk::{disks, paths},
    nats_cluster::{NODES, NatsCluster},
};

use crate::{chaos::storm::Storm, rig::Brokers};

const MEBIBYTES: u64 = 256;
const ELECTION: Duration = Duration::from_secs(8);

/// The power of all three is cut while mail flows: what was acknowledged is there afterwards.
#[tokio::test]
async fn all_lose_their_power() -> anyhow::Result<()> {
    let Some(mut disks) = disks(NODES, MEBIBYTES) else { return Ok(()) };
    let cluster = NatsCluster::start_with_stores(tempfile::tempdir()?, &paths(&disks), "always").await?;
    let mut storm = Storm::begin(Brokers::Three(cluster), 2, 2).await?;
    for disk in &disks {
        disk.cut_power()?;
    }
    for node in 0..NODES {
        storm.rig.cluster()?.kill(node)?;
    }
    for disk in &mut disks {
        disk.power_on()?;
    }
    for node in 0..NODES {
        storm.rig.cluster()?.restart(node)?;
    }
    storm.more_mail(100).await;
    storm.end(1).await;
    Ok(())
}

/// That the cut above cuts: without syncing, what was written in the last minutes is gone.
#[tokio::test]
async fn a_cut_loses_what_was_not_synced() -> anyhow::Result<()> {
    use std::fs;
    let Some(mut disks) = disks(1, 64) else { return Ok(()) };
    let disk = &mut disks[0];
    let (synced, unsynced) = (disk.path().join("synced"), disk.path().join("unsynced"));
    fs::write(&synced, "x")?;
    fs::File::open(&synced)?.sync_all()?;
    fs::File::open(disk.path())?.sync_all()?;
    fs::write(&unsynced, "x")?;
    disk.cut_power()?;
    disk.power_on()?;
    assert!(synced.exists() && !unsynced.exists());
    Ok(())
}

/// One broker's disk is full for a while, then every broker's: clients are put off, and nothing that
/// was acknowledged is lost. Its waits are those of elections after full disks, too long for a busy
/// machine: `cargo test -p hikyaku-suite disks_are_full -- --ignored`.
#[tokio::test]
#[ignore = "needs a machine that does nothing else"]
async fn disks_are_full() -> anyhow::Result<()> {
    let Some(disks) = disks(NODES, MEBIBYTES) else { return Ok(()) };
    let cluster = NatsCluster::start_with_stores(tempfile::tempdir()?, &paths(&disks), "always").await?;
    let mut storm = Storm::begin(Brokers::Three(cluster), 2, 2).await?;
    disks[0].fill()?;
    storm.more_mail(100).await;
    for disk in &disks[1..] {
        disk.fill()?;
    }
    tokio::time::sleep(ELECTION).await;
    for disk in &disks {
        disk.make_room()?;
    }
    // A broker that could not write has given up its streams until it is started again.
    for node in 0..NODES {
        storm.rig.cluster()?.kill(node)?;
        storm.rig.cluster()?.restart(node)?;
        tokio::time::sleep(ELECTION).await;
    }
    storm.more_mail(100).await;
    storm.end(1 + NODES).await;
    Ok(())
}
