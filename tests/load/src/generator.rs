//! Client connections that send one message after the other, pipelined as far as RFC 2920
//! allows.

use std::{
    net::{Ipv4Addr, SocketAddr},
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpSocket, TcpStream},
};

use crate::ledger::Ledger;

/// After the content, so that the session can go on.
const PUT_OFF: &str = "said 451";
const REPEAT_AFTER: Duration = Duration::from_secs(1);

/// Messages with these ids, one behind the other on each connection.
pub struct Load<To> {
    /// The client's own address.
    pub from: Option<Ipv4Addr>,
    /// Envelope senders that take turns.
    pub senders: usize,
    pub ids: Range<usize>,
    pub size: usize,
    pub connections: usize,
    /// Domains of the recipients of a message.
    pub to: To,
}

pub async fn run<To>(load: &Load<To>, relay: SocketAddr, ledger: &Ledger) -> anyhow::Result<()>
where
    To: Fn(usize) -> Vec<String>,
{
    let next = AtomicUsize::new(load.ids.start);
    let filler = filler(load.size);
    let clients = (0..load.connections).map(|_| async {
        let mut client = Client::connect(load.from, relay).await?;
        loop {
            let id = next.fetch_add(1, Ordering::Relaxed);
            if id >= load.ids.end {
                return client.quit().await;
            }
            while let Err(error) = client.send(id, id % load.senders, &(load.to)(id), &filler).await {
                anyhow::ensure!(error.to_string().contains(PUT_OFF), error);
                ledger.put_off();
                tokio::time::sleep(REPEAT_AFTER).await;
            }
            ledger.accepted(id);
        }
    });
    futures::future::try_join_all(clients).await?;
    Ok(())
}

/// So many a second, whatever the relay does; more connections are opened when it is slow.
/// Returns the id after the last one.
pub async fn steadily<To>(
    load: &Load<To>,
    rate: u32,
    relay: SocketAddr,
    ledger: &Ledger,
    stop: impl Fn() -> bool,
) -> anyhow::Result<usize>
where
    To: Fn(usize) -> Vec<String>,
{
    let filler = Arc::new(filler(load.size));
    let idle: Arc<Mutex<Vec<Client>>> = Arc::default();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
    let mut sending = tokio::task::JoinSet::new();
    let mut next = load.ids.start;
    while next < load.ids.end && !stop() {
        ticks.tick().await;
        let (id, to, from, sender) = (next, (load.to)(next), load.from, next % load.senders);
        let (idle, filler, ledger) = (Arc::clone(&idle), Arc::clone(&filler), ledger.clone());
        sending.spawn(async move {
            let start = Instant::now();
            let known = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut client = match known {
                Some(client) => client,
                None => Client::connect(from, relay).await?,
            };
            // A client that is put off comes again.
            while let Err(error) = client.send(id, sender, &to, &filler).await {
                anyhow::ensure!(error.to_string().contains(PUT_OFF), error);
                ledger.put_off();
                tokio::time::sleep(REPEAT_AFTER).await;
            }
            ledger.accepted_after(id, start.elapsed());
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(client);
            anyhow::Ok(())
        });
        next += 1;
        while let Some(sent) = sending.try_join_next() {
            sent??;
        }
    }
    while let Some(sent) = sending.join_next().await {
        sent??;
    }
    Ok(next)
}

/// Lines of 72 characters.
pub fn filler(size: usize) -> String {
    let line = "The quick brown fox jumps over the lazy dog and runs on to the next town.\r\n";
    line.chars().cycle().take(size.saturating_sub(200)).collect::<String>().trim_end().to_owned() + "\r\n"
}

pub struct Client {
    stream: BufReader<TcpStream>,
    line: String,
}

impl Client {
    pub async fn connect(from: Option<Ipv4Addr>, relay: SocketAddr) -> anyhow::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        if let Some(from) = from {
            socket.bind((from, 0).into())?;
        }
        let stream = socket.connect(relay).await.with_context(|| format!("no relay at {relay}"))?;
        stream.set_nodelay(true)?;
        let mut client = Self { stream: BufReader::new(stream), line: String::new() };
        client.expect("2").await?;
        client.stream.get_mut().write_all(b"EHLO load.test\r\n").await?;
        client.expect("2").await?;
        Ok(client)
    }

    pub async fn send(
        &mut self,
        id: usize,
        sender: usize,
        to: &[String],
        filler: &str,
    ) -> anyhow::Result<()> {
        let from = format!("{}@source.test", sender_name(sender));
        let recipients: String = to.iter().map(|domain| format!("RCPT TO:<user{id}@{domain}>\r\n")).collect();
        let commands = format!("MAIL FROM:<{from}>\r\n{recipients}DATA\r\n");
        self.stream.get_mut().write_all(commands.as_bytes()).await?;
        for _ in 0..=to.len() {
            self.expect("2").await?;
        }
        self.expect("3").await?;
        let content = format!(
            "X-Load-Id: {id}\r\nFrom: {from}\r\nTo: undisclosed-recipients:;\r\nSubject: load {id}\r\n\r\n{filler}.\r\n"
        );
        self.stream.get_mut().write_all(content.as_bytes()).await?;
        self.expect("2").await
    }

    pub async fn quit(&mut self) -> anyhow::Result<()> {
        self.stream.get_mut().write_all(b"QUIT\r\n").await?;
        self.expect("2").await
    }

    async fn expect(&mut self, wanted: &str) -> anyhow::Result<()> {
        let said = self.reply().await?;
        anyhow::ensure!(said.starts_with(wanted), "the relay said {said}");
        Ok(())
    }

    /// The last line of the reply to a command.
    pub async fn command(&mut self, command: &str) -> anyhow::Result<&str> {
        self.stream.get_mut().write_all(format!("{command}\r\n").as_bytes()).await?;
        self.reply().await
    }

    async fn reply(&mut self) -> anyhow::Result<&str> {
        loop {
            self.line.clear();
            let count = self.stream.read_line(&mut self.line).await?;
            anyhow::ensure!(count > 0, "the relay closed the connection");
            if self.line.as_bytes().get(3) != Some(&b'-') {
                return Ok(self.line.trim_end());
            }
        }
    }
}

/// Letters, because numbers at the end of names look like those of mailing programs.
fn sender_name(n: usize) -> String {
    const LETTERS: &[u8] = b"abcdefghijklmnop";
    let letter = |shift: u32| LETTERS.get(n >> shift & 15).copied().unwrap_or(b'x');
    [12, 8, 4, 0].map(|shift| char::from(letter(shift))).iter().collect()
}
