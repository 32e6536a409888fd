//! `hikyaku`: the relay in one process, or one of its roles.

use std::process::ExitCode;

use clap::Parser as _;
use hikyaku_runtime::{
    observe::{self, Readiness},
    shutdown::{EndNow, Signals},
    telemetry,
};
use tokio_util::sync::CancellationToken;

mod cli; // flags and help texts
mod config; // file < environment < flags -> Config
mod nats_child; // finds, starts and supervises the broker of `up`
mod parts; // configuration -> services
mod reload; // SIGHUP -> listeners
mod ready; // what each role needs before work is sent to it
mod role; // up | ingress | delivery | policy

/// Each message is hundreds of small pieces that one thread makes and another one frees. With it a relay takes a tenth
/// less CPU than with that of the C library, and no more memory.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let (role, flags) = cli.command.split();
    let config = match config::load(role, flags.clone()) {
        Ok(config) => config,
        Err(error) => return fail(&error.into()),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    let code = match runtime.block_on(run(role, config, flags)) {
        Ok(code) => code,
        Err(error) => fail(&error),
    };
    runtime.shutdown_background();
    code
}

/// Each connection is a file; what the system lets us have is more than it gives unasked.
fn raise_file_limit() {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) => tracing::debug!(limit, "open files"),
        Err(error) => tracing::warn!(%error, "the limit of open files was not raised"),
    }
}

async fn run(role: cli::Role, config: config::Config, flags: cli::Flags) -> anyhow::Result<ExitCode> {
    hikyaku_runtime::crypto::install();
    let signals = Signals::listen()?;
    let reload = reload::Reload::listen(role, flags)?;
    let telemetry = telemetry::init(&config.telemetry)?;
    parts::begin_mail_log(role, &config, telemetry.output())?;
    let readiness = Readiness::default();
    if let Some(address) = config.metrics {
        observe::serve(address, readiness.clone()).await?;
        parts::describe_metrics(role);
        tokio::spawn(hikyaku_runtime::metrics::watch_certificates(config.shown_certificates()));
    }
    raise_file_limit();
    tracing::info!(?config, "starting");
    let shutdown = CancellationToken::new();
    let code = tokio::select! {
        result = role::run(role, config, reload, &readiness, shutdown.clone()) => result.map(|()| ExitCode::SUCCESS),
        // Nothing is lost: what was not acknowledged is still in the queue.
        EndNow = signals.run(shutdown) => Ok(ExitCode::from(130)),
    };
    hikyaku_mail_log::flush();
    telemetry.shutdown();
    code
}

/// The log may not be there yet, and a person wants one readable sentence.
#[expect(clippy::print_stderr, reason = "the last word of a process that cannot go on")]
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("hikyaku: {error:#}");
    ExitCode::FAILURE
}
