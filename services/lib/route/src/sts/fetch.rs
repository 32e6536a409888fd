//! RFC 8461 3.3: over verified TLS from one host of the domain, without redirects.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use hikyaku_types::{
    destination::{HTTPS_PORT, HostName},
    domain::Domain,
};
use reqwest::{
    Client, StatusCode,
    dns::{Addrs, Name, Resolve, Resolving},
    header::CONTENT_TYPE,
    redirect::Policy,
};

use super::text::{PolicyError, StsPolicy};
use crate::resolver::Resolver;

const TIMEOUT: Duration = Duration::from_secs(30);
const MAX_POLICY: usize = 64 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("{0}")]
    Http(#[source] Box<reqwest::Error>),
    #[error("the server says {0}")]
    Status(StatusCode),
    #[error("the answer is not text/plain")]
    Kind,
    #[error("the policy is longer than {MAX_POLICY} octets, or not text")]
    Text,
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

#[derive(Debug, Clone)]
pub struct PolicyFetcher {
    client: Client,
    port: u16,
}

impl PolicyFetcher {
    /// `tls` says whom we trust; the port is 443 everywhere but in tests.
    pub fn new(tls: rustls::ClientConfig, resolver: Resolver, port: u16) -> Result<Self, FetchError> {
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .dns_resolver(Arc::new(Names(resolver)))
            .redirect(Policy::none())
            .no_proxy()
            .https_only(true)
            .timeout(TIMEOUT)
            .pool_max_idle_per_host(0)
            .user_agent("hikyaku")
            .build()
            .map_err(|error| FetchError::Http(Box::new(error)))?;
        Ok(Self { client, port })
    }

    /// The policy and the text that it was read from.
    pub async fn fetch(&self, domain: &Domain) -> Result<(StsPolicy, String), FetchError> {
        let http = |error| FetchError::Http(Box::new(error));
        let port = if self.port == HTTPS_PORT { String::new() } else { format!(":{}", self.port) };
        let url = format!("https://mta-sts.{domain}{port}/.well-known/mta-sts.txt");
        let mut response = self.client.get(url).send().await.map_err(http)?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status()));
        }
        let kind = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default();
        if !kind.trim().eq_ignore_ascii_case("text/plain") {
            return Err(FetchError::Kind);
        }
        let mut octets = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(http)? {
            octets.extend_from_slice(&chunk);
            if octets.len() > MAX_POLICY {
                return Err(FetchError::Text);
            }
        }
        let text = String::from_utf8(octets).map_err(|_| FetchError::Text)?;
        Ok((StsPolicy::parse(&text)?, text))
    }
}

/// The resolvers of all other questions.
struct Names(Resolver);

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.0.clone();
        Box::pin(async move {
            let host: HostName = name.as_str().parse().map_err(io::Error::other)?;
            let addresses = resolver.addresses(&host).await?;
            let addresses = addresses.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(addresses) as Addrs)
        })
    }
}
