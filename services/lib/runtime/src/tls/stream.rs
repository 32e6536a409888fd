//! A connection of a client: in the clear, or over TLS. In the clear it costs one comparison.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use rustls::ProtocolVersion;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

use super::TlsAcceptor;

#[derive(Debug)]
pub enum ServerStream {
    Plain(TcpStream),
    Secure(Box<TlsStream<TcpStream>>),
}

#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    #[error("the client took too long")]
    TimedOut,
    #[error("the handshake failed")]
    Failed(#[source] io::Error),
    #[error("TLS is on already")]
    AlreadySecure,
}

impl ServerStream {
    /// The handshake. Nothing that was read before it is known to what comes after.
    pub async fn secure(self, acceptor: &TlsAcceptor) -> Result<Self, HandshakeError> {
        let Self::Plain(stream) = self else { return Err(HandshakeError::AlreadySecure) };
        let handshake = acceptor.acceptor.accept(stream);
        match tokio::time::timeout(acceptor.handshake_timeout, handshake).await {
            Ok(Ok(stream)) => Ok(Self::Secure(Box::new(stream))),
            Ok(Err(error)) => Err(HandshakeError::Failed(error)),
            Err(_) => Err(HandshakeError::TimedOut),
        }
    }

    /// `1.2` or `1.3` over TLS.
    pub fn tls_version(&self) -> Option<&'static str> {
        let Self::Secure(stream) = self else { return None };
        let (_, connection) = stream.get_ref();
        Some(if connection.protocol_version() == Some(ProtocolVersion::TLSv1_3) { "1.3" } else { "1.2" })
    }
}

impl AsyncRead for ServerStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Secure(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for ServerStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, octets),
            Self::Secure(stream) => Pin::new(stream).poll_write(cx, octets),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Secure(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Secure(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
