//! The key of a client's certificate. What checks chains reads fewer certificates than clients have (none of
//! version 1, none with a critical extension that it does not know), and of a client's only the key matters.

use rustls::{
    CertificateError, DigitallySignedStruct, Error, PeerMisbehaved,
    client::danger::HandshakeSignatureValid,
    crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key},
    pki_types::{CertificateDer, SubjectPublicKeyInfoDer},
};
use x509_parser::{
    asn1_rs::Sequence, certificate::X509Certificate, prelude::FromDer as _, public_key::PublicKey,
};

/// Bits of RSA whose signatures are verified.
const SHORTEST_RSA: usize = 2048;
const LONGEST_RSA: usize = 8192;

pub(super) struct ClientKey<'a> {
    algorithms: &'a WebPkiSupportedAlgorithms,
    info: SubjectPublicKeyInfoDer<'static>,
    /// As the algorithms name it: without tag and length.
    kind: Vec<u8>,
    octets: Vec<u8>,
}

impl<'a> ClientKey<'a> {
    /// `None`: nobody can prove to have it, because the certificate cannot be read, or its key is of a kind or length
    /// that is not verified here.
    pub(super) fn of(
        certificate: &CertificateDer<'_>,
        algorithms: &'a WebPkiSupportedAlgorithms,
    ) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        let info = certificate.public_key();
        if let Ok(PublicKey::RSA(rsa)) = info.parsed()
            && !(SHORTEST_RSA..=LONGEST_RSA).contains(&rsa.key_size())
        {
            return None;
        }
        let (_, fields) = Sequence::from_der(info.raw).ok()?;
        let (_, kind) = Sequence::from_der(&fields.content).ok()?;
        let is_verified =
            algorithms.all.iter().any(|algorithm| algorithm.public_key_alg_id().as_ref() == &*kind.content);
        is_verified.then(|| Self {
            algorithms,
            info: info.raw.to_vec().into(),
            kind: kind.content.to_vec(),
            octets: info.subject_public_key.data.to_vec(),
        })
    }

    pub(super) fn verify_tls12(
        &self,
        message: &[u8],
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = self.algorithms.mapping.iter().find(|(scheme, _)| *scheme == signed.scheme);
        let (_, algorithms) = known.ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
        // A scheme of TLS 1.2 does not say the curve.
        let mut fitting =
            algorithms.iter().filter(|algorithm| *algorithm.public_key_alg_id() == *self.kind.as_slice());
        let is_good = fitting
            .any(|algorithm| algorithm.verify_signature(&self.octets, message, signed.signature()).is_ok());
        if is_good {
            Ok(HandshakeSignatureValid::assertion())
        } else {
            Err(CertificateError::BadSignature.into())
        }
    }

    pub(super) fn verify_tls13(
        &self,
        message: &[u8],
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature_with_raw_key(message, &self.info, signed, self.algorithms)
    }
}
