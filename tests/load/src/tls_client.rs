//! A client that speaks as far as it is told, in the clear or over TLS.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use anyhow::Context as _;
use hikyaku_runtime::{
    crypto,
    tls::{ClientStream, TlsClientConfig, TlsConnector, TlsVersion, Trust},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
};

/// Clients have this many addresses, because one has no ports for so many sessions.
const ADDRESSES: usize = 50;
const READ: usize = 4 * 1024;

pub fn connector() -> anyhow::Result<TlsConnector> {
    crypto::install();
    Ok(TlsConnector::new(&TlsClientConfig {
        ca: None,
        min_version: TlsVersion::Tls12,
        handshake_timeout: Duration::from_secs(60),
    })?)
}

/// The first octets of a handshake, as this library says them.
pub async fn client_hello(connector: &TlsConnector) -> anyhow::Result<Vec<u8>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let stream = TcpStream::connect(listener.local_addr()?).await?;
    let connector = connector.clone();
    let handshake = tokio::spawn(async move {
        connector.secure(ClientStream::Plain(stream), "relay.test", &Trust::Any).await
    });
    let (mut peer, _) = listener.accept().await?;
    let mut hello = vec![0; 16 * 1024];
    let count = peer.read(&mut hello).await?;
    hello.truncate(count);
    handshake.abort();
    Ok(hello)
}

pub struct TlsClient {
    stream: ClientStream,
}

impl TlsClient {
    pub async fn connect(number: usize, target: SocketAddr) -> anyhow::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        let last = u8::try_from(number % ADDRESSES).unwrap_or_default() + 1;
        socket.bind((Ipv4Addr::new(127, 0, 1, last), 0).into())?;
        let stream = socket.connect(target).await.with_context(|| format!("no relay at {target}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: ClientStream::Plain(stream) })
    }

    pub async fn send(&mut self, octets: &[u8]) -> anyhow::Result<()> {
        self.stream.write_all(octets).await?;
        Ok(self.stream.flush().await?)
    }

    /// All of a reply. Nothing is pipelined here, so what has come is one reply when its last line has.
    pub async fn expect(&mut self, code: &str) -> anyhow::Result<()> {
        let mut said = Vec::new();
        let mut buffer = [0; READ];
        loop {
            let count = self.stream.read(&mut buffer).await?;
            anyhow::ensure!(count > 0, "the relay closed the connection");
            said.extend_from_slice(&buffer[..count]);
            let text = String::from_utf8_lossy(&said);
            let last = text.lines().last().unwrap_or_default();
            if text.ends_with('\n') && last.as_bytes().get(3) != Some(&b'-') {
                anyhow::ensure!(last.starts_with(code), "the relay said {last}");
                return Ok(());
            }
        }
    }

    /// Some octets, whatever they are.
    pub async fn hear(&mut self) -> anyhow::Result<()> {
        let count = self.stream.read(&mut [0; READ]).await?;
        anyhow::ensure!(count > 0, "the relay has closed the connection");
        Ok(())
    }

    pub async fn say(&mut self, command: &str, code: &str) -> anyhow::Result<()> {
        self.send(format!("{command}\r\n").as_bytes()).await?;
        self.expect(code).await
    }

    /// STARTTLS and EHLO. No session is taken up again: each names another host.
    pub async fn starttls(self, connector: &TlsConnector) -> anyhow::Result<Self> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let mut client = self;
        client.say("STARTTLS", "220").await?;
        let host = format!("s{}.relay.test", NUMBER.fetch_add(1, Ordering::Relaxed));
        let (stream, _) = connector.secure(client.stream, &host, &Trust::Any).await?;
        client = Self { stream };
        client.say("EHLO load.test", "250").await?;
        Ok(client)
    }

    /// Waits for the end that the relay makes.
    pub async fn until_closed(mut self) {
        let mut buffer = [0; READ];
        while let Ok(1..) = self.stream.read(&mut buffer).await {}
    }

    /// Nothing more is sent, and the relay is heard to its end.
    pub async fn half_close(mut self) {
        if self.stream.shutdown().await.is_ok() {
            self.until_closed().await;
        }
    }

    /// RST instead of FIN.
    pub fn reset(self) {
        let stream = match &self.stream {
            ClientStream::Plain(stream) => stream,
            ClientStream::Secure(stream) => stream.get_ref().0,
        };
        let _ = stream.set_zero_linger(); // then it is closed
    }
}
