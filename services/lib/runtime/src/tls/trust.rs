//! Whom a client trusts.

use std::{path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem, pem::PemObject as _},
};

use super::certificates::{CertificateError, read};

/// TLS towards servers whose certificate is of one of the authorities in this file. The provider must have
/// been installed.
pub fn trusting(authorities: &Path) -> Result<Arc<ClientConfig>, CertificateError> {
    let unusable = |source| CertificateError::Pem {
        path: authorities.to_owned(),
        what: "certificate of an authority",
        source,
    };
    let text = read(authorities)?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(unusable)?;
        roots
            .add(certificate)
            .map_err(|source| CertificateError::Authority { path: authorities.to_owned(), source })?;
    }
    if roots.is_empty() {
        return Err(unusable(pem::Error::NoItemsFound));
    }
    Ok(Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()))
}
