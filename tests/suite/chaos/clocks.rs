//! A worker's clock is set while it runs, forward and back. Retries are the broker's clock's business.

use std::collections::BTreeSet;

use hikyaku_testkit::{disk::faketime, nats::NatsServer};

use crate::{chaos::storm::Storm, rig::Brokers};

#[tokio::test]
async fn one_jumps_by_hours() -> anyhow::Result<()> {
    let Some(library) = faketime() else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let offset = folder.path().join("offset");
    std::fs::write(&offset, "+0\n")?;
    let mut storm = Storm::begin(Brokers::One(NatsServer::start()?), 1, 0).await?;
    let environment = [
        ("LD_PRELOAD", library.to_string_lossy().into_owned()),
        ("FAKETIME_TIMESTAMP_FILE", offset.to_string_lossy().into_owned()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
    ];
    let worker = storm.rig.worker_in(&environment).await?;
    storm.workers.push(worker);
    storm.more_arrivals(100).await;
    for jump in ["+2h\n", "-2h\n", "+0\n"] {
        std::fs::write(&offset, jump)?;
        storm.more_arrivals(150).await;
    }
    let log = storm.workers[0].log();
    let hours: BTreeSet<&str> = log.iter().filter_map(|line| line["timestamp"].as_str()?.get(..13)).collect();
    assert!(hours.len() >= 3, "the clock did not jump: {hours:?}");
    storm.end(0).await;
    Ok(())
}
