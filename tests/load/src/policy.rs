//! Questions to the policy service at a steady rate, as ingress asks them, and no SMTP. Beside them calls
//! that look up nothing: what they take is the machine's, not the policy's.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::Args;
use hikyaku_policy_client::{PolicyClient, PolicyClientConfig, RecipientVerdict, SenderAnswer, Verdict};
use hikyaku_types::{
    address::{ForwardPath, ReversePath},
    origin::Asker,
};
use tokio::task::JoinSet;
use tonic::transport::Channel;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::{recipients::spread_out, report::spread};

const READY: Duration = Duration::from_secs(30);
/// The timer is no finer.
const TICK: Duration = Duration::from_millis(1);

/// Of so many calls one.
const NOTHING_TO_LOOK_UP: u64 = 10;

#[derive(Debug, Args)]
pub struct Options {
    /// Policy service under test; several are separated by commas.
    #[arg(long, default_value = "http://127.0.0.1:7002")]
    policy: String,
    /// Questions a second. They do not wait for one another.
    #[arg(long, default_value_t = 2_000)]
    rate: u32,
    /// For so long.
    #[arg(long, default_value_t = 30)]
    seconds: u32,
    /// userN@big.test exists for N below this; every second recipient is one that does not.
    #[arg(long, default_value_t = 1_000_000)]
    addresses: u64,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Sender,
    Recipient,
    Health,
}

pub async fn run(options: &Options) -> anyhow::Result<()> {
    let policy = PolicyClient::new(PolicyClientConfig::new(&options.policy))?;
    policy.wait_ready(READY).await?;
    let health = Channel::from_shared(first(&options.policy)?)?.connect().await?;
    let health = HealthClient::new(health);
    let count = u64::from(options.rate) * u64::from(options.seconds);
    let mut questions = JoinSet::new();
    let mut ticks = tokio::time::interval(TICK);
    let begun = Instant::now();
    let mut asked = 0;
    while asked < count {
        ticks.tick().await;
        let due = (begun.elapsed().as_secs_f64() * f64::from(options.rate)) as u64;
        while asked < due.min(count) {
            if asked % NOTHING_TO_LOOK_UP == 0 {
                questions.spawn(look_up_nothing(health.clone()));
            } else {
                questions.spawn(ask(policy.clone(), asked, options.addresses));
            }
            asked += 1;
        }
    }
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    while let Some(answer) = questions.join_next().await {
        let (kind, time) = answer??;
        times[kind as usize].push(time);
    }
    println!("{count} questions answered, {:.0}/s", count as f64 / begun.elapsed().as_secs_f64());
    for (kind, times) in [Kind::Sender, Kind::Recipient, Kind::Health].iter().zip(&mut times) {
        times.sort_unstable();
        println!("  {kind:?}: {}", spread(times));
    }
    Ok(())
}

fn first(urls: &str) -> anyhow::Result<String> {
    Ok(urls.split(',').next().context("no URL")?.trim().to_owned())
}

async fn look_up_nothing(mut health: HealthClient<Channel>) -> anyhow::Result<(Kind, Duration)> {
    let begun = Instant::now();
    health.check(HealthCheckRequest::default()).await?;
    Ok((Kind::Health, begun.elapsed()))
}

/// Each is about an address of its own, so none is answered from memory.
async fn ask(policy: PolicyClient, number: u64, addresses: u64) -> anyhow::Result<(Kind, Duration)> {
    let user = spread_out(number, addresses);
    let asker = Asker::anonymous(IpAddr::V4(Ipv4Addr::from_bits(0x7f00_0000 | (number as u32 & 0xff_ffff))));
    let sender: ReversePath = format!("a{number}@client.example").parse()?;
    let begun = Instant::now();
    match number % 4 {
        0 | 1 => {
            let SenderAnswer { decision, .. } = policy.check_sender(&asker, &sender).await?;
            anyhow::ensure!(decision.verdict == Verdict::Accept, "{sender}: {decision:?}");
            Ok((Kind::Sender, begun.elapsed()))
        }
        rest => {
            let name = if rest == 2 { "user" } else { "nobody" };
            let recipient: ForwardPath = format!("{name}{user}@big.test").parse().context("recipient")?;
            let answer = policy.check_recipient(&asker, &sender, &recipient).await?;
            let time = begun.elapsed();
            let is_accepted = matches!(answer.verdict, RecipientVerdict::Accept { .. });
            anyhow::ensure!(is_accepted == (rest == 2), "{recipient}: {answer:?}");
            Ok((Kind::Recipient, time))
        }
    }
}
