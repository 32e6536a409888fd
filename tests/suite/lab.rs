//! A relay with a DNS of its own.

use std::{net::SocketAddr, time::Duration};

use hikyaku_testkit::{dns::DnsServer, mx::ScriptedMx, relay::Relay};
use tempfile::TempDir;

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

    /// `domain` has one MX, at this address.
    pub fn mail_for(&self, domain: &str, mx: SocketAddr) {
        let host = format!("mx.{domain}");
        self.dns.mx(domain, 10, &host);
        self.dns.address_of(&host, mx.ip());
    }

    pub async fn up(&self) -> anyhow::Result<Relay> {
        let dns = self.dns.address().to_string();
        let mut arguments = vec!["--dns", &dns];
        arguments.extend(self.arguments.iter().map(String::as_str));
        Relay::up(&self.folder.path().join("data"), &arguments).await
    }
}
