//! Connections of those who ask. They are few and short: whoever keeps one open, or opens many, takes no files and
//! no memory from mail, and does not keep an orchestrator from asking.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind},
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::serve::Listener;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    time::Sleep,
};

/// One more, and the oldest ends.
const MAX_CONNECTIONS: usize = 64;
/// A connection with all that is asked on it. Who has more to ask comes again.
const LIFETIME: Duration = Duration::from_secs(30);

pub(super) struct Callers {
    listener: TcpListener,
    /// Oldest first. One that is dropped ends its connection.
    open: VecDeque<oneshot::Sender<()>>,
}

/// Until its time is over or its place is needed.
pub(super) struct Caller {
    stream: TcpStream,
    over: Pin<Box<Sleep>>,
    displaced: oneshot::Receiver<()>,
    has_ended: bool,
}

impl Callers {
    pub(super) fn of(listener: TcpListener) -> Self {
        Self { listener, open: VecDeque::new() }
    }
}

impl Listener for Callers {
    type Io = Caller;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Caller, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.listener).await;
        self.open.retain(|caller| !caller.is_closed());
        if self.open.len() >= MAX_CONNECTIONS {
            self.open.pop_front();
        }
        let (place, displaced) = oneshot::channel();
        self.open.push_back(place);
        let over = Box::pin(tokio::time::sleep(LIFETIME));
        (Caller { stream, over, displaced, has_ended: false }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Caller {
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.has_ended = self.has_ended
            || self.over.as_mut().poll(cx).is_ready()
            || Pin::new(&mut self.displaced).poll(cx).is_ready();
        if self.has_ended { Err(ErrorKind::TimedOut.into()) } else { Ok(()) }
    }
}

impl AsyncRead for Caller {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Caller {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, routing::get};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn ask(stream: &mut TcpStream) -> String {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// Nobody waits for those who say nothing, and of them the last ones stay.
    #[tokio::test]
    async fn many_who_are_silent_keep_nobody_from_asking() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(async || "alive"));
        tokio::spawn(axum::serve(Callers::of(listener), router).into_future());
        let mut silent = Vec::new();
        for _ in 0..=MAX_CONNECTIONS {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        assert!(ask(&mut TcpStream::connect(address).await.unwrap()).await.ends_with("alive"));
        for displaced in silent.drain(..2) {
            let mut displaced = displaced;
            assert!(matches!(displaced.read(&mut [0]).await, Ok(0) | Err(_)));
        }
        assert!(ask(&mut silent[0]).await.ends_with("alive"), "there was room for it");
    }
}
