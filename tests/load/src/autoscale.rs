//! What autoscaling looks at, over time: mail that waits for greylisting hosts, then mail that waits for workers.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::Args;

use crate::{
    generator::{self, Load},
    ledger::Ledger,
    machine,
    sink::{self, Manners},
    world::{self, GREY, HEALTHY},
};

const CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 30);
const SENDERS: usize = 2_000;
const CONNECTIONS: usize = 20;
const LOOK: Duration = Duration::from_secs(5);
/// The gauges are as old as this.
const SEEN: Duration = Duration::from_secs(15);
const LIMIT: Duration = Duration::from_secs(1_200);

#[derive(Debug, Args)]
pub struct Options {
    /// Relay under test.
    #[arg(long, default_value = "127.0.0.1:2525")]
    target: SocketAddr,
    /// Metrics of its worker.
    #[arg(long)]
    metrics: SocketAddr,
    /// Folder for marks: `waiting` is made when all greylisted mail waits; `away`, by the caller, when the workers have
    /// ended; `handed-in` when all other mail is accepted, and workers may come.
    #[arg(long)]
    marks: PathBuf,
    /// Port of the sink, on all loopback addresses.
    #[arg(long, default_value_t = 2526)]
    sink_port: u16,
    /// Messages of each kind.
    #[arg(long, default_value_t = 20_000)]
    messages: usize,
    /// Bytes of each of them.
    #[arg(long, default_value_t = 4_096)]
    size: usize,
}

pub async fn run(options: &Options) -> anyhow::Result<()> {
    let greylisted = 0..options.messages;
    let due = options.messages..2 * options.messages;
    let ledger = Ledger::new(due.end);
    let manners = Manners { greylist: Duration::from_secs(24 * 3_600), ..Manners::default() };
    let sink = sink::start(options.sink_port, ledger.clone(), manners).await?;
    let start = Instant::now();
    let messages = options.messages as f64;

    println!("   time  accepted  arrived  lanes  scheduled  mail.delivery.due");
    hand_in(options, greylisted, &ledger, |id| vec![world::grey(id % GREY)]).await?;
    println!("all greylisted mail is accepted");
    watch(options, &ledger, start, |seen| seen.scheduled >= messages && seen.due == 0.0).await?;
    let waiting = until_settled(options, &ledger, start).await?;
    println!("with {} messages that wait for greylisting hosts: due {}", waiting.scheduled, waiting.due);
    anyhow::ensure!(waiting.due == 0.0, "mail that waits for its time counts as due");

    std::fs::write(options.marks.join("waiting"), "")?;
    while !options.marks.join("away").exists() {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    hand_in(options, due.clone(), &ledger, |id| vec![world::healthy(id % HEALTHY)]).await?;
    println!("all due mail is accepted, and no worker is there");
    std::fs::write(options.marks.join("handed-in"), "")?;
    let accepted = Instant::now();
    let mut most = 0.0_f64;
    watch(options, &ledger, start, |seen| {
        most = most.max(seen.due);
        seen.arrived >= options.messages && most > 0.0 && seen.due == 0.0
    })
    .await?;
    println!(
        "due was {most} at most, and 0 again {:.0} s after workers could come",
        accepted.elapsed().as_secs_f64()
    );
    println!("{} missing, {} duplicates", ledger.missing(due), ledger.duplicates());
    sink.stop();
    Ok(())
}

async fn hand_in<To>(
    options: &Options,
    ids: std::ops::Range<usize>,
    ledger: &Ledger,
    to: To,
) -> anyhow::Result<()>
where
    To: Fn(usize) -> Vec<String>,
{
    let load =
        Load { from: Some(CLIENT), senders: SENDERS, ids, size: options.size, connections: CONNECTIONS, to };
    generator::run(&load, options.target, ledger).await
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    arrived: usize,
    scheduled: f64,
    due: f64,
}

async fn look(options: &Options, ledger: &Ledger, start: Instant) -> anyhow::Result<Seen> {
    // Without a worker nobody tells.
    let text = machine::metrics(options.metrics).await.unwrap_or_default();
    let gauge = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.trim().parse::<f64>().ok()).unwrap_or(0.0)
    };
    let lanes: f64 = ["fresh", "bulk", "due"]
        .iter()
        .map(|lane| gauge(&format!("mail_queue_entries{{lane=\"{lane}\"}} ")))
        .sum();
    let seen = Seen {
        arrived: ledger.arrived_count(),
        scheduled: gauge("mail_queue_entries{lane=\"scheduled\"} "),
        due: gauge("mail_delivery_due "),
    };
    println!(
        "{:6.0} s  {:8}  {:7}  {lanes:5}  {:9}  {:5}",
        start.elapsed().as_secs_f64(),
        ledger.accepted_count(),
        seen.arrived,
        seen.scheduled,
        seen.due
    );
    Ok(seen)
}

async fn watch(
    options: &Options,
    ledger: &Ledger,
    start: Instant,
    mut is_over: impl FnMut(Seen) -> bool,
) -> anyhow::Result<()> {
    let begin = Instant::now();
    while !is_over(look(options, ledger, start).await?) {
        anyhow::ensure!(begin.elapsed() < LIMIT, "it does not come to its end");
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// What is seen when nothing of before can be seen any more.
async fn until_settled(options: &Options, ledger: &Ledger, start: Instant) -> anyhow::Result<Seen> {
    tokio::time::sleep(SEEN).await;
    look(options, ledger, start).await
}
