//! RCPT at a steady rate, over recipients that exist and recipients that do not: no mail is sent.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use clap::Args;

use crate::{generator::Client, report::spread};

/// Then a new transaction begins.
const RECIPIENTS: usize = 500;

#[derive(Debug, Args)]
pub struct Options {
    /// Relay under test.
    #[arg(long, default_value = "127.0.0.1:2525")]
    target: SocketAddr,
    /// RCPT commands a second, all connections together.
    #[arg(long, default_value_t = 2_000)]
    rate: u32,
    /// For so long.
    #[arg(long, default_value_t = 30)]
    seconds: u32,
    /// Client connections at once.
    #[arg(long, default_value_t = 20)]
    connections: u32,
    /// userN@big.test exists for N below this; every second question is about one that does not.
    #[arg(long, default_value_t = 1_000_000)]
    addresses: u64,
}

pub async fn run(options: &Options) -> anyhow::Result<()> {
    let each = options.rate * options.seconds / options.connections;
    let pause = Duration::from_secs(1) * options.connections / options.rate;
    let begun = Instant::now();
    let clients: Vec<_> = (0..options.connections)
        .map(|number| tokio::spawn(client(options.target, number, each, pause, options.addresses)))
        .collect();
    let mut times = Vec::new();
    for client in clients {
        times.extend(client.await??);
    }
    times.sort_unstable();
    let rate = times.len() as f64 / begun.elapsed().as_secs_f64();
    println!("{} RCPT answered, {rate:.0}/s; {}", times.len(), spread(&times));
    Ok(())
}

async fn client(
    target: SocketAddr,
    number: u32,
    count: u32,
    pause: Duration,
    addresses: u64,
) -> anyhow::Result<Vec<Duration>> {
    let mut client = Client::connect(None, target).await?;
    let mut ticks = tokio::time::interval(pause);
    let mut times = Vec::new();
    for place in 0..count as usize {
        if place % RECIPIENTS == 0 {
            client.command("RSET").await?;
            client.command("MAIL FROM:<a@client.example>").await?;
        }
        let user = spread_out((u64::from(number) << 40) + place as u64, addresses);
        let (name, expected) = if place % 2 == 0 { ("user", "250") } else { ("nobody", "550 5.1.1") };
        ticks.tick().await;
        let asked = Instant::now();
        let reply = client.command(&format!("RCPT TO:<{name}{user}@big.test>")).await?;
        times.push(asked.elapsed());
        anyhow::ensure!(reply.starts_with(expected), "{name}{user}: {reply}");
    }
    Ok(times)
}

/// Weyl's sequence: every address is as likely, and none comes twice soon.
pub fn spread_out(place: u64, addresses: u64) -> u64 {
    (place.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20) % addresses
}

/// Asks until a recipient is accepted.
pub async fn accepts(target: SocketAddr, recipient: &str) -> anyhow::Result<()> {
    let mut client = Client::connect(None, target).await?;
    loop {
        client.command("RSET").await?;
        client.command("MAIL FROM:<a@client.example>").await?;
        if client.command(&format!("RCPT TO:<{recipient}>")).await?.starts_with('2') {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
