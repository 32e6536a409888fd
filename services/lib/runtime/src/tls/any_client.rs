//! Certificates of clients. Whoever signed it, a certificate is taken when the client proves to have its key: which
//! one it is then says who the client is, and one that nobody names gives nothing. A client is not turned away for
//! the certificate that it happens to have: one with which nothing can be proved counts as none.

use std::sync::Arc;

use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};

use super::client_key::ClientKey;

#[derive(Debug)]
pub(super) struct AnyClient(pub(super) Arc<CryptoProvider>);

impl AnyClient {
    fn key(&self, certificate: &CertificateDer<'_>) -> Option<ClientKey<'_>> {
        ClientKey::of(certificate, &self.0.signature_verification_algorithms)
    }
}

impl ClientCertVerifier for AnyClient {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // Without a key it proves nothing, and is not shown to anybody (`stream.rs`).
        self.key(certificate)
            .map_or_else(|| Ok(HandshakeSignatureValid::assertion()), |key| key.verify_tls12(message, signed))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.key(certificate)
            .map_or_else(|| Ok(HandshakeSignatureValid::assertion()), |key| key.verify_tls13(message, signed))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
