//! RFC 8461 over real DNS, TLS and HTTP.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;

use hikyaku_route::{
    resolver::{Dnssec, Resolver, ResolverSettings},
    sts::{FetchError, PolicyError, PolicyFetcher, StsMode},
};
use hikyaku_testkit::{
    certificates::{Authority, Names},
    dns::DnsServer,
};
use hikyaku_types::domain::Domain;
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

const POLICY: &str = "version: STSv1\nmode: enforce\nmx: mx.own.test\nmax_age: 86400\n";

fn name(text: &str) -> Domain {
    text.parse().unwrap()
}

/// A server that says this to everybody, with a certificate for `certified`.
async fn web(authority: &Authority, certified: &str, answer: String) -> u16 {
    let folder = tempfile::tempdir().unwrap();
    let pair = authority.issue(&Names { common: certified, dns: &[certified], uris: &[] }).unwrap();
    let files = pair.write(folder.path(), "web").unwrap();
    let chain = CertificateDer::pem_file_iter(files.certificate).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(files.key).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // A client that does not like the certificate leaves.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = [0; 4_096];
            let length = stream.read(&mut request).await.unwrap();
            let asked = String::from_utf8_lossy(&request[..length]).into_owned();
            assert!(asked.starts_with("GET /.well-known/mta-sts.txt HTTP/1.1\r\n"), "{asked}");
            let _ = stream.write_all(answer.as_bytes()).await; // it may have enough already
            let _ = stream.shutdown().await;
        }
    });
    port
}

fn answer(head: &str, body: &str) -> String {
    format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

fn trusting(authority: &Authority) -> ClientConfig {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trusted.pem");
    authority.write(&path).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(path).unwrap()).unwrap();
    ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

struct World {
    dns: DnsServer,
    authority: Authority,
}

impl World {
    async fn new() -> Self {
        let (dns, authority) = (DnsServer::start().await.unwrap(), Authority::new("everybody's").unwrap());
        dns.address_of("mta-sts.own.test", [127, 0, 0, 1].into());
        Self { dns, authority }
    }

    fn resolver(&self) -> Resolver {
        let servers = vec![self.dns.address()];
        Resolver::new(ResolverSettings { servers, own_name: name("gw.test"), dnssec: Dnssec::Off }).unwrap()
    }

    /// What is fetched from a server with this certificate that says this.
    async fn fetched(&self, certified: &str, answer: String) -> Result<StsMode, FetchError> {
        let port = web(&self.authority, certified, answer).await;
        let fetcher = PolicyFetcher::new(trusting(&self.authority), self.resolver(), port).unwrap();
        fetcher.fetch(&name("own.test")).await.map(|(policy, text)| {
            assert_eq!(text, POLICY);
            policy.mode
        })
    }
}

#[tokio::test]
async fn a_policy_comes_from_its_own_host_only() {
    let world = World::new().await;
    let own = "mta-sts.own.test";
    let plain = "200 OK\r\nContent-Type: text/plain; charset=utf-8";
    assert_eq!(world.fetched(own, answer(plain, POLICY)).await.unwrap(), StsMode::Enforce);

    let refused = async |certified, answer| world.fetched(certified, answer).await.unwrap_err();
    let error = refused(own, answer("404 Not Found\r\nContent-Type: text/plain", POLICY)).await;
    assert!(matches!(error, FetchError::Status(_)), "{error}");
    // RFC 8461 3.3: redirects must not be followed.
    let moved = format!("301 Moved\r\nContent-Type: text/plain\r\nLocation: https://{own}/policy");
    assert!(matches!(refused(own, answer(&moved, POLICY)).await, FetchError::Status(_)));
    assert!(matches!(
        refused(own, answer("200 OK\r\nContent-Type: text/html", POLICY)).await,
        FetchError::Kind
    ));
    let long = format!("{POLICY}{}", "x: y\n".repeat(20_000));
    assert!(matches!(refused(own, answer(plain, &long)).await, FetchError::Text));
    let error = refused(own, answer(plain, "version: STSv2")).await;
    assert!(matches!(error, FetchError::Policy(PolicyError::Version)), "{error}");
    assert!(
        matches!(refused("own.test", answer(plain, POLICY)).await, FetchError::Http(_)),
        "another's certificate"
    );
    let stranger = Authority::new("nobody's").unwrap();
    let port = web(&stranger, own, answer(plain, POLICY)).await;
    let fetcher = PolicyFetcher::new(trusting(&world.authority), world.resolver(), port).unwrap();
    assert!(
        matches!(fetcher.fetch(&name("own.test")).await, Err(FetchError::Http(_))),
        "nobody's certificate"
    );
    assert!(fetcher.fetch(&name("without.test")).await.is_err());
}

#[tokio::test]
async fn the_record_says_whether_there_is_a_policy() {
    let world = World::new().await;
    world.dns.text("_mta-sts.own.test", "v=STSv1; id=1;");
    world.dns.fails("_mta-sts.broken.test");
    let resolver = world.resolver();
    assert_eq!(resolver.sts_id(&name("own.test")).await.unwrap().as_deref(), Some("1"));
    assert_eq!(resolver.sts_id(&name("other.test")).await.unwrap(), None);
    assert!(resolver.sts_id(&name("broken.test")).await.is_err());
}
