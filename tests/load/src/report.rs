//! Figures of one run, for people.

use std::{fmt, ops::Range, time::Duration};

use crate::{ledger::Ledger, machine::Cpu};

/// Latencies of some messages.
pub struct Figures {
    missing: usize,
    accepting: Vec<Duration>,
    latencies: Vec<Duration>,
}

impl Figures {
    pub fn new(ledger: &Ledger, ids: Range<usize>) -> Self {
        Self {
            missing: ledger.missing(ids.clone()),
            accepting: ledger.accept_times(ids.clone()),
            latencies: ledger.latencies_of(ids),
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.latencies.len();
        writeln!(f, "  ordinary         {count} delivered, {} missing", self.missing)?;
        writeln!(f, "  MAIL to 250      {}", spread(&self.accepting))?;
        write!(f, "  250 to 250       {}", spread(&self.latencies))
    }
}

/// Of sorted times.
pub fn spread(times: &[Duration]) -> String {
    let at = |share| percentile(times, share);
    format!("p50 {:.1} ms, p99 {:.1} ms, max {:.0} ms", at(0.5), at(0.99), at(1.0))
}

pub fn milliseconds(times: &[Duration]) -> String {
    let times: Vec<String> =
        times.iter().map(|time| format!("{:.0} ms", time.as_secs_f64() * 1_000.0)).collect();
    times.join(", ")
}

fn percentile(times: &[Duration], share: f64) -> f64 {
    let last = times.len().saturating_sub(1);
    let index = (last as f64 * share).round() as usize;
    times.get(index).map_or(f64::NAN, |time| time.as_secs_f64() * 1_000.0)
}

pub struct Report {
    name: &'static str,
    accepted: usize,
    size: usize,
    accept_rate: f64,
    end_to_end_rate: f64,
    latencies: Vec<Duration>,
    lost: usize,
    duplicates: u32,
    cpu: Cpu,
    peak_kib: Option<u64>,
}

impl Report {
    pub fn new(name: &'static str, ledger: &Ledger, size: usize, cpu: Cpu, peak_kib: Option<u64>) -> Self {
        let (accepting, arriving) = ledger.spans();
        let accepted = ledger.accepted_count();
        let rate = |span: Duration| accepted as f64 / span.as_secs_f64().max(0.001);
        Self {
            name,
            accepted,
            size,
            accept_rate: rate(accepting),
            end_to_end_rate: rate(arriving),
            latencies: ledger.latencies(),
            lost: ledger.lost(),
            duplicates: ledger.duplicates(),
            cpu,
            peak_kib,
        }
    }

    fn percentile(&self, share: f64) -> f64 {
        percentile(&self.latencies, share)
    }

    fn per_thousand(&self, seconds: f64) -> f64 {
        seconds * 1_000.0 / self.accepted.max(1) as f64
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, accepted, size, accept_rate, end_to_end_rate, lost, duplicates, cpu, .. } = self;
        writeln!(
            f,
            "{name}: {accepted} messages of {size} bytes accepted, {lost} lost, {duplicates} duplicates"
        )?;
        writeln!(f, "  accept rate      {accept_rate:8.0} /s")?;
        writeln!(f, "  end-to-end rate  {end_to_end_rate:8.0} /s")?;
        writeln!(
            f,
            "  250 to 250       p50 {:.0} ms, p95 {:.0} ms, p99 {:.0} ms, max {:.0} ms",
            self.percentile(0.5),
            self.percentile(0.95),
            self.percentile(0.99),
            self.percentile(1.0)
        )?;
        writeln!(
            f,
            "  CPU              {:.2} s per 1,000 messages, {:.2} s of it generator and sink",
            self.per_thousand(cpu.machine),
            self.per_thousand(cpu.own)
        )?;
        match self.peak_kib {
            Some(peak) => write!(f, "  peak memory      {} MiB", peak / 1024),
            None => write!(f, "  peak memory      not asked for (--{name}-pid)"),
        }
    }
}

pub fn ratio(ours: &Report, theirs: &Report) -> String {
    let relay = |report: &Report| report.cpu.machine - report.cpu.own;
    format!(
        "target / peer: end-to-end rate {:.2} x, accept rate {:.2} x, CPU of the relay {:.2} x",
        ours.end_to_end_rate / theirs.end_to_end_rate,
        ours.accept_rate / theirs.accept_rate,
        relay(ours) / relay(theirs).max(0.01),
    )
}
