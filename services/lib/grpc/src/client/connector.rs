//! TCP, and TLS over it.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;
use tonic::codegen::http::Uri;
use tower::Service;

use crate::follow::Followed;

#[derive(Clone)]
pub(super) struct Connector {
    pub(super) tls: Option<Secured>,
    /// For TCP and TLS together. Here and not in the transport, whose own limit does not say that nothing
    /// was sent yet.
    pub(super) timeout: Duration,
    /// Of all addresses of the host, this one.
    pub(super) only: Option<SocketAddr>,
}

#[derive(Clone)]
pub(super) struct Secured {
    pub(super) config: Followed<rustls::ClientConfig>,
    pub(super) server_name: ServerName<'static>,
}

pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Connector {
    async fn connect(self, uri: Uri) -> io::Result<TokioIo<Box<dyn Stream>>> {
        let stream = match self.only {
            Some(address) => TcpStream::connect(address).await?,
            None => TcpStream::connect(place(&uri, self.tls.is_some())).await?,
        };
        stream.set_nodelay(true)?;
        let Some(Secured { config, server_name }) = self.tls else {
            return Ok(TokioIo::new(Box::new(stream)));
        };
        let stream = TlsConnector::from(config.current()).connect(server_name, stream).await?;
        Ok(TokioIo::new(Box::new(stream)))
    }
}

/// Host and port.
pub(super) fn place(uri: &Uri, is_secured: bool) -> (&str, u16) {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    (host, uri.port_u16().unwrap_or(if is_secured { 443 } else { 80 }))
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Box<dyn Stream>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (limit, connecting) = (self.timeout, self.clone().connect(uri));
        Box::pin(async move {
            tokio::time::timeout(limit, connecting).await.unwrap_or_else(|_| {
                Err(io::Error::new(io::ErrorKind::TimedOut, format!("no connection within {limit:?}")))
            })
        })
    }
}
