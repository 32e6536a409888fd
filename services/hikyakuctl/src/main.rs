//! The operator's command line: arguments in, one call to the cluster, words or JSON out.
//!
//! Exit status: 0 done, 1 refused or failed (the reason is printed), 2 the command
//! cannot be understood or its file cannot be read; of `doctor` and `diagnose`: nobody could be asked.
//! `diagnose` says by 10 to 15 which step of a delivery fails.

mod args; // the command line
mod access; // who asks
mod server; // a channel to a service
mod queue; // hikyakuctl queue ...
mod audit; // hikyakuctl queue audit
mod check; // hikyakuctl queue check
mod node; // hikyakuctl node ...
mod destination; // hikyakuctl destination ...
mod dead; // hikyakuctl dead ...
mod directory; // hikyakuctl directory ...
mod route; // hikyakuctl route ...
mod account; // hikyakuctl account ...
mod import; // hikyakuctl import
mod explain; // hikyakuctl explain, selftest, replay
mod message; // hikyakuctl selftest message
mod messages; // what became of a message
mod live; // hikyakuctl trace, as it happens
mod trace; // hikyakuctl trace
mod legacylog; // the mail log as old products wrote theirs
mod mail_log; // what a mail log tells
mod dns; // hikyakuctl dns
mod doctor; // hikyakuctl doctor
mod diagnose; // hikyakuctl diagnose
mod smtp; // an envelope, said to a port
mod certificate; // hikyakuctl certificate ...
mod token; // hikyakuctl token ...
mod input; // files and the standard input
mod output; // tables and JSON

use std::{
    error::Error,
    fmt,
    io::{self, Write as _},
    process::ExitCode,
};

use clap::Parser as _;

use crate::{
    args::{Args, Noun},
    doctor::NotExamined,
    input::Unreadable,
    output::{Format, Output},
};

/// Exit status when nothing was done or learnt; the same as of the argument parser.
const NOTHING_DONE: u8 = 2;

/// How a command ended that could be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Done,
    /// The answer was no; the reason has been printed.
    Refused,
    /// The same, and this status says what.
    Status(u8),
}

/// Options that do not fit together.
#[derive(Debug)]
struct Unusable(String);

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Unusable {}

impl From<End> for ExitCode {
    fn from(end: End) -> Self {
        match end {
            End::Done => Self::SUCCESS,
            End::Refused => Self::FAILURE,
            End::Status(status) => status.into(),
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args = Args::parse();
    match run(args, io::stdout().lock(), io::stdin().lock()).await {
        Ok(end) => end.into(),
        // `hikyakuctl queue list | head` is no failure.
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // There is nobody to tell that this cannot be told.
            let _ = writeln!(io::stderr(), "hikyakuctl: {error:#}");
            if is_nothing_done(&error) { NOTHING_DONE.into() } else { ExitCode::FAILURE }
        }
    }
}

fn is_nothing_done(error: &anyhow::Error) -> bool {
    error.is::<Unreadable>() || error.is::<Unusable>() || error.is::<NotExamined>()
}

async fn run(args: Args, stdout: impl io::Write, stdin: impl io::Read) -> anyhow::Result<End> {
    let format = if args.json { Format::Json } else { Format::Human };
    let mut output = Output::new(format, stdout);
    let (server, directory) = (args.server().map_err(Unusable)?, args.directory_server().map_err(Unusable)?);
    match args.noun {
        Noun::Queue { command } => queue::run(command, &server, &mut output).await,
        Noun::Dns { command } => dns::run(command, &server, &mut output).await,
        Noun::Node { command } => node::run(command, &server, &mut output).await,
        Noun::Destination { command } => destination::run(command, &server, &mut output).await,
        Noun::Dead { command } => dead::run(command, &server, &mut output).await,
        Noun::Directory { command } => directory::run(command, &directory, stdin, &mut output).await,
        Noun::Route { command } => route::run(command, &directory, &mut output).await,
        Noun::Account { command } => account::run(command, &directory, stdin, &mut output).await,
        Noun::Import(args) => import::run(args, &directory, &mut output).await,
        Noun::Doctor(args) => doctor::run(args, &server, &mut output).await,
        Noun::Diagnose(args) => diagnose::run(args, &server, &mut output).await,
        Noun::Trace(args) => trace::run(args, (&server, &directory), stdin, &mut output).await,
        Noun::Legacylog(args) => legacylog::run(&args, stdin, &mut output, &mut io::stderr()),
        Noun::Check { folder } => directory::check(folder.as_deref(), &directory, &mut output).await,
        Noun::Explain(args) => explain::explain(args, &directory, &mut output).await,
        Noun::Selftest { command } => explain::selftest(command, (&server, &directory), &mut output).await,
        Noun::Replay(args) => explain::replay(args, &directory, &mut output).await,
        Noun::Token { command } => token::run(command, &mut output),
        Noun::Certificate { command } => certificate::run(command, &mut output),
        Noun::Version => output.version(env!("CARGO_PKG_VERSION")),
    }
}

#[cfg(test)]
mod tests;
