//! `hikyakuctl account`: secrets of accounts. They are read from a file or the standard input and never shown.

use std::{
    fs,
    io::{Read, Write},
    path::{Path, PathBuf},
};

use clap::Subcommand;
use hikyaku_proto::directory::v1::SetSecretRequest;

use crate::{
    End, Unreadable,
    directory::client,
    output::Output,
    server::{Server, refusal},
};

#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// Give an account of the document `accounts` a new secret.
    #[command(after_help = "\
Example:
  hikyakuctl account secret user1@example.jp ./secret-of-user1")]
    Secret {
        /// Address of the account.
        account: String,
        /// Its first line is the secret; - reads the standard input.
        file: PathBuf,
        /// Keep a key for CRAM-MD5 too; it is as good as the secret.
        #[arg(long)]
        cram_md5: bool,
    },
    /// Take the secrets of an account away: it can not log in any more.
    Lock {
        /// Address of the account.
        account: String,
    },
}

pub(crate) async fn run(
    command: AccountCommand,
    server: &Server,
    stdin: impl Read,
    output: &mut Output<impl Write>,
) -> anyhow::Result<End> {
    let request = match command {
        AccountCommand::Secret { account, file, cram_md5 } => {
            let secret = first_line(&file, stdin)?;
            anyhow::ensure!(!secret.is_empty(), "the first line of {} is empty", file.display());
            SetSecretRequest { account, secret, cram_md5 }
        }
        AccountCommand::Lock { account } => {
            SetSecretRequest { account, secret: String::new(), cram_md5: false }
        }
    };
    let account = request.account.clone();
    let response = client(server).await?.set_secret(request).await.map_err(refusal)?.into_inner();
    let json = serde_json::json!({ "account": account, "version": response.version });
    output.print(&json, |writer| writeln!(writer, "applied as version {}", response.version))?;
    Ok(End::Done)
}

fn first_line(file: &Path, mut stdin: impl Read) -> anyhow::Result<String> {
    let mut text = String::new();
    let read = match file.to_str() {
        Some("-") => stdin.read_to_string(&mut text).map(|_| ()),
        _ => fs::read_to_string(file).map(|read| text = read),
    };
    read.map_err(|source| Unreadable { file: file.display().to_string(), source })?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
