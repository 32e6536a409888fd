//! A channel to one of our services: with TLS and a certificate when files for it are given, with a
//! token when there is one.

mod bearer; // shows the token
mod connector; // TCP, and TLS over it
pub mod pods; // several that can answer alike

use std::{path::PathBuf, time::Duration};

use rustls::pki_types::ServerName;
use tonic::{
    codegen::http::{Uri, uri::Scheme},
    service::interceptor::InterceptedService,
    transport::{self, Endpoint},
};

pub use self::bearer::Bearer;
use self::connector::{Connector, Secured};
use crate::{
    follow::FileError,
    tls::{self, ClientTls},
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

/// How long a server may be silent.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    pub connect: Duration,
    /// A server that vanished without a word is noticed after twice this time.
    pub keep_alive: Duration,
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

/// Connects now, and again when it is needed.
pub async fn connect(url: &str, config: &ClientConfig, patience: Patience) -> Result<Channel, ClientError> {
    let Line { endpoint, connector, bearer } = Line::new(url, config, patience)?;
    let channel = endpoint.connect_with_connector(connector).await?;
    Ok(InterceptedService::new(channel, bearer))
}

/// What a URL and the files of the configuration have become.
#[derive(Clone)]
struct Line {
    endpoint: Endpoint,
    connector: Connector,
    bearer: Bearer,
}

impl Line {
    /// Must run inside a tokio runtime.
    fn new(url: &str, config: &ClientConfig, patience: Patience) -> Result<Self, ClientError> {
        let invalid = || ClientError::Endpoint { endpoint: url.to_owned() };
        let uri: Uri = url.parse().map_err(|_| invalid())?;
        let host = uri.host().ok_or_else(invalid)?.trim_matches(['[', ']']);
        let bearer = Bearer::start(config.token_file.clone())?;
        let (endpoint, tls) = match uri.scheme_str() {
            Some("https") => {
                let tls = config.tls.as_ref();
                let tls = tls.ok_or_else(|| ClientError::Authorities { endpoint: url.to_owned() })?;
                let name = tls.server_name.as_deref().unwrap_or(host);
                let server_name = ServerName::try_from(name.to_owned())
                    .map_err(|_| ClientError::ServerName { name: name.to_owned() })?;
                let secured = Secured { config: tls::client(tls)?, server_name };
                // The connector speaks TLS; the transport would ask for its own if it saw the scheme.
                let mut parts = uri.clone().into_parts();
                parts.scheme = Some(Scheme::HTTP);
                let inner = Uri::from_parts(parts).map_err(|_| invalid())?;
                (Endpoint::from(inner).origin(uri), Some(secured))
            }
            Some("http") => {
                if config.token_file.is_some() && !config.plaintext && !is_this_machine(host) {
                    return Err(ClientError::Clear { endpoint: url.to_owned() });
                }
                (Endpoint::from(uri), None)
            }
            Some(_) | None => return Err(invalid()),
        };
        let endpoint = endpoint
            .http2_keep_alive_interval(patience.keep_alive)
            .keep_alive_timeout(patience.keep_alive)
            .keep_alive_while_idle(true);
        let connector = Connector { tls, timeout: patience.connect, only: None };
        Ok(Self { endpoint, connector, bearer })
    }
}

fn is_this_machine(host: &str) -> bool {
    let is_ours = |address: std::net::IpAddr| address.is_loopback() || address.is_unspecified();
    host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| is_ours(address.to_canonical()))
}

#[cfg(test)]
mod tests;
