//! One source sends as much as it can, another one ordinary mail beside it, for the same destinations.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use clap::Args;
use futures::future;

use crate::{
    generator::{self, Load},
    ledger::Ledger,
    report::Figures,
    sink::{self, Manners},
    world::{self, HEALTHY},
};

const BULK_CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 20);
const ORDINARY_CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 30);
const ORDINARY_SENDERS: usize = 200;
/// What was accepted is waited for so long.
const PATIENCE: Duration = Duration::from_secs(1_800);
/// Ordinary messages go on for so long at most.
const LIMIT_SECONDS: u32 = 7_200;

#[derive(Debug, Args)]
pub struct Options {
    /// Relay under test.
    #[arg(long, default_value = "127.0.0.1:2525")]
    target: SocketAddr,
    /// Port of the sink, on all loopback addresses.
    #[arg(long, default_value_t = 2526)]
    sink_port: u16,
    /// Messages of the one source.
    #[arg(long, default_value_t = 1_000_000)]
    messages: usize,
    /// Bytes of each of them.
    #[arg(long, default_value_t = 4_096)]
    size: usize,
    /// Its connections at once.
    #[arg(long, default_value_t = 50)]
    connections: usize,
    /// Ordinary messages a second.
    #[arg(long, default_value_t = 50)]
    rate: u32,
    /// How long the relay is measured alone.
    #[arg(long, default_value_t = 30)]
    alone_seconds: u32,
}

pub async fn run(options: &Options) -> anyhow::Result<()> {
    let alone = 0..(options.rate * options.alone_seconds) as usize;
    let bulk = alone.end..alone.end + options.messages;
    let beside = bulk.end..bulk.end + (options.rate * LIMIT_SECONDS) as usize;
    let ledger = Ledger::new(beside.end);
    let sink = sink::start(options.sink_port, ledger.clone(), Manners::default()).await?;
    let load = |ids, from, senders, connections| Load {
        from: Some(from),
        senders,
        ids,
        size: options.size,
        connections,
        to: |id| vec![world::healthy(id % HEALTHY)],
    };
    let ordinary = |ids| load(ids, ORDINARY_CLIENT, ORDINARY_SENDERS, 1);
    generator::steadily(&ordinary(alone.clone()), options.rate, options.target, &ledger, || false).await?;
    ledger.wait_for_all(Duration::from_secs(10)).await;
    println!("alone:");
    println!("{}", Figures::new(&ledger, alone));

    let start = ledger.elapsed();
    let all = load(bulk.clone(), BULK_CLIENT, 1, options.connections);
    let is_over = AtomicBool::new(false);
    let beside_load = ordinary(beside.clone());
    let (accepted, end) = future::try_join(
        async {
            generator::run(&all, options.target, &ledger).await?;
            let accepted = ledger.elapsed();
            ledger.wait_for(bulk.clone(), PATIENCE).await;
            is_over.store(true, Ordering::Relaxed);
            anyhow::Ok(accepted)
        },
        generator::steadily(&beside_load, options.rate, options.target, &ledger, || {
            is_over.load(Ordering::Relaxed)
        }),
    )
    .await?;
    let beside = beside.start..end;
    ledger.wait_for_all(Duration::from_secs(30)).await;
    println!("beside {} messages of another source:", options.messages);
    println!("{}", Figures::new(&ledger, beside));
    let per_second = |until: Duration| options.messages as f64 / (until - start).as_secs_f64();
    println!(
        "  the other source: accepted {:.0} /s, delivered {:.0} /s, {} missing, {} duplicates, {} put off",
        per_second(accepted),
        per_second(ledger.last_arrival(bulk.clone())),
        ledger.missing(bulk),
        ledger.duplicates(),
        ledger.times_put_off()
    );
    sink.stop();
    Ok(())
}
