//! A connection: in the clear, or over TLS. In the clear it costs one comparison.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use hikyaku_types::fingerprint::Fingerprint;
use rustls::{ProtocolVersion, crypto::CryptoProvider};
use sha2::{Digest as _, Sha256};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

use super::{TlsAcceptor, client_key::ClientKey};

/// `T` is TLS as the server or the client has it.
#[derive(Debug)]
pub enum MaybeTls<T> {
    Plain(TcpStream),
    Secure(Box<T>),
}

/// A connection of a client.
pub type ServerStream = MaybeTls<TlsStream<TcpStream>>;

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

    /// RFC 9266 2: what both ends know of their connection, over TLS 1.3.
    pub fn exporter(&self) -> Option<[u8; 32]> {
        let Self::Secure(stream) = self else { return None };
        let (_, connection) = stream.get_ref();
        if connection.protocol_version() != Some(ProtocolVersion::TLSv1_3) {
            return None;
        }
        connection.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b"")).ok()
    }

    /// The certificate that the client has shown, of which it has the key.
    pub fn client_certificate(&self) -> Option<Fingerprint> {
        let Self::Secure(stream) = self else { return None };
        let (_, connection) = stream.get_ref();
        let shown = connection.peer_certificates()?.first()?;
        // With any other, nothing was proved in the handshake.
        ClientKey::of(shown, &CryptoProvider::get_default()?.signature_verification_algorithms)?;
        Some(Fingerprint(Sha256::digest(shown).into()))
    }

    /// `1.2` or `1.3` over TLS.
    pub fn tls_version(&self) -> Option<&'static str> {
        let Self::Secure(stream) = self else { return None };
        let (_, connection) = stream.get_ref();
        Some(version(connection.protocol_version()))
    }
}

/// No others are spoken.
pub(super) fn version(version: Option<ProtocolVersion>) -> &'static str {
    if version == Some(ProtocolVersion::TLSv1_3) { "1.3" } else { "1.2" }
}

impl<T: AsyncRead + Unpin> AsyncRead for MaybeTls<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Secure(stream) => Pin::new(stream.as_mut()).poll_read(cx, buffer),
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for MaybeTls<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, octets),
            Self::Secure(stream) => Pin::new(stream.as_mut()).poll_write(cx, octets),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
            Self::Secure(stream) => Pin::new(stream.as_mut()).poll_write_vectored(cx, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Secure(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Secure(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Secure(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}
