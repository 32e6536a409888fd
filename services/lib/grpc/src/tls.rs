//! PEM files -> rustls. Our processes speak TLS 1.3 with each other, and HTTP/2 over it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
    version::TLS13,
};

use crate::follow::{FileError, Followed};

const HTTP2: &[u8] = b"h2";

/// Files in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate, followed by those between it and the authority.
    pub certificate: PathBuf,
    pub key: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTls {
    pub identity: Identity,
    /// Who does not show a certificate of one of these authorities has no connection.
    pub client_ca: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientTls {
    /// Authorities that may have issued the server's certificate.
    pub ca: PathBuf,
    /// What is shown to the server.
    pub identity: Option<Identity>,
    /// The name that the server's certificate must have; otherwise the one that is connected to.
    pub server_name: Option<String>,
}

pub(crate) fn server(tls: &ServerTls) -> Result<Followed<ServerConfig>, FileError> {
    let mut files = vec![tls.identity.certificate.clone(), tls.identity.key.clone()];
    files.extend(tls.client_ca.clone());
    let tls = tls.clone();
    Followed::start(files, move |contents| server_config(&tls, contents))
}

fn server_config(tls: &ServerTls, contents: &[Vec<u8>]) -> Result<ServerConfig, FileError> {
    let [certificate, key, client_ca @ ..] = contents else { return Err(incomplete(&tls.identity)) };
    let verifier = match (&tls.client_ca, client_ca.first()) {
        (Some(path), Some(content)) => {
            let roots = Arc::new(roots(path, content)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider()).build();
            verifier.map_err(|error| FileError::content(path, error))?
        }
        (_, _) => WebPkiClientVerifier::no_client_auth(),
    };
    let (chain, private) = identity(&tls.identity, certificate, key)?;
    let mismatch = |error| FileError::content(&tls.identity.key, error);
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(mismatch)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, private)
        .map_err(mismatch)?;
    config.alpn_protocols = vec![HTTP2.to_vec()];
    Ok(config)
}

pub(crate) fn client(tls: &ClientTls) -> Result<Followed<ClientConfig>, FileError> {
    let mut files = vec![tls.ca.clone()];
    files.extend(
        tls.identity.iter().flat_map(|identity| [identity.certificate.clone(), identity.key.clone()]),
    );
    let tls = tls.clone();
    Followed::start(files, move |contents| client_config(&tls, contents))
}

fn client_config(tls: &ClientTls, contents: &[Vec<u8>]) -> Result<ClientConfig, FileError> {
    let ca = contents.first().map(Vec::as_slice).unwrap_or_default();
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| FileError::content(&tls.ca, error))?
        .with_root_certificates(roots(&tls.ca, ca)?);
    let mut config = match &tls.identity {
        None => config.with_no_client_auth(),
        Some(files) => {
            let [_, certificate, key] = contents else { return Err(incomplete(files)) };
            let (chain, private) = identity(files, certificate, key)?;
            let mismatch = |error| FileError::content(&files.key, error);
            config.with_client_auth_cert(chain, private).map_err(mismatch)?
        }
    };
    config.alpn_protocols = vec![HTTP2.to_vec()];
    Ok(config)
}

/// Not the default of the process: hikyakuctl installs none.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn incomplete(identity: &Identity) -> FileError {
    FileError::content(&identity.certificate, "no certificate or no key")
}

fn roots(path: &Path, content: &[u8]) -> Result<RootCertStore, FileError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, content)? {
        roots.add(certificate).map_err(|error| FileError::content(path, error))?;
    }
    Ok(roots)
}

fn identity(
    files: &Identity,
    certificate: &[u8],
    key: &[u8],
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), FileError> {
    let chain = certificates(&files.certificate, certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|error| FileError::content(&files.key, format!("no private key in PEM: {error}")))?;
    Ok((chain, key))
}

fn certificates(path: &Path, content: &[u8]) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(content).collect();
    let all = all.map_err(|error| FileError::content(path, error))?;
    if all.is_empty() { Err(FileError::content(path, "no certificate in PEM")) } else { Ok(all) }
}
