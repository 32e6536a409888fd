//! Ordinary mail beside mail that cannot be delivered: first alone, then with everything queued.
//! Greylisted mail must come through, and ordinary mail must not notice.

use std::{
    net::{Ipv4Addr, SocketAddr},
    ops::Range,
    time::Duration,
};

use clap::Args;

use crate::{
    generator::{self, Load},
    ledger::Ledger,
    report::{Figures, milliseconds},
    sink::{self, Manners, Sink},
    world::{self, Manner, SILENT, TARPITS},
};

/// Sources: bulk mail comes from one client and sender, ordinary mail from another client.
const BULK_CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 20);
const ORDINARY_CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 30);
const ORDINARY_SENDERS: usize = 200;
const BULK_CONNECTIONS: usize = 20;
const LOOK_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub struct Options {
    /// Relay under test.
    #[arg(long, default_value = "127.0.0.1:2525")]
    target: SocketAddr,
    /// A second relay for the same load.
    #[arg(long)]
    peer: Option<SocketAddr>,
    /// Port of the sink, on all loopback addresses.
    #[arg(long, default_value_t = 2526)]
    sink_port: u16,
    /// Messages to one greylisting destination.
    #[arg(long, default_value_t = 20_000)]
    to_one: usize,
    /// Messages spread over greylisting destinations.
    #[arg(long, default_value_t = 20_000)]
    spread: usize,
    /// Greylisting destinations, at most 2,000.
    #[arg(long, default_value_t = 2_000)]
    spread_over: usize,
    /// Messages to tarpits.
    #[arg(long, default_value_t = 2_000)]
    tarpitted: usize,
    /// Messages to hosts that say nothing.
    #[arg(long, default_value_t = 1_000)]
    silent: usize,
    /// Ordinary messages a second.
    #[arg(long, default_value_t = 50)]
    rate: u32,
    /// How long the relay is measured alone.
    #[arg(long, default_value_t = 60)]
    alone_seconds: u32,
    /// At least so long it is measured with everything queued, and until greylisted mail is through.
    #[arg(long, default_value_t = 120)]
    queued_seconds: u32,
    /// Give up on greylisted mail after this time.
    #[arg(long, default_value_t = 3_600)]
    limit_seconds: u32,
    /// The second relay is not waited for longer than this.
    #[arg(long, default_value_t = 600)]
    peer_limit_seconds: u32,
    /// Greylisting window. With retry clocks that run faster, shorter by the same factor.
    #[arg(long, default_value_t = 300.0)]
    greylist_seconds: f64,
    #[arg(long, default_value_t = 5.0)]
    tarpit_seconds: f64,
}

/// Ids of the messages of each kind.
struct Ids {
    alone: Range<usize>,
    to_one: Range<usize>,
    spread: Range<usize>,
    tarpitted: Range<usize>,
    silent: Range<usize>,
    beside: Range<usize>,
}

impl Ids {
    fn new(options: &Options, limit_seconds: u32) -> Self {
        let mut next = 0;
        let mut range = |count: usize| {
            let start = next;
            next += count;
            start..next
        };
        let ordinary = |seconds: u32| (options.rate * seconds) as usize;
        Self {
            alone: range(ordinary(options.alone_seconds)),
            to_one: range(options.to_one),
            spread: range(options.spread),
            tarpitted: range(options.tarpitted),
            silent: range(options.silent),
            beside: range(ordinary(limit_seconds)),
        }
    }
}

pub async fn run(options: &Options) -> anyhow::Result<()> {
    run_against(options, "target", options.target, options.limit_seconds).await?;
    if let Some(peer) = options.peer {
        run_against(options, "peer", peer, options.peer_limit_seconds).await?;
    }
    Ok(())
}

async fn run_against(options: &Options, name: &str, relay: SocketAddr, limit: u32) -> anyhow::Result<()> {
    let ids = Ids::new(options, limit);
    let ledger = Ledger::new(ids.beside.end);
    let manners = Manners {
        greylist: Duration::from_secs_f64(options.greylist_seconds),
        tarpit: Duration::from_secs_f64(options.tarpit_seconds),
    };
    let sink = sink::start(options.sink_port, ledger.clone(), manners).await?;
    generator::steadily(&ordinary(ids.alone.clone()), options.rate, relay, &ledger, || false).await?;
    ledger.wait_for_all(Duration::from_secs(10)).await;
    println!("{name}, alone:");
    println!("{}", Figures::new(&ledger, ids.alone.clone()));

    let injected_at = ledger.elapsed();
    inject(options, &ids, relay, &ledger).await?;
    let queued_at = ledger.elapsed();
    let queued = ids.silent.end - ids.to_one.start;
    println!("{name}: {queued} messages queued in {:.1} s", (queued_at - injected_at).as_secs_f64());
    let greylisted = ids.to_one.start..ids.spread.end;
    let least = Duration::from_secs(options.queued_seconds.into());
    let most = Duration::from_secs(limit.into());
    let is_over = || {
        let time = ledger.elapsed() - queued_at;
        time >= most || (time >= least && ledger.missing(greylisted.clone()) == 0)
    };
    let beside = ordinary(ids.beside.clone());
    let (end, ()) = tokio::try_join!(
        generator::steadily(&beside, options.rate, relay, &ledger, is_over),
        tell(name, &ledger, &ids, &is_over),
    )?;
    let ordinary = ids.beside.start..end;
    ledger.wait_for(ordinary.clone(), Duration::from_secs(30)).await;
    println!("{name}, with everything queued:");
    println!("{}", Figures::new(&ledger, ordinary.clone()));
    for (kind, ids) in [
        ("greylisted, one destination", ids.to_one),
        ("greylisted, spread", ids.spread),
        ("tarpitted", ids.tarpitted),
    ] {
        let (missing, count) = (ledger.missing(ids.clone()), ids.len());
        let last = ledger.last_arrival(ids).saturating_sub(injected_at).as_secs_f64();
        println!("  {kind}: {} of {count} delivered, the last after {last:.0} s", count - missing);
    }
    println!("  duplicates: {}, clients put off: {}", ledger.duplicates(), ledger.times_put_off());
    sessions(&sink);
    sink.stop();
    println!("  slowest ordinary messages: {}", milliseconds(&slowest(&ledger, ordinary)));
    Ok(())
}

fn ordinary(ids: Range<usize>) -> Load<fn(usize) -> Vec<String>> {
    Load {
        from: Some(ORDINARY_CLIENT),
        senders: ORDINARY_SENDERS,
        ids,
        size: 4_096,
        connections: 1,
        to: |id| vec![world::healthy(id % 50)],
    }
}

async fn inject(options: &Options, ids: &Ids, relay: SocketAddr, ledger: &Ledger) -> anyhow::Result<()> {
    let over = options.spread_over;
    let bulk = Load {
        from: Some(BULK_CLIENT),
        senders: 1,
        ids: ids.to_one.start..ids.silent.end,
        size: 4_096,
        connections: BULK_CONNECTIONS,
        to: |id: usize| {
            vec![match id {
                id if ids.to_one.contains(&id) => world::grey_one(),
                id if ids.spread.contains(&id) => world::grey(id % over),
                id if ids.tarpitted.contains(&id) => world::tarpit(id % TARPITS),
                id => world::silent(id % SILENT),
            }]
        },
    };
    generator::run(&bulk, relay, ledger).await
}

async fn tell(name: &str, ledger: &Ledger, ids: &Ids, is_over: &impl Fn() -> bool) -> anyhow::Result<()> {
    let mut told = 0;
    while !is_over() {
        tokio::time::sleep(LOOK_EVERY).await;
        let minute = ledger.elapsed().as_secs() / 30;
        if minute != told {
            told = minute;
            let left = |ids: &Range<usize>| ledger.missing(ids.clone());
            eprintln!(
                "{name} at {:.0} s: {} + {} greylisted and {} tarpitted left",
                ledger.elapsed().as_secs_f64(),
                left(&ids.to_one),
                left(&ids.spread),
                left(&ids.tarpitted)
            );
        }
    }
    Ok(())
}

fn sessions(sink: &Sink) {
    let most = |manner| sink.most_sessions(manner);
    println!(
        "  most sessions at once to one destination: healthy {}, greylisting {}, tarpit {}, silent {}",
        most(Manner::Accepts),
        most(Manner::Greylists),
        most(Manner::Tarpit),
        most(Manner::Silent)
    );
}

fn slowest(ledger: &Ledger, ids: Range<usize>) -> Vec<Duration> {
    let latencies = ledger.latencies_of(ids);
    latencies.into_iter().rev().take(5).collect()
}
