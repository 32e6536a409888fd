//! `hikyakuctl token`: tokens, and their lines in the file of callers. Nothing is asked of the cluster.

use std::{io::Write, path::Path};

use anyhow::Context as _;
use hikyaku_grpc::token::Token;

use crate::{End, args::TokenCommand, output::Output};

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
