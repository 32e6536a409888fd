//! A certificate that the DNS has named (RFC 7672 3). Whoever signed it does not matter for DANE-EE; for
//! DANE-TA the authority is one that the server shows or the record carries.

use std::{fmt, sync::Arc};

use hikyaku_types::tlsa::{TlsaData, TlsaRecord, TlsaSelector, TlsaUsage};
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};
use sha2::{Digest as _, Sha256, Sha512};

#[derive(thiserror::Error)]
#[error("the certificate fits none of the host's TLSA records")]
struct NoneFits;

/// What rustls shows of a reason that is not its own.
impl fmt::Debug for NoneFits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[derive(Debug)]
pub(super) struct DaneVerifier {
    records: Arc<[TlsaRecord]>,
    /// Beside the host's own name: that of the domain whose mail it takes (RFC 7672 3.2.2).
    domain: Option<ServerName<'static>>,
    provider: Arc<CryptoProvider>,
}

impl DaneVerifier {
    pub(super) fn new(
        records: Arc<[TlsaRecord]>,
        domain: Option<ServerName<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Self {
        Self { records, domain, provider }
    }

    /// RFC 7672 3.1.2: an authority among what the server shows, or in the record.
    fn is_of_authority(
        &self,
        record: &TlsaRecord,
        own: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> bool {
        let mut roots = RootCertStore::empty();
        for shown in between.iter().chain([own]).filter(|shown| fits(record, shown)) {
            // One that cannot be an authority is none.
            let _ = roots.add(shown.clone().into_owned());
        }
        if let (TlsaSelector::Certificate, TlsaData::Whole(octets)) = (record.selector, &record.data) {
            let _ = roots.add(CertificateDer::from(octets.clone()));
        }
        if roots.is_empty() {
            return false;
        }
        let provider = Arc::clone(&self.provider);
        let Ok(verifier) = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build()
        else {
            return false;
        };
        let names = [Some(name), self.domain.as_ref()];
        names
            .into_iter()
            .flatten()
            .any(|name| verifier.verify_server_cert(own, between, name, &[], now).is_ok())
    }
}

fn fits(record: &TlsaRecord, certificate: &CertificateDer<'_>) -> bool {
    let key;
    let selected: &[u8] = match record.selector {
        TlsaSelector::Certificate => certificate,
        TlsaSelector::PublicKey => {
            let Ok(parsed) = ParsedCertificate::try_from(certificate) else { return false };
            key = parsed.subject_public_key_info();
            &key
        }
    };
    match &record.data {
        TlsaData::Whole(octets) => selected == octets,
        TlsaData::Sha256(digest) => Sha256::digest(selected)[..] == digest[..],
        TlsaData::Sha512(digest) => Sha512::digest(selected)[..] == digest[..],
    }
}

impl ServerCertVerifier for DaneVerifier {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let is_named = self.records.iter().any(|record| match record.usage {
            TlsaUsage::DaneEe => fits(record, own),
            TlsaUsage::DaneTa => self.is_of_authority(record, own, between, name, now),
        });
        if is_named {
            return Ok(ServerCertVerified::assertion());
        }
        let reason = OtherError(Arc::new(NoneFits));
        Err(Error::InvalidCertificate(CertificateError::Other(reason)))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
