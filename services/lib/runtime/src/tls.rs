//! TLS: of servers, certificates from files, which may change while the process runs; of clients, whom
//! they trust. For both a stream that is in the clear until it is secured.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustls::{ServerConfig, SupportedProtocolVersion, crypto::CryptoProvider, version};
use tokio_util::sync::CancellationToken;

mod certificates; // files -> the certificate for a name
pub(crate) mod trust; // files -> the authorities that a client trusts
mod client_key; // certificate of a client -> its key
mod any_client; // certificates of clients
mod stream; // in the clear, then over TLS
mod client; // TLS with servers that we connect to

pub use certificates::{CertificateError, end_of_file};
pub use client::{
    ClientHandshakeError, ClientStream, DaneTrust, Secured, TlsClientConfig, TlsConnector, Trust,
};
pub use stream::{HandshakeError, MaybeTls, ServerStream};
pub use trust::trusting;

use any_client::AnyClient;
use certificates::Certificates;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsConfig {
    /// Never empty. A client that names no host, or one that no certificate is for, gets the
    /// first.
    pub pairs: Vec<KeyPair>,
    pub min_version: TlsVersion,
    /// Longest handshake.
    pub handshake_timeout: Duration,
    /// Clients are asked for a certificate, and may have none.
    pub client_certificates: bool,
}

/// PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPair {
    /// The certificate, and those that lead to its root.
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// RFC 8996: older ones are not spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsVersion {
    #[default]
    Tls12,
    Tls13,
}

impl TlsVersion {
    fn and_later(self) -> &'static [&'static SupportedProtocolVersion] {
        static FROM_12: [&SupportedProtocolVersion; 2] = [&version::TLS12, &version::TLS13];
        static FROM_13: [&SupportedProtocolVersion; 1] = [&version::TLS13];
        match self {
            Self::Tls12 => &FROM_12,
            Self::Tls13 => &FROM_13,
        }
    }
}

/// A handle; clones share the certificates.
#[derive(Clone)]
pub struct TlsAcceptor {
    acceptor: tokio_rustls::TlsAcceptor,
    certificates: Arc<Certificates>,
    handshake_timeout: Duration,
}

impl std::fmt::Debug for TlsAcceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsAcceptor").field("certificates", &self.certificates).finish_non_exhaustive()
    }
}

impl TlsAcceptor {
    /// Reads the files. The provider must have been installed.
    pub fn new(config: TlsConfig) -> Result<Self, CertificateError> {
        let provider = CryptoProvider::get_default().ok_or(CertificateError::NoProvider)?;
        let certificates = Arc::new(Certificates::load(config.pairs, Arc::clone(provider))?);
        let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
            .with_protocol_versions(config.min_version.and_later())
            .map_err(CertificateError::Versions)?;
        let builder = match config.client_certificates {
            true => builder.with_client_cert_verifier(Arc::new(AnyClient(Arc::clone(provider)))),
            false => builder.with_no_client_auth(),
        };
        let server = builder.with_cert_resolver(Arc::clone(&certificates) as _);
        Ok(Self {
            acceptor: Arc::new(server).into(),
            certificates,
            handshake_timeout: config.handshake_timeout,
        })
    }

    /// Takes files that have changed into use. What cannot be used is refused with a warning, and
    /// what was there stays. `expires` hears when the first of those in use ends, now and after each change.
    pub async fn follow_files(self, shutdown: CancellationToken, expires: impl Fn(SystemTime)) {
        let tell = |certificates: &Certificates| {
            if let Some(end) = certificates.first_end() {
                expires(end);
            }
        };
        tell(&self.certificates);
        let mut seen = self.certificates.fingerprint();
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = shutdown.cancelled() => return,
            }
            let certificates = Arc::clone(&self.certificates);
            let before = seen.clone();
            let look = tokio::task::spawn_blocking(move || {
                let now = certificates.fingerprint();
                let outcome = (now != before).then(|| certificates.reload());
                (now, outcome)
            });
            let Ok((now, outcome)) = look.await else { return };
            match outcome {
                None => {}
                Some(Ok(())) => {
                    tracing::info!("certificates were read again");
                    tell(&self.certificates);
                }
                Some(Err(error)) => tracing::warn!(
                    error = crate::error_chain::chain(&error),
                    "the new certificates cannot be used; those before stay"
                ),
            }
            seen = now;
        }
    }
}

#[cfg(test)]
mod tests;
