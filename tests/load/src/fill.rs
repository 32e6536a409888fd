//! Mail that stays in the queue: nobody listens at the hosts that it goes to.

use std::net::SocketAddr;

use clap::Args;

use crate::{
    generator::{self, Load},
    ledger::Ledger,
    world::{self, DEAD},
};

#[derive(Debug, Args)]
pub struct Options {
    /// Relay under test.
    #[arg(long, default_value = "127.0.0.1:2525")]
    target: SocketAddr,
    /// Entries: recipients, each at a domain of its own.
    #[arg(long, default_value_t = 1_000_000)]
    entries: usize,
    /// Recipients of each message.
    #[arg(long, default_value_t = 100)]
    recipients: usize,
    /// Bytes of each message.
    #[arg(long, default_value_t = 1_024)]
    size: usize,
    /// Client connections at once.
    #[arg(long, default_value_t = 10)]
    connections: usize,
}

pub async fn run(options: &Options) -> anyhow::Result<()> {
    let of_each = options.recipients;
    let messages = options.entries / of_each;
    let ledger = Ledger::new(messages);
    let load = Load {
        from: None,
        senders: 1_000,
        ids: 0..messages,
        size: options.size,
        connections: options.connections,
        to: |id| (0..of_each).map(|n| world::dead((id * of_each + n) % DEAD)).collect(),
    };
    generator::run(&load, options.target, &ledger).await?;
    let seconds = ledger.elapsed().as_secs_f64();
    println!("{} entries accepted in {seconds:.0} s", messages * of_each);
    Ok(())
}
