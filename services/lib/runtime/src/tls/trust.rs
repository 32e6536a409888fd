//! Whom a client trusts.

use std::{path::Path, sync::Arc};

use rustls::{ClientConfig, RootCertStore};

use super::certificates::{CertificateError, certificates};

/// TLS towards servers whose certificate is of one of the authorities in this file. The provider must have
/// been installed.
pub fn trusting(authorities: &Path) -> Result<Arc<ClientConfig>, CertificateError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(authorities, "certificate of an authority")? {
        roots
            .add(certificate)
            .map_err(|source| CertificateError::Authority { path: authorities.to_owned(), source })?;
    }
    Ok(Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()))
}
