//! CPU of the machine and of this process, memory of the relay: all from /proc.

use std::{collections::HashMap, fmt, fs, net::SocketAddr, time::Duration};

use anyhow::Context as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
};

/// USER_HZ is 100 on every Linux that we run on.
const TICKS_PER_SECOND: f64 = 100.0;
const SAMPLE: Duration = Duration::from_millis(100);

/// CPU seconds spent so far.
#[derive(Debug, Clone, Copy)]
pub struct Cpu {
    pub machine: f64,
    pub own: f64,
}

impl Cpu {
    pub fn now() -> anyhow::Result<Self> {
        let stat = fs::read_to_string("/proc/stat")?;
        let line = stat.lines().next().context("/proc/stat is empty")?;
        let ticks: Vec<u64> = line.split_whitespace().skip(1).filter_map(|n| n.parse().ok()).collect();
        // user nice system idle iowait irq softirq steal
        let busy: u64 =
            ticks.iter().take(8).enumerate().filter(|(i, _)| ![3, 4, 7].contains(i)).map(|(_, n)| n).sum();
        let own = process_ticks("self").context("/proc/self/stat")?;
        Ok(Self { machine: busy as f64 / TICKS_PER_SECOND, own: own as f64 / TICKS_PER_SECOND })
    }

    pub fn since(&self, before: &Self) -> Self {
        Self { machine: self.machine - before.machine, own: self.own - before.own }
    }
}

fn process_ticks(pid: &str) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything; the fields after its closing bracket do not.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
}

pub struct MemoryWatch {
    stop: oneshot::Sender<()>,
    peak: JoinHandle<u64>,
}

impl MemoryWatch {
    /// Largest resident set seen, in KiB.
    pub async fn stop(self) -> Option<u64> {
        let _ = self.stop.send(()); // the watch may have ended
        self.peak.await.ok().filter(|peak| *peak > 0)
    }
}

pub fn watch_memory(pid: Option<u32>) -> MemoryWatch {
    let (stop, mut stopped) = oneshot::channel();
    let peak = tokio::spawn(async move {
        let Some(root) = pid else { return 0 };
        let mut peak = 0;
        loop {
            peak = peak.max(resident(root));
            tokio::select! {
                _ = &mut stopped => return peak,
                () = tokio::time::sleep(SAMPLE) => {}
            }
        }
    });
    MemoryWatch { stop, peak }
}

/// Resident KiB of a process and all below it.
fn resident(root: u32) -> u64 {
    let mut parents = HashMap::new();
    let mut sizes = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(status) = fs::read_to_string(entry.path().join("status")) else { continue };
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        };
        parents.insert(pid, field("PPid:").unwrap_or(0));
        sizes.insert(pid, field("VmRSS:").unwrap_or(0));
    }
    let below = |mut pid: u32| {
        loop {
            if pid == root {
                return true;
            }
            match parents.get(&pid) {
                Some(parent) if *parent > 0 => pid = u32::try_from(*parent).unwrap_or(0),
                _ => return false,
            }
        }
    };
    sizes.iter().filter(|(pid, _)| below(**pid)).map(|(_, size)| size).sum()
}

/// A process, by its number.
#[derive(Debug, Clone, Copy)]
pub struct Process(pub u32);

/// What it has at this moment.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    pub resident_kib: u64,
    pub descriptors: usize,
}

impl Process {
    pub fn look(self) -> anyhow::Result<Look> {
        let descriptors = fs::read_dir(format!("/proc/{}/fd", self.0))?.count();
        Ok(Look { resident_kib: resident(self.0), descriptors })
    }
}

impl fmt::Display for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} MiB, {} descriptors", self.resident_kib as f64 / 1024.0, self.descriptors)
    }
}

/// All that a process tells of itself.
pub async fn metrics(metrics: SocketAddr) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(metrics).await?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: load\r\nConnection: close\r\n\r\n").await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text)
}

/// Open connections of clients, as the process counts them.
pub async fn gauge(address: SocketAddr) -> anyhow::Result<f64> {
    let text = metrics(address).await?;
    let line = text.lines().find_map(|line| line.strip_prefix("smtp_server_connections "));
    Ok(line.context("no smtp_server_connections in the metrics")?.trim().parse()?)
}
