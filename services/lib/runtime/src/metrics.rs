//! Metrics of the process itself.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hikyaku_measures::{Label, Measure, counter, gauge};
use metrics::Unit;

use crate::traces::SPANS;

/// The name of the program's version is its only value.
pub const BUILD: &str = "hikyaku.build.info";
/// When what we show to brokers and to each other ends; `channel` = grpc, broker.
pub const CERTIFICATE_EXPIRY: &str = "tls.certificate.expiry";
pub const CPU: &str = "process.cpu";
pub const MEMORY: &str = "process.resident_memory";
pub const OPEN_FILES: &str = "process.open_fds";
pub const MAX_FILES: &str = "process.max_fds";
pub const THREADS: &str = "process.threads";
pub const START: &str = "process.start_time";

/// Lines of the process's log that standard output did not take.
pub const LINES_LOST: &str = "process.log.lost";

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Files are read as often.
const EVERY: Duration = Duration::from_secs(30);
/// In so many the kernel tells times to programs, on every machine that we run on.
const TICKS: f64 = 100.0;
const PAGE: f64 = 4_096.0;

pub const ALL: &[Measure] = &[
    gauge(
        BUILD,
        &[Label { name: "version", values: || vec![VERSION] }],
        "1; the label says which version runs",
    ),
    gauge(
        CERTIFICATE_EXPIRY,
        &[Label { name: "channel", values: || vec!["grpc", "broker"] }],
        "When the certificate ends that this process shows to brokers, or to the other roles, since 1970",
    )
    .of(Unit::Seconds),
    counter(CPU, &[], "Processor time of the process, in whole seconds").of(Unit::Seconds),
    gauge(MEMORY, &[], "Memory of the process that is in the machine's").of(Unit::Bytes),
    gauge(OPEN_FILES, &[], "Files and connections that are open"),
    gauge(MAX_FILES, &[], "Files and connections that may be open"),
    gauge(THREADS, &[], "Threads of the process"),
    gauge(START, &[], "When the process began, since 1970").of(Unit::Seconds),
    counter(
        LINES_LOST,
        &[],
        "Lines of the process's log that standard output did not take; not those of the mail log",
    ),
    counter(
        SPANS,
        &[Label { name: "outcome", values: || vec!["exported", "failed", "dropped"] }],
        "Spans of traces by what became of them; dropped: there was no room for them",
    ),
];

pub fn describe() {
    hikyaku_measures::describe(ALL);
    metrics::gauge!(BUILD, "version" => VERSION).set(1.0);
}

/// What is shown over a channel, and the file with it.
pub type Shown = (&'static str, PathBuf);

/// Looks at the files of certificates until the process ends.
pub async fn watch_certificates(shown: Vec<Shown>) {
    loop {
        for (channel, file) in &shown {
            if let Some(end) = crate::tls::end_of_file(file) {
                let since = end.duration_since(UNIX_EPOCH).unwrap_or_default();
                metrics::gauge!(CERTIFICATE_EXPIRY, "channel" => *channel).set(since.as_secs_f64());
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Asked with each scrape; what a system does not tell is not shown.
pub(crate) fn look_at_process() {
    let number = |text: Option<&str>| text.and_then(|text| text.trim().parse::<f64>().ok());
    // proc_pid_stat(5): the name may have blanks and ends with the last bracket; state is the third field.
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> =
        stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_ascii_whitespace().collect();
    let field = |n: usize| number(fields.get(n - 3).copied());
    if let (Some(user), Some(system)) = (field(14), field(15)) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole seconds of a process"
        )]
        metrics::counter!(CPU).absolute(((user + system) / TICKS) as u64);
    }
    if let Some(threads) = field(20) {
        metrics::gauge!(THREADS).set(threads);
    }
    if let Some(pages) = field(24) {
        metrics::gauge!(MEMORY).set(pages * PAGE);
    }
    let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
    if let (Some(after_boot), Some(up)) = (field(22), number(uptime.split(' ').next()))
        && let Ok(now) = SystemTime::now().duration_since(UNIX_EPOCH)
    {
        // In whole seconds, or it would be another time with each look.
        metrics::gauge!(START).set((now.as_secs_f64() - up + after_boot / TICKS).round());
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        metrics::gauge!(OPEN_FILES).set(open.count() as f64);
    }
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    if let Some(limit) = number(limit.and_then(|limit| limit.split_ascii_whitespace().next())) {
        metrics::gauge!(MAX_FILES).set(limit);
    }
}
