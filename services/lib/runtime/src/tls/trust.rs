//! Whom a client trusts.

use std::{path::Path, sync::Arc};

use rustls::{ClientConfig, RootCertStore};

use super::certificates::{CertificateError, certificates};

/// TLS towards servers whose certificate is of one of the authorities in this file. The provider must have
/// been installed.
pub fn trusting(file: &Path) -> Result<Arc<ClientConfig>, CertificateError> {
    let roots = authorities(file)?;
    Ok(Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()))
}

/// The authorities of the system, as its administrator keeps them. There may be none.
pub(crate) fn of_system() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    for error in found.errors {
        tracing::warn!(error = crate::error_chain::chain(&error), "authorities of the system cannot be read");
    }
    let mut roots = RootCertStore::empty();
    let (_, ignored) = roots.add_parsable_certificates(found.certs);
    if ignored > 0 {
        tracing::debug!(ignored, "certificates of the system that are no authority's");
    }
    roots
}

/// Never empty.
pub(crate) fn authorities(file: &Path) -> Result<RootCertStore, CertificateError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file, "certificate of an authority")? {
        roots
            .add(certificate)
            .map_err(|source| CertificateError::Authority { path: file.to_owned(), source })?;
    }
    Ok(roots)
}
