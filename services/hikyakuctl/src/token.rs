//! `hikyakuctl token`: tokens, and their lines in the file of callers. Nothing is asked of the cluster.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::Subcommand;
use hikyaku_grpc::{Role, callers, token::Token};

use crate::{End, output::Output};

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Write a fresh token into a new file that only you can read, and print its line for the file of
    /// callers (grpc.callers). The line has only the SHA-256 of the token.
    #[command(after_help = "\
Examples:
  hikyakuctl token new ann --role operator --out ann.token >> callers
  hikyakuctl --token-file ann.token queue list")]
    New {
        /// Who shows it; stands in the logs.
        #[arg(value_parser = name)]
        name: String,
        /// relay, viewer or operator.
        #[arg(long)]
        role: Role,
        /// A file that does not exist; - prints the token.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

pub(crate) fn run(command: TokenCommand, output: &mut Output<impl Write>) -> anyhow::Result<End> {
    let TokenCommand::New { name, role, out } = command;
    let token = Token::fresh().context("cannot make a token")?;
    let line = format!("{name} {role} {}", token.hash());
    if out == Path::new("-") {
        let shown = serde_json::json!({ "token": token.expose(), "line": line });
        output.print(&shown, |writer| writeln!(writer, "{}\n{line}", token.expose()))?;
    } else {
        token.write_new(&out).with_context(|| format!("cannot write {}", out.display()))?;
        let shown = serde_json::json!({ "file": out.display().to_string(), "line": line });
        output.print(&shown, |writer| writeln!(writer, "{line}"))?;
    }
    Ok(End::Done)
}

fn name(text: &str) -> Result<String, String> {
    callers::is_name(text).then(|| text.to_owned()).ok_or_else(|| format!("want {}", callers::NAME))
}
