//! Accepted connections, with or without TLS.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{Stream, StreamExt as _, future::ready};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tonic::transport::server::{Connected, TcpIncoming};

use crate::{
    certificate::{self, CertificateName},
    follow::Followed,
    refusals::Refusals,
};

/// Who does not shake hands keeps a place for so long.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
const HANDSHAKES: usize = 1_000;

#[derive(Debug)]
pub enum Connection {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// What is known of the other side; it stands among the extensions of each request.
#[derive(Debug, Clone)]
pub struct Peer {
    pub(crate) address: Option<SocketAddr>,
    pub(crate) has_certificate: bool,
    pub(crate) names: Arc<[CertificateName]>,
}

/// Handshakes run beside each other. One that fails concerns nobody else.
pub(crate) fn incoming(
    listener: TcpListener,
    tls: Option<Followed<ServerConfig>>,
    refusals: Arc<Refusals>,
) -> impl Stream<Item = io::Result<Connection>> + Send {
    TcpIncoming::from(listener)
        .with_nodelay(Some(true))
        .map(move |accepted| {
            // A renewed certificate is for connections that begin now.
            let tls = tls.as_ref().map(|tls| TlsAcceptor::from(tls.current()));
            greet(accepted, tls, Arc::clone(&refusals))
        })
        .buffer_unordered(HANDSHAKES)
        .filter_map(ready)
}

async fn greet(
    accepted: io::Result<TcpStream>,
    tls: Option<TlsAcceptor>,
    refusals: Arc<Refusals>,
) -> Option<io::Result<Connection>> {
    let stream = match accepted {
        Ok(stream) => stream,
        Err(error) => return Some(Err(error)),
    };
    let Some(tls) = tls else { return Some(Ok(Connection::Plain(stream))) };
    let address = stream.peer_addr().ok();
    let shaken = match tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
        Ok(shaken) => shaken,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    };
    match shaken {
        Ok(stream) => Some(Ok(Connection::Tls(Box::new(stream)))),
        // Who only looks whether somebody listens.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
        Err(error) => {
            refusals.handshake(address, &error);
            None
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        let (stream, certificate) = match self {
            Self::Plain(stream) => (stream, None),
            Self::Tls(stream) => {
                let (stream, session) = stream.get_ref();
                (stream, session.peer_certificates().and_then(<[_]>::first))
            }
        };
        Peer {
            address: stream.peer_addr().ok(),
            has_certificate: certificate.is_some(),
            names: certificate.map(|shown| certificate::names(shown)).unwrap_or_default().into(),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
