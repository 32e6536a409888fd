//! Client connections that send one message after the other, pipelined as far as RFC 2920
//! allows.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::Context as _;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

use crate::{Options, domain, ledger::Ledger};

pub async fn run(options: &Options, relay: SocketAddr, ledger: &Ledger) -> anyhow::Result<()> {
    let next = Arc::new(AtomicUsize::new(0));
    let filler = Arc::new(filler(options.size));
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..options.connections {
        let (next, filler, ledger) = (Arc::clone(&next), Arc::clone(&filler), ledger.clone());
        let (messages, domains) = (options.messages, options.domains);
        clients.spawn(async move {
            let mut client = Client::connect(relay).await?;
            loop {
                let id = next.fetch_add(1, Ordering::Relaxed);
                if id >= messages {
                    return client.quit().await;
                }
                client.send(id, &domain(id % domains), &filler).await?;
                ledger.accepted(id);
            }
        });
    }
    while let Some(client) = clients.join_next().await {
        client??;
    }
    Ok(())
}

/// Lines of 72 characters.
fn filler(size: usize) -> String {
    let line = "The quick brown fox jumps over the lazy dog and runs on to the next town.\r\n";
    line.chars().cycle().take(size.saturating_sub(200)).collect::<String>().trim_end().to_owned() + "\r\n"
}

struct Client {
    stream: BufReader<TcpStream>,
    line: String,
}

impl Client {
    async fn connect(relay: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(relay).await.with_context(|| format!("no relay at {relay}"))?;
        stream.set_nodelay(true)?;
        let mut client = Self { stream: BufReader::new(stream), line: String::new() };
        client.expect("2").await?;
        client.stream.get_mut().write_all(b"EHLO load.test\r\n").await?;
        client.expect("2").await?;
        Ok(client)
    }

    async fn send(&mut self, id: usize, domain: &str, filler: &str) -> anyhow::Result<()> {
        let commands = format!("MAIL FROM:<load@source.test>\r\nRCPT TO:<user{id}@{domain}>\r\nDATA\r\n");
        self.stream.get_mut().write_all(commands.as_bytes()).await?;
        for wanted in ["2", "2", "3"] {
            self.expect(wanted).await?;
        }
        let content = format!(
            "X-Load-Id: {id}\r\nFrom: load@source.test\r\nTo: user{id}@{domain}\r\nSubject: load {id}\r\n\r\n{filler}.\r\n"
        );
        self.stream.get_mut().write_all(content.as_bytes()).await?;
        self.expect("2").await
    }

    async fn quit(&mut self) -> anyhow::Result<()> {
        self.stream.get_mut().write_all(b"QUIT\r\n").await?;
        self.expect("2").await
    }

    async fn expect(&mut self, wanted: &str) -> anyhow::Result<()> {
        loop {
            self.line.clear();
            let count = self.stream.read_line(&mut self.line).await?;
            anyhow::ensure!(count > 0, "the relay closed the connection");
            if self.line.as_bytes().get(3) != Some(&b'-') {
                anyhow::ensure!(self.line.starts_with(wanted), "the relay said {}", self.line.trim_end());
                return Ok(());
            }
        }
    }
}
