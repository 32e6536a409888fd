//! Pushes messages through a relay into a sink of its own and tells what came of it. With
//! `--peer` the same load goes to a second relay, so that the ratio comes from one run.
//!
//! The relays must send mail for `d<N>.load.test`, N from 0, to 127.0.1.<N+1> at the sink's
//! port; `--print-routes` prints that as a routes document, `--print-transport` as a Postfix
//! transport table. See tests/load/postfix for a whole comparison.

use std::{net::SocketAddr, time::Duration};

use clap::Parser;

mod ledger; // who got what when
mod generator; // clients -> relay
mod sink; // relay -> here
mod machine; // CPU and memory
mod report; // ledger -> figures

#[derive(Debug, Parser)]
#[command(name = "hikyaku-load")]
struct Options {
    /// Relay under test.
    #[arg(long, default_value = "127.0.0.1:2525")]
    target: SocketAddr,
    /// A second relay for the same load.
    #[arg(long)]
    peer: Option<SocketAddr>,
    /// Process of the relay under test, for its memory; its children count too.
    #[arg(long)]
    target_pid: Option<u32>,
    /// Process of the second relay.
    #[arg(long)]
    peer_pid: Option<u32>,
    /// Port of the sink, on all loopback addresses.
    #[arg(long, default_value_t = 2526)]
    sink_port: u16,
    /// Messages.
    #[arg(long, default_value_t = 10_000)]
    messages: usize,
    /// Bytes of each message.
    #[arg(long, default_value_t = 4_096)]
    size: usize,
    /// Client connections at once.
    #[arg(long, default_value_t = 50)]
    connections: usize,
    /// Recipient domains, at most 250.
    #[arg(long, default_value_t = 200)]
    domains: usize,
    /// Give up when nothing has arrived for so long.
    #[arg(long, default_value_t = 60)]
    patience_seconds: u64,
    /// Print the routes that the relay under test needs, and end.
    #[arg(long)]
    print_routes: bool,
    /// Print the transport table that Postfix needs, and end.
    #[arg(long)]
    print_transport: bool,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    anyhow::ensure!(options.domains <= 250, "--domains: at most 250");
    for n in 0..options.domains {
        let (domain, address, port) = (domain(n), format!("127.0.1.{}", n + 1), options.sink_port);
        if options.print_routes {
            println!("{domain},{address},{port}");
        } else if options.print_transport {
            println!("{domain} smtp:[{address}]:{port}");
        }
    }
    if options.print_routes || options.print_transport {
        return Ok(());
    }
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(&options))
}

fn domain(n: usize) -> String {
    format!("d{n}.load.test")
}

async fn run(options: &Options) -> anyhow::Result<()> {
    let ours = run_against(options, "target", options.target, options.target_pid).await?;
    println!("{ours}");
    if let Some(peer) = options.peer {
        let theirs = run_against(options, "peer", peer, options.peer_pid).await?;
        println!("{theirs}");
        println!("{}", report::ratio(&ours, &theirs));
    }
    Ok(())
}

async fn run_against(
    options: &Options,
    name: &'static str,
    relay: SocketAddr,
    pid: Option<u32>,
) -> anyhow::Result<report::Report> {
    let ledger = ledger::Ledger::new(options.messages);
    let sink = sink::start(options.sink_port, ledger.clone()).await?;
    let before = machine::Cpu::now()?;
    let memory = machine::watch_memory(pid);
    generator::run(options, relay, &ledger).await?;
    let patience = Duration::from_secs(options.patience_seconds);
    ledger.wait_for_all(patience).await;
    let cpu = machine::Cpu::now()?.since(&before);
    sink.abort();
    Ok(report::Report::new(name, &ledger, options.size, cpu, memory.stop().await))
}
