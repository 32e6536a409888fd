//! RFC 8461 over real DNS, TLS and HTTP.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;

use hikyaku_route::{
    resolver::{Dnssec, Resolver, ResolverSettings},
    sts::{FetchError, PolicyError, PolicyFetcher, StsMode},
};
use hikyaku_testkit::{certificates::Authority, dns::DnsServer, web::WebServer};
use hikyaku_types::domain::Domain;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject as _},
};

const OWN: &str = "mta-sts.own.test";
const POLICY: &str = "version: STSv1\nmode: enforce\nmx: mx.own.test\nmax_age: 86400\n";

fn name(text: &str) -> Domain {
    text.parse().unwrap()
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
        dns.address_of(OWN, [127, 0, 0, 1].into());
        Self { dns, authority }
    }

    fn resolver(&self) -> Resolver {
        let servers = vec![self.dns.address()];
        Resolver::new(ResolverSettings { servers, own_name: name("gw.test"), dnssec: Dnssec::Off }).unwrap()
    }

    async fn fetcher(
        &self,
        issuer: &Authority,
        certified: &str,
        (head, body): (&str, &str),
    ) -> PolicyFetcher {
        let server = WebServer::start(issuer, &[certified]).await.unwrap();
        server.says(OWN, head, body);
        PolicyFetcher::new(trusting(&self.authority), self.resolver(), server.port).unwrap()
    }

    /// What is fetched from a server with this certificate that says this.
    async fn fetched(&self, certified: &str, answer: (&str, &str)) -> Result<StsMode, FetchError> {
        let fetcher = self.fetcher(&self.authority, certified, answer).await;
        fetcher.fetch(&name("own.test")).await.map(|(policy, text)| {
            assert_eq!(text, POLICY);
            policy.mode
        })
    }
}

#[tokio::test]
async fn a_policy_comes_from_its_own_host_only() {
    let world = World::new().await;
    let plain = "200 OK\r\nContent-Type: text/plain; charset=utf-8";
    assert_eq!(world.fetched(OWN, (plain, POLICY)).await.unwrap(), StsMode::Enforce);

    let refused = async |certified, head, body| world.fetched(certified, (head, body)).await.unwrap_err();
    let error = refused(OWN, "404 Not Found\r\nContent-Type: text/plain", POLICY).await;
    assert!(matches!(error, FetchError::Status(_)), "{error}");
    // RFC 8461 3.3: redirects must not be followed.
    let moved = format!("301 Moved\r\nContent-Type: text/plain\r\nLocation: https://{OWN}/policy");
    assert!(matches!(refused(OWN, &moved, POLICY).await, FetchError::Status(_)));
    assert!(matches!(refused(OWN, "200 OK\r\nContent-Type: text/html", POLICY).await, FetchError::Kind));
    let long = format!("{POLICY}{}", "x: y\n".repeat(20_000));
    assert!(matches!(refused(OWN, plain, &long).await, FetchError::Text));
    let error = refused(OWN, plain, "version: STSv2").await;
    assert!(matches!(error, FetchError::Policy(PolicyError::Version)), "{error}");
    assert!(matches!(refused("own.test", plain, POLICY).await, FetchError::Http(_)), "another's certificate");
    let stranger = Authority::new("nobody's").unwrap();
    let fetcher = world.fetcher(&stranger, OWN, (plain, POLICY)).await;
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
