//! Ordinary mail while pods are replaced. New sessions go to the addresses that a file names, as a load balancer's
//! go to pods that are ready; who is told to go away, or finds nobody, comes again in another session.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use clap::Args;
use tokio::task::JoinSet;

use crate::{
    generator::{self, Client},
    ledger::Ledger,
    report::Figures,
    sink::{self, Manners},
    world::{self, HEALTHY},
};

const SENDERS: usize = 200;
/// Messages of a session, so that sessions end and begin all the time.
const PER_SESSION: usize = 50;
const AGAIN: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(60);
const LIMIT_SECONDS: u32 = 3_600;

#[derive(Debug, Args)]
pub struct Options {
    /// A file with the addresses of those that are ready, one a line.
    #[arg(long)]
    ready: PathBuf,
    /// The replacement is over when this file is there.
    #[arg(long)]
    over: PathBuf,
    /// Is made when the replacement may begin.
    #[arg(long)]
    begin: PathBuf,
    /// Port of the sink, on all loopback addresses.
    #[arg(long, default_value_t = 2526)]
    sink_port: u16,
    /// Bytes of each message.
    #[arg(long, default_value_t = 4_096)]
    size: usize,
    /// Messages a second.
    #[arg(long, default_value_t = 200)]
    rate: u32,
    /// How long nothing is replaced.
    #[arg(long, default_value_t = 30)]
    alone_seconds: u32,
}

/// Sessions that are open, and what they heard.
#[derive(Default)]
struct Sessions {
    idle: Mutex<Vec<(Client, usize)>>,
    turn: AtomicUsize,
    heard: Mutex<BTreeMap<String, usize>>,
}

pub async fn run(options: &Options) -> anyhow::Result<()> {
    let alone = 0..(options.rate * options.alone_seconds) as usize;
    let ledger = Ledger::new(alone.end + (options.rate * LIMIT_SECONDS) as usize);
    let sink = sink::start(options.sink_port, ledger.clone(), Manners::default()).await?;
    let sessions = Arc::new(Sessions::default());
    let before = steadily(options, alone.start, &ledger, &sessions, |next| next >= alone.end).await?;
    println!("nothing is replaced:");
    println!("{}", Figures::new(&ledger, alone.start..before));
    sessions.print();
    std::fs::write(&options.begin, "")?;
    let all = ledger.len();
    let end =
        steadily(options, before, &ledger, &sessions, |next| next >= all || options.over.exists()).await?;
    ledger.wait_for(before..end, PATIENCE).await;
    println!("while everything is replaced:");
    println!("{}", Figures::new(&ledger, before..end));
    sessions.print();
    println!("  {} lost, {} duplicates", ledger.lost(), ledger.duplicates());
    sink.stop();
    Ok(())
}

/// Returns the id after the last one.
async fn steadily(
    options: &Options,
    first: usize,
    ledger: &Ledger,
    sessions: &Arc<Sessions>,
    stop: impl Fn(usize) -> bool,
) -> anyhow::Result<usize> {
    let filler = Arc::new(generator::filler(options.size));
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / options.rate);
    let mut sending = JoinSet::new();
    let mut next = first;
    while !stop(next) {
        ticks.tick().await;
        let (ready, sessions, ledger) = (options.ready.clone(), Arc::clone(sessions), ledger.clone());
        let (id, filler) = (next, Arc::clone(&filler));
        sending.spawn(async move {
            let start = Instant::now();
            while let Err(error) = sessions.send(&ready, id, &filler).await {
                sessions.hears(&error);
                tokio::time::sleep(AGAIN).await;
            }
            ledger.accepted_after(id, start.elapsed());
        });
        next += 1;
        while let Some(sent) = sending.try_join_next() {
            sent?;
        }
    }
    while let Some(sent) = sending.join_next().await {
        sent?;
    }
    Ok(next)
}

impl Sessions {
    async fn send(&self, ready: &Path, id: usize, filler: &str) -> anyhow::Result<()> {
        let known = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let (mut client, sent) = match known {
            Some(known) => known,
            None => (Client::connect(None, self.next(ready)?).await?, 0),
        };
        client.send(id, id % SENDERS, &[world::healthy(id % HEALTHY)], filler).await?;
        if sent < PER_SESSION {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push((client, sent + 1));
        } else {
            client.quit().await?;
        }
        Ok(())
    }

    fn next(&self, ready: &Path) -> anyhow::Result<SocketAddr> {
        let text = std::fs::read_to_string(ready)?;
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let count = text.lines().count();
        anyhow::ensure!(count > 0, "nobody is ready");
        Ok(text.lines().nth(turn % count).unwrap_or_default().parse()?)
    }

    fn hears(&self, error: &anyhow::Error) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        *heard.entry(format!("{error:#}")).or_insert(0) += 1;
    }

    fn print(&self) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        for (what, times) in std::mem::take(&mut *heard) {
            println!("  {times} times: {what}");
        }
    }
}
