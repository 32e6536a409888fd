//! A relay with a DNS of its own.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use hikyaku_testkit::{
    certificates::{Authority, Names, PairFiles},
    client::SmtpClient,
    dns::DnsServer,
    eventually::eventually,
    mx::ScriptedMx,
    peers::{Peer, Skipped},
    relay::Relay,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Long enough for a busy machine; a test that passes does not wait for it.
pub const SOON: Duration = Duration::from_secs(30);
pub const CONTENT: &str =
    "From: a@client.test\r\nTo: b@there.test\r\nSubject: hello\r\n\r\nHello, world.\r\n";

pub struct Lab {
    pub dns: DnsServer,
    pub folder: TempDir,
    arguments: Vec<String>,
}

impl Lab {
    /// The relay trusts this machine and calls itself gw.test.
    pub async fn new() -> anyhow::Result<Self> {
        let mut lab = Self::empty().await?;
        lab.arguments.extend(["--relay-from", "127.0.0.1/32"].map(str::to_owned));
        Ok(lab)
    }

    /// It trusts nobody.
    pub async fn empty() -> anyhow::Result<Self> {
        let dns = DnsServer::start().await?;
        let arguments = ["--hostname", "gw.test"].map(str::to_owned);
        Ok(Self { dns, folder: tempfile::tempdir()?, arguments: arguments.into() })
    }

    /// The same for a second relay, which has a name of its own.
    pub async fn named(name: &str) -> anyhow::Result<Self> {
        let dns = DnsServer::start().await?;
        let arguments = ["--hostname", name, "--relay-from", "127.0.0.1/32"].map(str::to_owned);
        Ok(Self { dns, folder: tempfile::tempdir()?, arguments: arguments.into() })
    }

    /// One more line of the configuration file, in TOML.
    pub fn configure(&mut self, toml: &str) -> anyhow::Result<()> {
        let path = self.folder.path().join("hikyaku.toml");
        std::fs::write(&path, toml)?;
        self.arguments.extend(["--config".to_owned(), path.to_string_lossy().into_owned()]);
        Ok(())
    }

    /// Mail for `domain` is accepted from everywhere and goes to `mx`.
    pub fn own_domain(&mut self, domain: &str, mx: &ScriptedMx) {
        self.own_domain_at(domain, mx.address());
    }

    pub fn own_domain_at(&mut self, domain: &str, next_hop: SocketAddr) {
        self.arguments.extend(["--own-domain".to_owned(), format!("{domain}={next_hop}")]);
    }

    /// The same with a name, which the DNS then has.
    pub fn own_domain_by_name(&mut self, domain: &str, host: &str, next_hop: SocketAddr) {
        self.dns.address_of(host, next_hop.ip());
        self.arguments.extend(["--own-domain".to_owned(), format!("{domain}={host}:{}", next_hop.port())]);
    }

    /// `domain` has one MX, at this address.
    pub fn mail_for(&self, domain: &str, mx: SocketAddr) {
        let host = format!("mx.{domain}");
        self.dns.mx(domain, 10, &host);
        self.dns.address_of(&host, mx.ip());
    }

    /// The relay asks this one too, and first.
    pub fn resolver(&mut self, address: SocketAddr) {
        self.arguments.extend(["--dns".to_owned(), address.to_string()]);
    }

    pub async fn up(&self) -> anyhow::Result<Relay> {
        let dns = self.dns.address().to_string();
        let mut arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        arguments.extend(["--dns", &dns]);
        Relay::up(&self.folder.path().join("data"), &arguments).await
    }
}

pub const SUBMISSION: &str = "submission = [\"127.0.0.1:0\"]\nsubmissions = [\"127.0.0.1:0\"]\n";

/// Certificates of a relay, and the authority that clients trust.
pub struct Certificates {
    pub authority: Authority,
    /// PEM of the authority.
    pub trusted: PathBuf,
    folder: TempDir,
}

impl Certificates {
    /// One pair, for gw.test.
    pub fn new() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let authority = Authority::new("clients trust it")?;
        let trusted = folder.path().join("trusted.pem");
        authority.write(&trusted)?;
        let certificates = Self { authority, trusted, folder };
        certificates.renew("gw.test")?;
        Ok(certificates)
    }

    /// The files of `name`, with another certificate than before.
    pub fn renew(&self, name: &str) -> anyhow::Result<PairFiles> {
        let pair = self.authority.issue(&Names { common: name, dns: &[name], uris: &[] })?;
        pair.write(self.folder.path(), name)
    }

    /// The configuration of submission on any ports, for `names`.
    pub fn configuration(&self, names: &[&str]) -> String {
        format!("{SUBMISSION}{}", self.section(names))
    }

    /// The section alone.
    pub fn section(&self, names: &[&str]) -> String {
        let files = |extension| {
            let files = names.iter().map(|name| self.folder.path().join(format!("{name}.{extension}")));
            files.map(|file| format!("{file:?}")).collect::<Vec<_>>().join(", ")
        };
        format!("[tls]\ncertificate = [{}]\nkey = [{}]\n", files("crt"), files("key"))
    }
}

/// It listens, or the reason why there is none was said.
pub async fn listening(peer: Result<Peer, Skipped>) -> Option<Peer> {
    let peer = peer.map_err(|reason| println!("skipped: {reason}")).ok()?;
    eventually(SOON, async || {
        SmtpClient::connect(peer.address()).await.map(drop).map_err(|error| error.to_string())
    })
    .await;
    Some(peer)
}

/// Status and body of the answer.
pub async fn http_get(address: SocketAddr, path: &str) -> anyhow::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: x\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let status = answer.split(' ').nth(1).unwrap_or_default().parse()?;
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    Ok((status, body))
}

/// Puts this text in the place of the document `traffic`.
pub async fn set_traffic(relay: &Relay, text: &str) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("traffic");
    std::fs::write(&path, text)?;
    relay.ctl(&["directory", "set", "traffic", &path.to_string_lossy()]).await?;
    Ok(())
}

/// The worker has the rules that were set: they name this key for the destination.
pub async fn in_force(relay: &Relay, destination: &str, wanted: &str) {
    eventually(SOON, async || {
        let said =
            relay.ctl(&["destination", "limits", destination]).await.map_err(|error| error.to_string())?;
        let words: Vec<&str> = said.split_whitespace().collect();
        if words.join(" ").contains(wanted) { Ok(()) } else { Err(said) }
    })
    .await;
}

/// Accounts of the relay, with their passwords.
pub async fn set_accounts(relay: &Relay, accounts: &[(&str, &str)]) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (names, credentials) = hikyaku_testkit::accounts::documents(accounts);
    for (document, text) in [("accounts", names), ("credentials", credentials)] {
        let path = folder.path().join(document);
        std::fs::write(&path, text)?;
        relay.ctl(&["directory", "set", document, &path.to_string_lossy()]).await?;
    }
    Ok(())
}

/// Clients of a relay whose certificate is for gw.test: over TLS, and EHLO has been said.
const SMTPLIB: &str = r"
import base64, smtplib, ssl

def plain(user, password):
    return 'AUTH PLAIN ' + base64.b64encode(f'\0{user}\0{password}'.encode()).decode()

def starttls(port, trusted, source):
    client = smtplib.SMTP('127.0.0.1', int(port), source_address=(source, 0))
    client._host = 'gw.test'
    client.starttls(context=ssl.create_default_context(cafile=trusted))
    client.ehlo('client.test')
    return client

class Implicit(smtplib.SMTP_SSL):
    def _get_socket(self, host, port, timeout):
        self._host = 'gw.test'
        return super()._get_socket(host, port, timeout)

def implicit(port, trusted, source):
    context = ssl.create_default_context(cafile=trusted)
    client = Implicit('127.0.0.1', int(port), context=context, source_address=(source, 0))
    client.ehlo('client.test')
    return client
";

/// A Python script that begins with [`SMTPLIB`].
pub async fn smtplib(script: &str, arguments: &[&str]) -> anyhow::Result<Option<String>> {
    python(&format!("{SMTPLIB}{script}"), arguments).await
}

/// What a Python script prints; `None`, and it is said, where there is no Python.
pub async fn python(script: &str, arguments: &[&str]) -> anyhow::Result<Option<String>> {
    let mut command = tokio::process::Command::new("python3");
    let output = match command.arg("-c").arg(script).args(arguments).output().await {
        Ok(output) => output,
        Err(error) => {
            println!("skipped: python3: {error}");
            return Ok(None);
        }
    };
    let (text, errors) =
        (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr));
    anyhow::ensure!(output.status.success(), "python3: {text}{errors}");
    Ok(Some(text))
}
