//! Memory of an ingress process: by sessions that are open, and by those that ended in any phase.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::Args;
use hikyaku_runtime::tls::TlsConnector;
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    machine::{Process, gauge, watch_memory},
    tls_client::{TlsClient, client_hello, connector},
};

/// Connections at once that wait for their greeting: more than the machine queues for a listener would wait for ever.
const OPENING: usize = 50;
/// For all of a session, the silence included.
const SESSION_LIMIT: Duration = Duration::from_secs(60);
/// For connections to be seen as ended.
const SETTLES: Duration = Duration::from_secs(30);

#[derive(Debug, Args)]
pub struct Ingress {
    /// Ingress under test.
    #[arg(long, default_value = "127.0.0.1:2525")]
    target: SocketAddr,
    /// Its process.
    #[arg(long)]
    pid: u32,
    /// Its metrics.
    #[arg(long)]
    metrics: SocketAddr,
}

#[derive(Debug, Args)]
pub struct OpenOptions {
    #[command(flatten)]
    ingress: Ingress,
    /// Sessions over TLS that have said EHLO and wait.
    #[arg(long, default_value_t = 2_000)]
    idle: usize,
    /// Sessions over TLS that send one message after the other.
    #[arg(long, default_value_t = 200)]
    active: usize,
    /// Octets of each.
    #[arg(long, default_value_t = 16 * 1024)]
    size: usize,
    /// For so long.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
}

pub async fn open(options: &OpenOptions) -> anyhow::Result<()> {
    let Ingress { target, pid, metrics } = options.ingress;
    let process = Process(pid);
    let begun = process.look()?;
    println!("  no session        {begun}");
    let connector = connector()?;
    let idle = sessions(options.idle, target, &connector).await?;
    let then = process.look()?;
    let each = (then.resident_kib.saturating_sub(begun.resident_kib)) as f64 / options.idle.max(1) as f64;
    println!("  {} idle         {then}; {each:.1} KiB a session", options.idle);
    let active = sessions(options.active, target, &connector).await?;
    let watch = watch_memory(Some(pid));
    let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let content = Arc::new(content(options.size));
    let mut senders = JoinSet::new();
    for client in active {
        let (stop, sent, content) = (Arc::clone(&stop), Arc::clone(&sent), Arc::clone(&content));
        senders.spawn(async move {
            let mut client = client;
            while !stop.load(Ordering::Relaxed) {
                message(&mut client, &content).await?;
                sent.fetch_add(1, Ordering::Relaxed);
            }
            anyhow::Ok(client)
        });
    }
    tokio::time::sleep(Duration::from_secs(options.seconds)).await;
    println!("  and {} active    {}; {:?} open", options.active, process.look()?, gauge(metrics).await?);
    stop.store(true, Ordering::Relaxed);
    let mut active = Vec::new();
    while let Some(client) = senders.join_next().await {
        active.push(client??);
    }
    let peak = watch.stop().await.unwrap_or_default();
    println!("  {} messages, peak {} MiB", sent.load(Ordering::Relaxed), peak / 1024);
    println!("  active ones idle  {}", process.look()?);
    drop((idle, active));
    ended(&options.ingress, begun.descriptors).await?;
    println!("  all ended         {}", process.look()?);
    Ok(())
}

async fn sessions(
    count: usize,
    target: SocketAddr,
    connector: &TlsConnector,
) -> anyhow::Result<Vec<TlsClient>> {
    let turns = Arc::new(Semaphore::new(OPENING));
    let mut opening = JoinSet::new();
    for number in 0..count {
        let (turns, connector) = (Arc::clone(&turns), connector.clone());
        opening.spawn(async move {
            let _turn = turns.acquire_owned().await?;
            let mut client = TlsClient::connect(number, target).await?;
            client.expect("220").await?;
            client.say("EHLO load.test", "250").await?;
            client.starttls(&connector).await
        });
    }
    let mut open = Vec::with_capacity(count);
    while let Some(client) = opening.join_next().await {
        open.push(client??);
    }
    Ok(open)
}

fn content(size: usize) -> Vec<u8> {
    let line = b"The quick brown fox jumps over the lazy dog and runs on to the next town.\r\n";
    let mut content = b"Subject: load\r\n\r\n".to_vec();
    content.extend(line.iter().cycle().take(size / line.len() * line.len()));
    content
}

async fn message(client: &mut TlsClient, content: &[u8]) -> anyhow::Result<()> {
    client.say("MAIL FROM:<a@client.test>", "250").await?;
    client.say("RCPT TO:<b@d0.load.test>", "250").await?;
    client.say("DATA", "354").await?;
    client.send(content).await?;
    client.say(".", "250").await
}

/// The gauge is 0 and the descriptors are those from before.
async fn ended(ingress: &Ingress, descriptors: usize) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let (open, now) = (gauge(ingress.metrics).await?, Process(ingress.pid).look()?.descriptors);
        // The look at the metrics has a connection of its own.
        if open == 0.0 && now <= descriptors + 1 {
            return Ok(());
        }
        anyhow::ensure!(
            begun.elapsed() < SETTLES,
            "{open} sessions are open and {now} descriptors, not {descriptors}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[derive(Debug, Args)]
pub struct DroppedOptions {
    #[command(flatten)]
    ingress: Ingress,
    /// Sessions, in turn for each phase and each end.
    #[arg(long, default_value_t = 50_000)]
    sessions: usize,
    /// The same before, so that what is kept for later is there.
    #[arg(long, default_value_t = 10_000)]
    warm_up: usize,
    /// At once.
    #[arg(long, default_value_t = 1_000)]
    at_once: usize,
}

/// How far a session goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Phase {
    Connect,
    Greeting,
    Ehlo,
    StartTls,
    HalfHello,
    MidHandshake,
    Auth,
    Mail,
    Rcpt,
    Data,
    MidContent,
    Bdat,
}

impl Phase {
    const ALL: [Self; 12] = [
        Self::Connect,
        Self::Greeting,
        Self::Ehlo,
        Self::StartTls,
        Self::HalfHello,
        Self::MidHandshake,
        Self::Auth,
        Self::Mail,
        Self::Rcpt,
        Self::Data,
        Self::MidContent,
        Self::Bdat,
    ];
}

/// How it is left there. The relay ends those that say nothing, after its idle timeout.
#[derive(Debug, Clone, Copy)]
enum Leave {
    Close,
    Reset,
    HalfClose,
    Silence,
}

impl Leave {
    const ALL: [Self; 4] = [Self::Close, Self::Reset, Self::HalfClose, Self::Silence];
}

pub async fn dropped(options: &DroppedOptions) -> anyhow::Result<()> {
    let process = Process(options.ingress.pid);
    let connector = connector()?;
    let hello = Arc::new(client_hello(&connector).await?);
    println!("  before            {}", process.look()?);
    let descriptors = process.look()?.descriptors;
    many(options, options.warm_up, &connector, &hello).await?;
    ended(&options.ingress, descriptors).await?;
    let warm = process.look()?;
    println!("  {} warmed up  {warm}", options.warm_up);
    let begun = Instant::now();
    many(options, options.sessions, &connector, &hello).await?;
    let took = begun.elapsed();
    ended(&options.ingress, descriptors).await?;
    let after = process.look()?;
    println!("  {} ended      {after}, in {:.0} s", options.sessions, took.as_secs_f64());
    let change = (after.resident_kib as f64 / warm.resident_kib as f64 - 1.0) * 100.0;
    println!("  sessions open 0, descriptors {}, memory {change:+.1} %", after.descriptors);
    anyhow::ensure!(change < 10.0, "the memory has grown by {change:.1} %");
    Ok(())
}

async fn many(
    options: &DroppedOptions,
    count: usize,
    connector: &TlsConnector,
    hello: &Arc<Vec<u8>>,
) -> anyhow::Result<()> {
    let (turns, doors) = (Arc::new(Semaphore::new(options.at_once)), Arc::new(Semaphore::new(OPENING)));
    let mut running = JoinSet::new();
    let target = options.ingress.target;
    for number in 0..count {
        let turn = Arc::clone(&turns).acquire_owned().await?;
        let (connector, hello, doors) = (connector.clone(), Arc::clone(hello), Arc::clone(&doors));
        running.spawn(async move {
            let phase = Phase::ALL[number % Phase::ALL.len()];
            let leave = Leave::ALL[number / Phase::ALL.len() % Leave::ALL.len()];
            let is_secure = (number / Phase::ALL.len() / Leave::ALL.len()).is_multiple_of(2);
            let session = async {
                let door = doors.acquire_owned().await?;
                let mut client = TlsClient::connect(number, target).await?;
                if phase != Phase::Connect {
                    client.expect("220").await?;
                }
                drop(door);
                let client = as_far_as(phase, is_secure, client, &connector, &hello).await?;
                match leave {
                    Leave::Close => drop(client),
                    Leave::Reset => client.reset(),
                    Leave::HalfClose => client.half_close().await,
                    Leave::Silence => client.until_closed().await,
                }
                anyhow::Ok(())
            };
            let session = tokio::time::timeout(SESSION_LIMIT, session).await;
            let session = session.unwrap_or_else(|_| Err(anyhow::anyhow!("it is stuck")));
            drop(turn);
            session.with_context(|| format!("session {number}, {phase:?}, {leave:?}, over TLS {is_secure}"))
        });
        while let Some(done) = running.try_join_next() {
            done??;
        }
    }
    while let Some(done) = running.join_next().await {
        done??;
    }
    Ok(())
}

/// From the greeting on.
async fn as_far_as(
    phase: Phase,
    is_secure: bool,
    mut client: TlsClient,
    connector: &TlsConnector,
    hello: &[u8],
) -> anyhow::Result<TlsClient> {
    if matches!(phase, Phase::Connect | Phase::Greeting) {
        return Ok(client);
    }
    client.say("EHLO load.test", "250").await?;
    match phase {
        Phase::StartTls => client.say("STARTTLS", "220").await?,
        Phase::HalfHello => {
            client.say("STARTTLS", "220").await?;
            client.send(&hello[..hello.len() / 2]).await?;
        }
        Phase::MidHandshake => {
            client.say("STARTTLS", "220").await?;
            client.send(hello).await?;
            client.hear().await?;
        }
        Phase::Connect
        | Phase::Greeting
        | Phase::Ehlo
        | Phase::Auth
        | Phase::Mail
        | Phase::Rcpt
        | Phase::Data
        | Phase::MidContent
        | Phase::Bdat => {}
    }
    if phase < Phase::Auth {
        return Ok(client);
    }
    if is_secure || phase == Phase::Auth {
        client = client.starttls(connector).await?;
    }
    if phase == Phase::Auth {
        client.say("AUTH PLAIN", "334").await?;
        return Ok(client);
    }
    client.say("MAIL FROM:<a@client.test>", "250").await?;
    if phase >= Phase::Rcpt {
        client.say("RCPT TO:<b@d0.load.test>", "250").await?;
    }
    let some = content(8 * 1024);
    match phase {
        Phase::Data => client.say("DATA", "354").await?,
        Phase::MidContent => {
            client.say("DATA", "354").await?;
            client.send(&some).await?;
        }
        Phase::Bdat => {
            client.send(b"BDAT 100000\r\n").await?;
            client.send(&some).await?;
        }
        Phase::Connect
        | Phase::Greeting
        | Phase::Ehlo
        | Phase::StartTls
        | Phase::HalfHello
        | Phase::MidHandshake
        | Phase::Auth
        | Phase::Mail
        | Phase::Rcpt => {}
    }
    Ok(client)
}
