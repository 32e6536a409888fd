//! The servers of all destinations. What they take they note by the id in its header.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::{
    ledger::Ledger,
    world::{self, Manner},
};

/// How servers that are not healthy behave.
#[derive(Debug, Clone, Copy)]
pub struct Manners {
    /// 451 for so long after the first contact of client and recipient.
    pub greylist: Duration,
    /// Before each reply of a tarpit.
    pub tarpit: Duration,
}

impl Default for Manners {
    fn default() -> Self {
        Self { greylist: Duration::from_secs(300), tarpit: Duration::from_secs(5) }
    }
}

pub struct Sink {
    task: JoinHandle<()>,
    shared: Arc<Shared>,
}

struct Shared {
    ledger: Ledger,
    manners: Manners,
    contacts: Mutex<HashMap<(IpAddr, usize), Instant>>,
    /// Sessions now and at most, by the address that was connected to.
    sessions: Mutex<HashMap<Ipv4Addr, (usize, usize)>>,
}

pub async fn start(port: u16, ledger: Ledger, manners: Manners) -> anyhow::Result<Sink> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await?;
    let shared = Arc::new(Shared { ledger, manners, contacts: Mutex::default(), sessions: Mutex::default() });
    let accepting = Arc::clone(&shared);
    let task = tokio::spawn(async move {
        while let Ok((stream, peer)) = listener.accept().await {
            let shared = Arc::clone(&accepting);
            let Ok(SocketAddr::V4(local)) = stream.local_addr() else { continue };
            tokio::spawn(async move {
                shared.session(*local.ip(), true);
                let _ = serve(stream, *local.ip(), peer.ip(), &shared).await; // the relay left
                shared.session(*local.ip(), false);
            });
        }
    });
    Ok(Sink { task, shared })
}

impl Sink {
    pub fn stop(&self) {
        self.task.abort();
    }

    /// Most sessions at once to one server that behaves so.
    pub fn most_sessions(&self, manner: Manner) -> usize {
        let sessions = self.shared.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let of = sessions.iter().filter(|(address, _)| world::manner(**address) == manner);
        of.map(|(_, (_, most))| *most).max().unwrap_or(0)
    }
}

impl Shared {
    fn session(&self, address: Ipv4Addr, begins: bool) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, most) = sessions.entry(address).or_default();
        *now = if begins { *now + 1 } else { now.saturating_sub(1) };
        *most = (*most).max(*now);
    }

    /// What a greylister says to this recipient.
    fn greylisted(&self, peer: IpAddr, command: &[u8]) -> &'static [u8] {
        let text = std::str::from_utf8(command).unwrap_or_default();
        let id = text.split("<user").nth(1).and_then(|rest| rest.split('@').next()?.parse().ok());
        let Some(id) = id else { return b"501 5.1.3 who\r\n" };
        let mut contacts = self.contacts.lock().unwrap_or_else(PoisonError::into_inner);
        let first = *contacts.entry((peer, id)).or_insert_with(Instant::now);
        if first.elapsed() < self.manners.greylist {
            b"451 4.7.1 greylisted, try again later\r\n"
        } else {
            b"250 2.1.5 ok\r\n"
        }
    }
}

async fn serve(stream: TcpStream, local: Ipv4Addr, peer: IpAddr, shared: &Shared) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (manner, ledger) = (world::manner(local), &shared.ledger);
    let mut stream = BufReader::with_capacity(64 * 1024, stream);
    let (mut line, mut replies) = (Vec::new(), Vec::from(&b"220 sink.test ESMTP\r\n"[..]));
    let mut is_accepted = manner != Manner::Greylists;
    if manner == Manner::Silent {
        stream.read_to_end(&mut line).await?;
        return Ok(());
    }
    loop {
        if manner == Manner::Tarpit && !replies.is_empty() {
            tokio::time::sleep(shared.manners.tarpit).await;
        }
        if stream.buffer().is_empty() && !replies.is_empty() {
            stream.get_mut().write_all(&replies).await?;
            replies.clear();
        }
        line.clear();
        if stream.read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        match line.get(..4).unwrap_or_default().to_ascii_uppercase().as_slice() {
            b"EHLO" => replies.extend_from_slice(
                b"250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 104857600\r\n",
            ),
            b"RCPT" if manner == Manner::Greylists => {
                let reply = shared.greylisted(peer, &line);
                is_accepted = reply.starts_with(b"2");
                replies.extend_from_slice(reply);
            }
            b"DATA" if !is_accepted => replies.extend_from_slice(b"554 5.5.1 no valid recipients\r\n"),
            b"DATA" => {
                replies.extend_from_slice(b"354 go ahead\r\n");
                stream.get_mut().write_all(&replies).await?;
                replies.clear();
                content(&mut stream, &mut line, ledger).await?;
                replies.extend_from_slice(b"250 2.0.0 stored\r\n");
            }
            b"QUIT" => {
                replies.extend_from_slice(b"221 2.0.0 bye\r\n");
                return stream.get_mut().write_all(&replies).await;
            }
            _ => replies.extend_from_slice(b"250 2.0.0 ok\r\n"),
        }
    }
}

async fn content(
    stream: &mut BufReader<TcpStream>,
    line: &mut Vec<u8>,
    ledger: &Ledger,
) -> std::io::Result<()> {
    let mut id = None;
    loop {
        line.clear();
        if stream.read_until(b'\n', line).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if line == b".\r\n" {
            if let Some(id) = id {
                ledger.arrived(id);
            }
            return Ok(());
        }
        if id.is_none() {
            let text = std::str::from_utf8(line).unwrap_or_default();
            id = text.strip_prefix("X-Load-Id: ").and_then(|id| id.trim().parse().ok());
        }
    }
}
