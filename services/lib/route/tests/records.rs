//! What the DNS says of a name, asked of a real server.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::net::{IpAddr, Ipv4Addr};

use hikyaku_route::{
    plan::RouteError,
    resolver::{Dnssec, Resolver, ResolverSettings},
};
use hikyaku_testkit::dns::DnsServer;
use hikyaku_types::domain::Domain;

const ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 11);

fn name(text: &str) -> Domain {
    text.parse().unwrap()
}

#[tokio::test]
async fn seed_222_records_as_they_stand_there() {
    let dns = DnsServer::start().await.unwrap();
    dns.mx("own.test", 20, "spare.test");
    dns.mx("own.test", 10, "gw.test");
    dns.text("own.test", "v=spf1 mx -all");
    dns.address_of("gw.test", ADDRESS.into());
    dns.name_of(ADDRESS, "gw.test");
    dns.mx("null.test", 0, ".");
    dns.mx("numbers.test", 10, "192.0.2.1");
    dns.fails("broken.test");
    let settings =
        ResolverSettings { servers: vec![dns.address()], own_name: name("gw.test"), dnssec: Dnssec::Off };
    let resolver = Resolver::new(settings).unwrap();
    // Ourselves too, which mail is not sent to.
    assert_eq!(
        resolver.mx(&name("own.test")).await.unwrap(),
        [Some(name("gw.test")), Some(name("spare.test"))]
    );
    assert_eq!(resolver.mx(&name("null.test")).await.unwrap(), [None]);
    // An address is no host, and not the null MX, which says that there is no mail.
    assert_eq!(resolver.mx(&name("numbers.test")).await.unwrap(), []);
    let hosts = resolver.hosts(&"numbers.test".parse().unwrap()).await;
    assert_eq!(hosts, Err(RouteError::NoAddress));
    let hosts = resolver.hosts(&"null.test".parse().unwrap()).await;
    assert_eq!(hosts, Err(RouteError::NullMx));
    assert_eq!(resolver.texts(&name("own.test")).await.unwrap(), ["v=spf1 mx -all"]);
    assert_eq!(resolver.host_addresses(&name("gw.test")).await.unwrap(), [IpAddr::from(ADDRESS)]);
    assert_eq!(resolver.names(ADDRESS.into()).await.unwrap(), [name("gw.test")]);
    // No record is an answer, and no answer is none.
    assert_eq!(resolver.names([198, 51, 100, 12].into()).await.unwrap(), []);
    assert_eq!(resolver.mx(&name("nowhere.test")).await.unwrap(), []);
    assert_eq!(resolver.texts(&name("gw.test")).await.unwrap(), Vec::<String>::new());
    assert!(resolver.mx(&name("broken.test")).await.is_err());

    // What was mended is seen at once by one that asks afresh.
    dns.text("gw.test", "v=spf1 -all");
    assert_eq!(resolver.afresh().unwrap().texts(&name("gw.test")).await.unwrap(), ["v=spf1 -all"]);
}
