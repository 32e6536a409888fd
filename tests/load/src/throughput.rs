//! As much as goes: messages to healthy destinations from several clients at once.

use std::{net::SocketAddr, time::Duration};

use clap::Args;

use crate::{
    generator,
    ledger::Ledger,
    machine,
    report::{self, Report},
    sink::{self, Manners},
    world::healthy,
};

#[derive(Debug, Args)]
pub struct Options {
    /// Relay under test.
    #[arg(long, default_value = "127.0.0.1:2525")]
    pub target: SocketAddr,
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
}

pub async fn run(options: &Options) -> anyhow::Result<()> {
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
) -> anyhow::Result<Report> {
    let ledger = Ledger::new(options.messages);
    let sink = sink::start(options.sink_port, ledger.clone(), Manners::default()).await?;
    let before = machine::Cpu::now()?;
    let memory = machine::watch_memory(pid);
    let load = generator::Load {
        from: None,
        senders: 1,
        ids: 0..options.messages,
        size: options.size,
        connections: options.connections,
        to: |id| vec![healthy(id % options.domains)],
    };
    generator::run(&load, relay, &ledger).await?;
    let patience = Duration::from_secs(options.patience_seconds);
    ledger.wait_for_all(patience).await;
    let cpu = machine::Cpu::now()?.since(&before);
    sink.stop();
    Ok(Report::new(name, &ledger, options.size, cpu, memory.stop().await))
}
