//! `hikyakuctl certificate`: certificates for trying TLS out. Nothing is asked of the cluster.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::Subcommand;
use rcgen::{CertificateParams, DnType, KeyPair};
use time::{Duration, OffsetDateTime};

use crate::{End, output::Output};

/// Clocks of those who try it may be late.
const EARLIER: Duration = Duration::hours(1);

#[derive(Debug, Subcommand)]
pub(crate) enum CertificateCommand {
    /// Make a key and a certificate that it signs itself, for trying TLS out: nobody trusts it who is not told to.
    #[command(after_help = "\
Examples:
  hikyakuctl certificate test mail.example.org --out .
  hikyaku up --tls-certificate mail.example.org.crt --tls-key mail.example.org.key
  openssl s_client -starttls smtp -connect localhost:2525 -CAfile mail.example.org.crt")]
    Test {
        /// Names of hosts, and addresses; the first names the files.
        #[arg(required = true)]
        names: Vec<String>,
        /// Folder for NAME.crt and NAME.key, which must not be there yet.
        #[arg(long, value_name = "FOLDER", default_value = ".")]
        out: PathBuf,
        /// Days that it is good for.
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=825))]
        days: u16,
    },
}

pub(crate) fn run(command: CertificateCommand, output: &mut Output<impl Write>) -> anyhow::Result<End> {
    let CertificateCommand::Test { names, out, days } = command;
    let first = names.first().context("a name is wanted")?;
    anyhow::ensure!(!first.contains(['/', '\0']), "{first:?} cannot name files");
    let mut params =
        CertificateParams::new(names.clone()).context("these cannot be names of a certificate")?;
    params.distinguished_name.push(DnType::CommonName, first.clone());
    let now = OffsetDateTime::now_utc();
    (params.not_before, params.not_after) = (now - EARLIER, now + Duration::days(days.into()));
    let key = KeyPair::generate().context("cannot make a key")?;
    let certificate = params.self_signed(&key).context("cannot sign the certificate")?;
    let (crt, pem) = (out.join(format!("{first}.crt")), out.join(format!("{first}.key")));
    write_new(&pem, 0o600, &key.serialize_pem())?;
    write_new(&crt, 0o644, &certificate.pem())?;
    let (crt, pem) = (crt.display().to_string(), pem.display().to_string());
    let shown = serde_json::json!({ "certificate": crt, "key": pem, "names": names, "days": days });
    output.print(&shown, |writer| writeln!(writer, "{crt}\n{pem}"))?;
    Ok(End::Done)
}

fn write_new(file: &Path, mode: u32, text: &str) -> anyhow::Result<()> {
    let write = || -> io::Result<()> {
        let mut opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(file)?;
        opened.write_all(text.as_bytes())
    };
    write().with_context(|| format!("cannot write {}", file.display()))
}
