//! `hikyakuctl import`: files of E-Post and PMail servers, all in one commit or nothing of them.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use clap::Args as ClapArgs;
use hikyaku_proto::directory::v1::{ImportFilesRequest, ImportOptions, LegacyFile, LegacyKind};

use crate::{
    End,
    directory::{Report, Shown, client},
    input::Unreadable,
    output::Output,
    server::{Server, refusal},
};

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  hikyakuctl import --gateway gateway.dat --effect effect.dat --alias aliases.tsv --dry-run
  hikyakuctl import --accounts users.tsv --domain example.jp --sender user1@example.jp=sender.dat

Files may be UTF-8 or CP932. Exit status: 0 applied, 1 refused, 2 a file cannot be read.")]
pub(crate) struct ImportArgs {
    /// Routes: gateway.dat.
    #[arg(long, value_name = "FILE")]
    gateway: Option<PathBuf>,
    /// The access table: effect.dat.
    #[arg(long, value_name = "FILE")]
    effect: Option<PathBuf>,
    /// Recipients that a sender may write to: sender.dat, of one account or of everybody.
    #[arg(long, value_name = "[USER=]FILE")]
    sender: Vec<String>,
    /// Aliases: the export, TAB between alias and target.
    #[arg(long, value_name = "FILE")]
    alias: Option<PathBuf>,
    /// Accounts: the file of ten columns.
    #[arg(long, value_name = "FILE")]
    accounts: Option<PathBuf>,
    /// Domain that the account file is for; without it the one that each line names.
    #[arg(long)]
    domain: Option<String>,
    /// Relay list of PMail Server.
    #[arg(long, value_name = "FILE")]
    pmail: Option<PathBuf>,
    /// Unconditional connections of PMail Server.
    #[arg(long, value_name = "FILE")]
    pmail_connect: Option<PathBuf>,
    /// Secret of an account: the first line of apop.dat.
    #[arg(long, value_name = "USER=FILE")]
    apop: Vec<String>,
    /// Single settings, typed as key = value.
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Always refused: its format is not known.
    #[arg(long, value_name = "FILE", hide = true)]
    usetime: Option<PathBuf>,
    /// Report only, change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Warnings refuse too.
    #[arg(long)]
    strict: bool,
    /// Accounts of another domain are taken into the one of --domain.
    #[arg(long, requires = "domain")]
    force_domain: bool,
    /// Accounts that are there get what the file says.
    #[arg(long)]
    replace: bool,
    /// Aliases that are missing in the file are removed.
    #[arg(long)]
    sync: bool,
    /// Domains may be written in Japanese.
    #[arg(long)]
    idn: bool,
    /// Routes of *.domain take the domain itself too.
    #[arg(long)]
    wildcard_includes_apex: bool,
    /// Host of the mailboxes, when the old gateway had mailboxes of its own.
    #[arg(long, value_name = "HOST[:PORT]")]
    mailbox_host: Option<String>,
    /// Keep keys for CRAM-MD5 too; they are as good as the secret.
    #[arg(long)]
    cram_md5: bool,
}

pub(crate) async fn run(
    args: ImportArgs,
    server: &Server,
    output: &mut Output<impl Write>,
) -> anyhow::Result<End> {
    let dry_run = args.dry_run;
    let request = ImportFilesRequest { files: files(&args)?, options: Some(options(args)), dry_run };
    anyhow::ensure!(!request.files.is_empty(), "give at least one file");
    let response = client(server).await?.import_files(request).await.map_err(refusal)?.into_inner();
    let problems = response.problems.into_iter().map(|problem| Shown::new(problem, "", "")).collect();
    let report = Report { version: Some(response.version), accepted: response.accepted, problems };
    let end = report.print_import(dry_run, &response.migration, output)?;
    Ok(end)
}

fn files(args: &ImportArgs) -> anyhow::Result<Vec<LegacyFile>> {
    let single = [
        (LegacyKind::Gateway, &args.gateway),
        (LegacyKind::Effect, &args.effect),
        (LegacyKind::Aliases, &args.alias),
        (LegacyKind::Accounts, &args.accounts),
        (LegacyKind::Pmail, &args.pmail),
        (LegacyKind::PmailConnect, &args.pmail_connect),
        (LegacyKind::Settings, &args.settings),
        (LegacyKind::Usetime, &args.usetime),
    ];
    let single = single.into_iter().filter_map(|(kind, path)| Some((kind, "", path.as_deref()?)));
    let senders = args.sender.iter().map(|text| of_user(LegacyKind::Sender, text));
    let secrets = args.apop.iter().map(|text| of_user(LegacyKind::Apop, text));
    let single = single.map(|(kind, user, path)| (kind, user.to_owned(), path.to_owned()));
    single.chain(senders).chain(secrets).map(|(kind, user, path)| file(kind, user, &path)).collect()
}

/// `USER=FILE`, or a file of nobody.
fn of_user(kind: LegacyKind, text: &str) -> (LegacyKind, String, PathBuf) {
    match text.split_once('=') {
        Some((user, path)) => (kind, user.to_owned(), path.into()),
        None => (kind, String::new(), text.into()),
    }
}

fn file(kind: LegacyKind, user: String, path: &Path) -> anyhow::Result<LegacyFile> {
    let content = fs::read(path).map_err(|source| Unreadable::new(path, source))?;
    Ok(LegacyFile { kind: kind.into(), name: path.display().to_string(), user, content })
}

fn options(args: ImportArgs) -> ImportOptions {
    ImportOptions {
        domain: args.domain.unwrap_or_default(),
        force_domain: args.force_domain,
        replace: args.replace,
        sync: args.sync,
        idn: args.idn,
        wildcard_includes_apex: args.wildcard_includes_apex,
        strict: args.strict,
        mailbox_host: args.mailbox_host.unwrap_or_default(),
        cram_md5: args.cram_md5,
    }
}
