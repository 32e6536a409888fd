//! A channel to one of our services: with TLS and a certificate when files for it are given, with a
//! token when there is one.

use std::{
    fmt,
    future::Future,
    io,
    path::PathBuf,
    pin::Pin,
    task::{Context, Poll},
};

use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::{
    Request, Status,
    codegen::http::{Uri, uri::Scheme},
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{self, Endpoint},
};
use tower::Service;

use crate::{
    follow::{FileError, Followed},
    tls::{self, ClientTls},
    token::Token,
};

pub type Channel = InterceptedService<transport::Channel, Bearer>;

/// What a client shows and whom it trusts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientConfig {
    /// For https.
    pub tls: Option<ClientTls>,
    /// A file with a token.
    pub token_file: Option<PathBuf>,
    /// The token may travel to other machines without TLS: the network sees to it.
    pub plaintext: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("{endpoint:?} is not an endpoint of the form http://host:port or https://host:port")]
    Endpoint { endpoint: String },
    #[error("{endpoint} needs the file of the authorities that may have issued its certificate")]
    Authorities { endpoint: String },
    #[error("{name:?} is not a name that a certificate can have")]
    ServerName { name: String },
    #[error("the token is not sent to {endpoint} without TLS; use https, or allow plaintext")]
    Clear { endpoint: String },
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Connect(#[from] transport::Error),
}

/// Connects when it is needed, and again. Must run inside a tokio runtime.
pub fn lazy(
    url: &str,
    config: &ClientConfig,
    tune: impl FnOnce(Endpoint) -> Endpoint,
) -> Result<Channel, ClientError> {
    let Line { endpoint, connector, bearer } = line(url, config)?;
    let endpoint = tune(endpoint);
    let channel = match connector {
        Some(connector) => endpoint.connect_with_connector_lazy(connector),
        None => endpoint.connect_lazy(),
    };
    Ok(InterceptedService::new(channel, bearer))
}

/// Connects now.
pub async fn connect(
    url: &str,
    config: &ClientConfig,
    tune: impl FnOnce(Endpoint) -> Endpoint,
) -> Result<Channel, ClientError> {
    let Line { endpoint, connector, bearer } = line(url, config)?;
    let endpoint = tune(endpoint);
    let channel = match connector {
        Some(connector) => endpoint.connect_with_connector(connector).await?,
        None => endpoint.connect().await?,
    };
    Ok(InterceptedService::new(channel, bearer))
}

struct Line {
    endpoint: Endpoint,
    connector: Option<Connector>,
    bearer: Bearer,
}

fn line(url: &str, config: &ClientConfig) -> Result<Line, ClientError> {
    let invalid = || ClientError::Endpoint { endpoint: url.to_owned() };
    let uri: Uri = url.parse().map_err(|_| invalid())?;
    let host = uri.host().ok_or_else(invalid)?.trim_matches(['[', ']']);
    let bearer = Bearer::start(config.token_file.clone())?;
    match uri.scheme_str() {
        Some("https") => {
            let tls = config.tls.as_ref();
            let tls = tls.ok_or_else(|| ClientError::Authorities { endpoint: url.to_owned() })?;
            let name = tls.server_name.as_deref().unwrap_or(host);
            let server_name = ServerName::try_from(name.to_owned())
                .map_err(|_| ClientError::ServerName { name: name.to_owned() })?;
            let connector = Connector { config: tls::client(tls)?, server_name };
            // The connector speaks TLS; the transport would ask for its own if it saw the scheme.
            let mut parts = uri.clone().into_parts();
            parts.scheme = Some(Scheme::HTTP);
            let inner = Uri::from_parts(parts).map_err(|_| invalid())?;
            let endpoint = Endpoint::from(inner).origin(uri);
            Ok(Line { endpoint, connector: Some(connector), bearer })
        }
        Some("http") => {
            if config.token_file.is_some() && !config.plaintext && !is_this_machine(host) {
                return Err(ClientError::Clear { endpoint: url.to_owned() });
            }
            Ok(Line { endpoint: Endpoint::from(uri), connector: None, bearer })
        }
        Some(_) | None => Err(invalid()),
    }
}

fn is_this_machine(host: &str) -> bool {
    let is_ours = |address: std::net::IpAddr| address.is_loopback() || address.is_unspecified();
    host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| is_ours(address.to_canonical()))
}

/// Shows the token with each call.
#[derive(Clone)]
pub struct Bearer(Option<Followed<MetadataValue<Ascii>>>);

impl Bearer {
    fn start(file: Option<PathBuf>) -> Result<Self, FileError> {
        let Some(path) = file else { return Ok(Self(None)) };
        let files = vec![path.clone()];
        let read = move |contents: &[Vec<u8>]| {
            let text = contents.first().map(|content| String::from_utf8_lossy(content)).unwrap_or_default();
            let token = Token::read(&text).map_err(|error| FileError::content(&path, error))?;
            let value: Result<MetadataValue<Ascii>, _> = format!("Bearer {}", token.expose()).parse();
            let mut value = value.map_err(|error| FileError::content(&path, error))?;
            value.set_sensitive(true);
            Ok(value)
        };
        Ok(Self(Some(Followed::start(files, read)?)))
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bearer").field("has_token", &self.0.is_some()).finish()
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", (*token.current()).clone());
        }
        Ok(request)
    }
}

/// TCP, and TLS over it.
#[derive(Clone)]
struct Connector {
    config: Followed<rustls::ClientConfig>,
    server_name: ServerName<'static>,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let tls = TlsConnector::from(self.config.current());
        let server_name = self.server_name.clone();
        Box::pin(async move {
            let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
            let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(443))).await?;
            stream.set_nodelay(true)?;
            Ok(TokioIo::new(tls.connect(server_name, stream).await?))
        })
    }
}

#[cfg(test)]
mod tests;
