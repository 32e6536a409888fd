use std::{fs, path::Path, time::UNIX_EPOCH};

use hikyaku_testkit::certificates::{Authority, Names};
use rustls::sign::CertifiedKey;

use super::*;

fn pair(folder: &Path, name: &str, authority: &Authority) -> KeyPair {
    let files = authority.issue(&Names { common: name, dns: &[name], uris: &[] }).unwrap();
    let files = files.write(folder, name).unwrap();
    KeyPair { certificate: files.certificate, key: files.key }
}

fn acceptor(pairs: Vec<KeyPair>) -> Result<TlsAcceptor, CertificateError> {
    crate::crypto::install();
    let handshake_timeout = Duration::from_secs(10);
    TlsAcceptor::new(TlsConfig {
        pairs,
        min_version: TlsVersion::Tls12,
        handshake_timeout,
        client_certificates: false,
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
