//! TLS with servers that we connect to: how good their certificate has to be, and what came of it.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use hikyaku_types::{domain::Domain, tlsa::TlsaRecord};
use rustls::{
    ClientConfig, RootCertStore,
    client::{Resumption, WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::net::TcpStream;

use super::{CertificateError, TlsVersion, stream::MaybeTls, trust};

mod any_certificate; // for who takes every certificate, and for nothing else
mod dane; // for a certificate that the DNS has named

use any_certificate::AnyCertificate;
use dane::DaneVerifier;

/// Sessions that can be taken up again, for each trust.
const REMEMBERED: usize = 4_096;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsClientConfig {
    /// PEM of the authorities that are trusted; `None`: those of the system.
    pub ca: Option<PathBuf>,
    pub min_version: TlsVersion,
    /// Longest handshake.
    pub handshake_timeout: Duration,
}

/// How good the certificate of a server has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Any will do: who listens is kept out, who stands in between is not.
    Any,
    /// Of a trusted authority, for the name of the host.
    Verified,
    /// One that the DNS has named (RFC 7672).
    Dane(DaneTrust),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaneTrust {
    /// One of them has to fit.
    pub records: Arc<[TlsaRecord]>,
    /// A certificate may be for this name, too: that of the domain whose mail the host takes.
    pub domain: Option<Domain>,
}

/// A connection that is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Secured {
    /// `1.2` or `1.3`.
    pub version: &'static str,
    pub cipher: &'static str,
    /// The certificate is good, whether that was asked for or not.
    pub is_verified: bool,
}

pub type ClientStream = MaybeTls<tokio_rustls::client::TlsStream<TcpStream>>;

#[derive(Debug, thiserror::Error)]
pub enum ClientHandshakeError {
    #[error("the handshake took longer than {} s", .0.as_secs())]
    TimedOut(Duration),
    #[error("the handshake failed")]
    Failed(#[source] io::Error),
    #[error("{0:?} is no name that a certificate can be for")]
    Name(String),
    #[error("no authority is trusted here")]
    NoAuthorities,
    #[error("TLS is on already")]
    AlreadySecure,
}

/// A handle; clones share what they remember of servers.
#[derive(Clone)]
pub struct TlsConnector {
    any: tokio_rustls::TlsConnector,
    /// What one trust has admitted must not pass for the other, so each remembers sessions for itself.
    verified: Option<tokio_rustls::TlsConnector>,
    authorities: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
    min_version: TlsVersion,
    handshake_timeout: Duration,
}

impl std::fmt::Debug for TlsConnector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let has_authorities = self.authorities.is_some();
        f.debug_struct("TlsConnector").field("has_authorities", &has_authorities).finish_non_exhaustive()
    }
}

impl TlsConnector {
    /// Reads the authorities. The provider must have been installed.
    pub fn new(config: &TlsClientConfig) -> Result<Self, CertificateError> {
        let provider = CryptoProvider::get_default().ok_or(CertificateError::NoProvider)?;
        let roots = match &config.ca {
            Some(file) => trust::authorities(file)?,
            None => trust::of_system(),
        };
        let authorities = of_roots(roots, provider)?;
        if authorities.is_none() {
            tracing::warn!("this system has no authorities, so no certificate of a server is good");
        }
        let connector = |verifier: Arc<dyn ServerCertVerifier>| {
            let mut client =
                client(provider, config.min_version, verifier).map_err(CertificateError::Versions)?;
            client.resumption = Resumption::in_memory_sessions(REMEMBERED);
            Ok(tokio_rustls::TlsConnector::from(Arc::new(client)))
        };
        let any = connector(Arc::new(AnyCertificate::new(provider)))?;
        let verified = authorities.as_ref().map(|authorities| connector(Arc::clone(authorities) as _));
        let handshake_timeout = config.handshake_timeout;
        Ok(Self {
            any,
            verified: verified.transpose()?,
            authorities,
            provider: Arc::clone(provider),
            min_version: config.min_version,
            handshake_timeout,
        })
    }

    /// For HTTPS: trusts the same authorities. `None`: there are none.
    pub fn for_https(&self) -> Option<ClientConfig> {
        let authorities = Arc::clone(self.authorities.as_ref()?);
        client(&self.provider, self.min_version, authorities).ok()
    }

    /// Nothing is remembered of these servers: records change.
    fn of_dane(&self, trust: &DaneTrust) -> Result<tokio_rustls::TlsConnector, ClientHandshakeError> {
        let domain = trust.domain.as_ref().and_then(|domain| ServerName::try_from(domain.to_string()).ok());
        let verifier = DaneVerifier::new(Arc::clone(&trust.records), domain, Arc::clone(&self.provider));
        let mut client = client(&self.provider, self.min_version, Arc::new(verifier))
            .map_err(|error| ClientHandshakeError::Failed(io::Error::other(error)))?;
        client.resumption = Resumption::disabled();
        Ok(Arc::new(client).into())
    }

    /// The handshake with `host`, a name or an address. Nothing that was read before it is known to what
    /// comes after.
    pub async fn secure(
        &self,
        stream: ClientStream,
        host: &str,
        trust: &Trust,
    ) -> Result<(ClientStream, Secured), ClientHandshakeError> {
        let ClientStream::Plain(stream) = stream else { return Err(ClientHandshakeError::AlreadySecure) };
        let of_dane;
        let connector = match trust {
            Trust::Any => &self.any,
            Trust::Verified => self.verified.as_ref().ok_or(ClientHandshakeError::NoAuthorities)?,
            Trust::Dane(trust) => {
                of_dane = self.of_dane(trust)?;
                &of_dane
            }
        };
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|_| ClientHandshakeError::Name(host.to_owned()))?;
        let handshake = connector.connect(name.clone(), stream);
        let stream = match tokio::time::timeout(self.handshake_timeout, handshake).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(ClientHandshakeError::Failed(error)),
            Err(_) => return Err(ClientHandshakeError::TimedOut(self.handshake_timeout)),
        };
        let (_, connection) = stream.get_ref();
        let suite = connection.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str());
        let secured = Secured {
            version: super::stream::version(connection.protocol_version()),
            cipher: suite.unwrap_or("unknown"),
            is_verified: *trust != Trust::Any || self.is_good(connection.peer_certificates(), &name),
        };
        Ok((ClientStream::Secure(Box::new(stream)), secured))
    }

    /// Whether this chain would have passed.
    fn is_good(&self, chain: Option<&[CertificateDer<'_>]>, name: &ServerName<'_>) -> bool {
        let Some((authorities, (own, between))) =
            self.authorities.as_ref().zip(chain.and_then(<[_]>::split_first))
        else {
            return false;
        };
        authorities.verify_server_cert(own, between, name, &[], UnixTime::now()).is_ok()
    }
}

fn client(
    provider: &Arc<CryptoProvider>,
    min_version: TlsVersion,
    verifier: Arc<dyn ServerCertVerifier>,
) -> Result<ClientConfig, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(min_version.and_later())?;
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

/// `None`: there are none, so no certificate is good.
fn of_roots(
    roots: RootCertStore,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<WebPkiServerVerifier>>, CertificateError> {
    if roots.is_empty() {
        return Ok(None);
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build();
    verifier.map(Some).map_err(CertificateError::Authorities)
}

#[cfg(test)]
mod tests;
