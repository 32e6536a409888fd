use std::path::Path;

use hikyaku_testkit::certificates::{Authority, Names};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use hikyaku_types::tlsa::{TlsaData, TlsaSelector, TlsaUsage};
use rustls::{pki_types::pem::PemObject as _, server::ParsedCertificate};
use sha2::{Digest as _, Sha256, Sha512};

use super::*;
use crate::{
    error_chain::chain,
    tls::{KeyPair, ServerStream, TlsAcceptor, TlsConfig},
};

const LIMIT: Duration = Duration::from_secs(10);

struct Lab {
    folder: tempfile::TempDir,
    trusted: Authority,
    other: Authority,
}

impl Lab {
    fn new() -> Self {
        crate::crypto::install();
        let folder = tempfile::tempdir().unwrap();
        let (trusted, other) = (Authority::new("trusted").unwrap(), Authority::new("other").unwrap());
        trusted.write(&folder.path().join("trusted.pem")).unwrap();
        Self { folder, trusted, other }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A server that says what it hears, with a certificate for `name`.
    async fn server(&self, authority: &Authority, name: &str) -> std::net::SocketAddr {
        let pair = authority.issue(&Names { common: name, dns: &[name], uris: &[] }).unwrap();
        let files = pair.write(self.path(), &name.replace(':', "_")).unwrap();
        let pairs = vec![KeyPair { certificate: files.certificate, key: files.key }];
        let config = TlsConfig {
            pairs,
            min_version: TlsVersion::Tls12,
            handshake_timeout: LIMIT,
            client_certificates: false,
        };
        let acceptor = TlsAcceptor::new(config).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(mut stream) = ServerStream::Plain(stream).secure(&acceptor).await else { return };
                    let mut octets = [0; 5];
                    if stream.read_exact(&mut octets).await.is_ok() {
                        let _ = stream.write_all(&octets).await;
                    }
                });
            }
        });
        address
    }

    fn connector(&self, ca: &str, handshake_timeout: Duration) -> TlsConnector {
        let ca = Some(self.path().join(ca));
        TlsConnector::new(&TlsClientConfig { ca, min_version: TlsVersion::Tls12, handshake_timeout }).unwrap()
    }
}

/// Handshake and echo; what the handshake says, or why it failed.
async fn talk(
    connector: &TlsConnector,
    address: std::net::SocketAddr,
    host: &str,
    trust: Trust,
) -> Result<Secured, String> {
    let stream = ClientStream::Plain(TcpStream::connect(address).await.unwrap());
    let (mut stream, secured) =
        connector.secure(stream, host, &trust).await.map_err(|error| chain(&error))?;
    stream.write_all(b"hello").await.unwrap();
    stream.flush().await.unwrap();
    let mut octets = Vec::new();
    // The server ends without saying so.
    let _ = stream.read_to_end(&mut octets).await;
    assert_eq!(octets, b"hello");
    Ok(secured)
}

/// SEED-157: whether the certificate is good is known for both trusts, and decides for one of them.
#[tokio::test]
async fn seed_157_only_a_good_certificate_is_verified() {
    let lab = Lab::new();
    let connector = lab.connector("trusted.pem", LIMIT);
    let good = lab.server(&lab.trusted, "mx.test").await;
    let of_other = lab.server(&lab.other, "other.test").await;
    let by_address = lab.server(&lab.trusted, "127.0.0.1").await;
    for (server, host, is_good) in [
        (good, "mx.test", true),
        (good, "wrong.test", false),
        (good, "127.0.0.1", false),
        (of_other, "other.test", false),
        (by_address, "127.0.0.1", true),
    ] {
        for _again in 0..2 {
            let any = talk(&connector, server, host, Trust::Any).await.unwrap();
            assert_eq!((any.version, any.is_verified), ("1.3", is_good), "{host}");
            assert!(any.cipher.starts_with("TLS13_"), "{}", any.cipher);
            // A session of the other trust is not taken up again for this one.
            match talk(&connector, server, host, Trust::Verified).await {
                Ok(secured) => assert!(is_good && secured.is_verified, "{host}"),
                Err(reason) => assert!(!is_good && reason.contains("certificate"), "{host}: {reason}"),
            }
        }
    }
}

#[tokio::test]
async fn what_is_no_tls_fails_in_time() {
    let lab = Lab::new();
    let connector = lab.connector("trusted.pem", Duration::from_millis(100));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let silent = talk(&connector, address, "mx.test", Trust::Any).await.unwrap_err();
    assert!(silent.starts_with("the handshake took longer than"), "{silent}");
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"500 what is this?\r\n").await;
            held.push(stream);
        }
    });
    let garbage = talk(&connector, address, "mx.test", Trust::Any).await.unwrap_err();
    assert!(garbage.starts_with("the handshake failed: "), "{garbage}");
    let name = talk(&connector, address, "no name", Trust::Any).await.unwrap_err();
    assert!(name.contains("no name"), "{name}");
}

#[test]
fn authorities_that_cannot_be_used_are_named() {
    let lab = Lab::new();
    let ca = lab.path().join("missing.pem");
    let config = TlsClientConfig { ca: Some(ca), min_version: TlsVersion::Tls13, handshake_timeout: LIMIT };
    let error = TlsConnector::new(&config).unwrap_err();
    assert!(error.to_string().contains("missing.pem"), "{error}");
    let system = TlsClientConfig { ca: None, ..config };
    assert!(TlsConnector::new(&system).is_ok(), "those of the system, if there are any");
}

/// Without authorities nothing is verified, and mail that does not ask for it still flows.
#[tokio::test]
async fn without_authorities_no_certificate_is_good() {
    let lab = Lab::new();
    let mut connector = lab.connector("trusted.pem", LIMIT);
    connector.authorities = None;
    connector.verified = None;
    let server = lab.server(&lab.trusted, "mx.test").await;
    assert!(!talk(&connector, server, "mx.test", Trust::Any).await.unwrap().is_verified);
    let refused = talk(&connector, server, "mx.test", Trust::Verified).await.unwrap_err();
    assert_eq!(refused, "no authority is trusted here");
}

/// RFC 7672 3: by the DNS, whoever signed it; of an authority that the server shows only for the right name.
#[tokio::test]
async fn a_certificate_that_the_dns_has_named() {
    let lab = Lab::new();
    let connector = lab.connector("trusted.pem", LIMIT);
    let server = lab.server(&lab.other, "mx.test").await;
    let pem = std::fs::read(lab.path().join("mx.test.crt")).unwrap();
    let own = CertificateDer::from_pem_slice(&pem).unwrap();
    let key = ParsedCertificate::try_from(&own).unwrap().subject_public_key_info();
    lab.other.write(&lab.path().join("other.pem")).unwrap();
    let authority = std::fs::read(lab.path().join("other.pem")).unwrap();
    let authority = CertificateDer::from_pem_slice(&authority).unwrap();

    let (whole, public) = (TlsaSelector::Certificate, TlsaSelector::PublicKey);
    let (sha256, sha512) = (
        |octets: &[u8]| TlsaData::Sha256(Sha256::digest(octets).into()),
        |octets: &[u8]| TlsaData::Sha512(Sha512::digest(octets).into()),
    );
    let raw = |octets: &[u8]| TlsaData::Whole(octets.to_vec());
    let (ee, ta) = (TlsaUsage::DaneEe, TlsaUsage::DaneTa);
    for (host, domain, usage, selector, data, fits) in [
        ("mx.test", None, ee, whole, sha256(&own), true),
        ("mx.test", None, ee, whole, sha512(&own), true),
        ("mx.test", None, ee, whole, raw(&own), true),
        ("mx.test", None, ee, public, sha256(&key), true),
        // Its name does not count, its key does.
        ("wrong.test", None, ee, public, sha256(&key), true),
        ("mx.test", None, ee, public, sha256(&own), false),
        ("mx.test", None, ee, whole, sha256(&authority), false),
        // The authority is in the record; the server does not show it.
        ("mx.test", None, ta, whole, raw(&authority), true),
        ("wrong.test", None, ta, whole, raw(&authority), false),
        ("wrong.test", Some("mx.test"), ta, whole, raw(&authority), true),
        ("mx.test", None, ta, whole, sha256(&authority), false),
    ] {
        let records = [TlsaRecord { usage, selector, data }];
        let domain = domain.map(|domain| domain.parse().unwrap());
        let trust = Trust::Dane(DaneTrust { records: Arc::new(records), domain });
        let said = talk(&connector, server, host, trust.clone()).await;
        assert_eq!(said.is_ok(), fits, "{host} {trust:?}: {said:?}");
        match said {
            Ok(secured) => assert!(secured.is_verified),
            Err(reason) => assert!(reason.contains("fits none of the host's TLSA records"), "{reason}"),
        }
    }
}
