use std::{fs, path::Path, time::UNIX_EPOCH};

use hikyaku_testkit::certificates::{Authority, Names};
use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    sign::{CertifiedKey, SingleCertAndKey},
};
use tokio::net::{TcpListener, TcpStream};

use super::*;

fn pair(folder: &Path, name: &str, authority: &Authority) -> KeyPair {
    let files = authority.issue(&Names { common: name, dns: &[name], uris: &[] }).unwrap();
    let files = files.write(folder, name).unwrap();
    KeyPair { certificate: files.certificate, key: files.key }
}

fn acceptor(pairs: Vec<KeyPair>) -> Result<TlsAcceptor, CertificateError> {
    acceptor_that_asks(pairs, false)
}

fn acceptor_that_asks(
    pairs: Vec<KeyPair>,
    client_certificates: bool,
) -> Result<TlsAcceptor, CertificateError> {
    crate::crypto::install();
    let handshake_timeout = Duration::from_secs(10);
    TlsAcceptor::new(TlsConfig {
        pairs,
        min_version: TlsVersion::Tls12,
        handshake_timeout,
        client_certificates,
    })
}

fn leaf(found: Option<Arc<CertifiedKey>>) -> Vec<u8> {
    found.unwrap().cert[0].to_vec()
}

#[test]
fn a_client_gets_the_certificate_of_the_host_that_it_names() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("authority").unwrap();
    let names = ["gw.test", "mail.other.test"];
    let acceptor = acceptor(names.map(|name| pair(folder.path(), name, &authority)).into()).unwrap();
    let for_name = |name| leaf(acceptor.certificates.for_name(name));
    assert_ne!(for_name(Some("gw.test")), for_name(Some("mail.other.test")));
    for name in [None, Some("unknown.test"), Some("not a name"), Some("192.0.2.1")] {
        assert_eq!(for_name(name), for_name(Some("gw.test")), "{name:?}");
    }
}

#[test]
fn what_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("authority").unwrap();
    let (one, two) =
        (pair(folder.path(), "one.test", &authority), pair(folder.path(), "two.test", &authority));
    let empty = folder.path().join("empty.pem");
    fs::write(&empty, "").unwrap();
    for (pair, said) in [
        (KeyPair { key: two.key.clone(), ..one.clone() }, "one.test.crt"),
        (KeyPair { key: folder.path().join("missing.key"), ..one.clone() }, "missing.key"),
        (KeyPair { certificate: empty.clone(), ..one.clone() }, "empty.pem has no usable certificate"),
        (KeyPair { key: one.certificate.clone(), ..one.clone() }, "no usable private key"),
    ] {
        let error = acceptor(vec![two.clone(), pair]).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn a_new_certificate_takes_the_place_of_the_old_one_unless_it_is_bad() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("authority").unwrap();
    let files = pair(folder.path(), "gw.test", &authority);
    let acceptor = acceptor(vec![files.clone()]).unwrap();
    let in_use = || leaf(acceptor.certificates.for_name(None));
    let (first, seen) = (in_use(), acceptor.certificates.fingerprint());
    assert!(acceptor.certificates.first_end().is_some_and(|end| end > SystemTime::now()));

    fs::write(&files.key, "not a key").unwrap();
    assert_ne!(acceptor.certificates.fingerprint(), seen);
    assert!(acceptor.certificates.reload().is_err());
    assert_eq!(in_use(), first);

    pair(folder.path(), "gw.test", &authority);
    acceptor.certificates.reload().unwrap();
    assert_ne!(in_use(), first);

    let before = acceptor.certificates.fingerprint();
    fs::File::open(&files.key).unwrap().set_modified(UNIX_EPOCH).unwrap();
    assert_ne!(acceptor.certificates.fingerprint(), before, "the same length at another time");
}

/// A certificate is public: only who has its key has shown it.
#[tokio::test]
async fn a_certificate_without_its_key_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("authority").unwrap();
    authority.write(&folder.path().join("trusted.pem")).unwrap();
    let names = ["gw.test", "client.test", "thief.test"];
    let [server, client, thief] = names.map(|name| pair(folder.path(), name, &authority));
    let acceptor = acceptor_that_asks(vec![server], true).unwrap();
    let provider = CryptoProvider::get_default().unwrap();
    for version in [&version::TLS12, &version::TLS13] {
        for (key, is_own) in [(&client.key, true), (&thief.key, false)] {
            let chain = vec![CertificateDer::from_pem_file(&client.certificate).unwrap()];
            let key =
                provider.key_provider.load_private_key(PrivateKeyDer::from_pem_file(key).unwrap()).unwrap();
            let shown = SingleCertAndKey::from(CertifiedKey::new(chain, key));
            let stream = handshake(&acceptor, folder.path(), version, shown).await;
            assert_eq!(stream.is_ok(), is_own, "{version:?}");
            assert!(stream.is_err() || stream.unwrap().client_certificate().is_some());
        }
    }
}

async fn handshake(
    acceptor: &TlsAcceptor,
    folder: &Path,
    version: &'static SupportedProtocolVersion,
    shown: SingleCertAndKey,
) -> Result<ServerStream, HandshakeError> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.join("trusted.pem")).unwrap()).unwrap();
    let config = ClientConfig::builder_with_protocol_versions(&[version])
        .with_root_certificates(roots)
        .with_client_cert_resolver(Arc::new(shown));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (far, _) = listener.accept().await.unwrap();
    let name = ServerName::try_from("gw.test").unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let (_, secured) = tokio::join!(connector.connect(name, near), ServerStream::Plain(far).secure(acceptor));
    secured
}
