//! The one TLS provider of the process.

/// Installs aws-lc-rs as the default provider. A second call changes nothing.
pub fn install() {
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        tracing::debug!("a TLS provider was installed before");
    }
}
