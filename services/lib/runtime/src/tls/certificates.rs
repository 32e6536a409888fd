//! Certificates and keys of files, and which of them a client gets.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use rustls::{
    client::{VerifierBuilderError, verify_server_name},
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem, pem::PemObject as _},
    server::{ClientHello, ParsedCertificate, ResolvesServerCert},
    sign::CertifiedKey,
};

use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

use super::KeyPair;

#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("failed to read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} has no usable {what} in PEM", path.display())]
    Pem {
        path: PathBuf,
        what: &'static str,
        #[source]
        source: pem::Error,
    },
    #[error("{} and {} do not belong together or cannot be used", certificate.display(), key.display())]
    Pair {
        certificate: PathBuf,
        key: PathBuf,
        #[source]
        source: rustls::Error,
    },
    #[error("{} has a certificate that cannot be an authority's", path.display())]
    Authority {
        path: PathBuf,
        #[source]
        source: rustls::Error,
    },
    #[error("the authorities cannot be used")]
    Authorities(#[source] VerifierBuilderError),
    #[error("TLS versions cannot be used")]
    Versions(#[source] rustls::Error),
    #[error("no TLS provider is installed")]
    NoProvider,
}

fn end(certificate: &CertificateDer<'_>) -> Option<SystemTime> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let seconds = u64::try_from(certificate.validity().not_after.timestamp()).ok()?;
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

/// When the first certificate of a file in PEM ends; `None`, when there is none that can be read.
pub fn end_of_file(path: &Path) -> Option<SystemTime> {
    let pem = fs::read(path).ok()?;
    end(&CertificateDer::pem_slice_iter(&pem).next()?.ok()?)
}

/// What files looked like; `None` for one that is not there.
pub(super) type Fingerprint = Vec<Option<(SystemTime, u64)>>;

#[derive(Debug)]
pub(super) struct Certificates {
    pairs: Vec<KeyPair>,
    provider: Arc<CryptoProvider>,
    /// In the order of `pairs`; replaced as a whole.
    in_use: RwLock<Vec<Arc<CertifiedKey>>>,
}

impl Certificates {
    pub(super) fn load(pairs: Vec<KeyPair>, provider: Arc<CryptoProvider>) -> Result<Self, CertificateError> {
        let in_use = RwLock::new(read_all(&pairs, &provider)?);
        Ok(Self { pairs, provider, in_use })
    }

    pub(super) fn reload(&self) -> Result<(), CertificateError> {
        let read = read_all(&self.pairs, &self.provider)?;
        *self.in_use.write().unwrap_or_else(PoisonError::into_inner) = read;
        Ok(())
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        let files = self.pairs.iter().flat_map(|pair| [&pair.certificate, &pair.key]);
        files
            .map(|file| {
                let about = fs::metadata(file).ok()?;
                Some((about.modified().ok()?, about.len()))
            })
            .collect()
    }

    /// When the first of them ends (RFC 5280 4.1.2.5).
    pub(super) fn first_end(&self) -> Option<SystemTime> {
        let in_use = self.in_use.read().unwrap_or_else(PoisonError::into_inner);
        in_use.iter().filter_map(|pair| end(pair.cert.first()?)).min()
    }

    pub(super) fn for_name(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        // Nothing can panic while it is held for writing.
        let in_use = self.in_use.read().unwrap_or_else(PoisonError::into_inner);
        let name = name.and_then(|name| ServerName::try_from(name).ok());
        let named = name.and_then(|name| in_use.iter().find(|pair| is_for(pair, &name)));
        named.or_else(|| in_use.first()).cloned()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.for_name(client_hello.server_name())
    }
}

fn is_for(pair: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let parsed = pair.end_entity_cert().and_then(ParsedCertificate::try_from);
    parsed.is_ok_and(|certificate| verify_server_name(&certificate, name).is_ok())
}

fn read_all(
    pairs: &[KeyPair],
    provider: &CryptoProvider,
) -> Result<Vec<Arc<CertifiedKey>>, CertificateError> {
    pairs.iter().map(|pair| read_pair(pair, provider).map(Arc::new)).collect()
}

fn read_pair(pair: &KeyPair, provider: &CryptoProvider) -> Result<CertifiedKey, CertificateError> {
    let chain = certificates(&pair.certificate, "certificate")?;
    let unusable = |source| CertificateError::Pem { path: pair.key.clone(), what: "private key", source };
    let key = PrivateKeyDer::from_pem_slice(&read(&pair.key)?).map_err(unusable)?;
    CertifiedKey::from_der(chain, key, provider).map_err(|source| CertificateError::Pair {
        certificate: pair.certificate.clone(),
        key: pair.key.clone(),
        source,
    })
}

/// All that the file has, and one at least.
pub(super) fn certificates(
    path: &Path,
    what: &'static str,
) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    all.and_then(|all| if all.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(all) })
        .map_err(|source| CertificateError::Pem { path: path.to_owned(), what, source })
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    fs::read(path).map_err(|source| CertificateError::Read { path: path.to_owned(), source })
}
