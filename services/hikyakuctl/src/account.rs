//! `hikyakuctl account`: secrets of accounts. They are read from a file or the standard input and never shown.

use std::{
    io::{Read, Write},
    net::IpAddr,
    path::{Path, PathBuf},
};

use clap::Subcommand;
use hikyaku_proto::directory::v1::{SetSecretRequest, UnlockLoginsRequest};

use crate::{
    End,
    directory::client,
    input,
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
    /// Forget failed logins: who was locked out can log in again at once.
    #[command(after_help = "\
Example:
  hikyakuctl account unlock user1@example.jp
  hikyakuctl account unlock --client 192.0.2.9     # every login from its network")]
    #[group(required = true, multiple = true)]
    Unlock {
        /// A login, from all networks.
        login: Option<String>,
        /// An address: all logins of its network (/24, IPv6 /64).
        #[arg(long, value_name = "ADDRESS")]
        client: Option<IpAddr>,
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
            SetSecretRequest { account, secret: first_line(&file, stdin)?, cram_md5 }
        }
        AccountCommand::Lock { account } => {
            SetSecretRequest { account, secret: String::new(), cram_md5: false }
        }
        AccountCommand::Unlock { login, client } => return unlock(login, client, server, output).await,
    };
    let account = request.account.clone();
    let response = client(server).await?.set_secret(request).await.map_err(refusal)?.into_inner();
    let json = serde_json::json!({ "account": account, "version": response.version });
    output.print(&json, |writer| writeln!(writer, "applied as version {}", response.version))?;
    Ok(End::Done)
}

async fn unlock(
    login: Option<String>,
    address: Option<IpAddr>,
    server: &Server,
    output: &mut Output<impl Write>,
) -> anyhow::Result<End> {
    let request = UnlockLoginsRequest {
        login: login.unwrap_or_default(),
        client: address.map(|address| address.to_string()).unwrap_or_default(),
    };
    let response = client(server).await?.unlock_logins(request).await.map_err(refusal)?.into_inner();
    let forgotten = response.forgotten;
    let json = serde_json::json!({ "forgotten": forgotten });
    output.print(&json, |writer| writeln!(writer, "{forgotten} counts of failed logins forgotten"))?;
    Ok(End::Done)
}

fn first_line(file: &Path, stdin: impl Read) -> anyhow::Result<String> {
    let text = input::read_text(file, stdin)?;
    let line = text.lines().next().unwrap_or_default();
    anyhow::ensure!(!line.is_empty(), "the first line of {} is empty", input::name(file));
    Ok(line.to_owned())
}
