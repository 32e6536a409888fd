//! What the DNS says of a name, asked of a real server.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::net::{IpAddr, Ipv4Addr};

use hikyaku_route::{
    plan::RouteError,
    resolver::{Dnssec, Resolver, ResolverSettings},
};
use hikyaku_testkit::{
    dns::DnsServer,
    liar::{Liar, Lie},
};
use hikyaku_types::{destination::HostName, domain::Domain};

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

/// A domain without MX whose A records cannot be had has an address for all that anybody knows.
#[tokio::test]
async fn half_an_answer_is_none() {
    let dns = DnsServer::start().await.unwrap();
    dns.address_of("own.test", ADDRESS.into());
    let fails = |kind| Lie { is_failure: true, ..Lie::nothing("own.test", kind) };
    let hosts = async |lies| {
        let liar = Liar::before(dns.address(), lies).await.unwrap();
        let settings =
            ResolverSettings { servers: vec![liar.address], own_name: name("gw.test"), dnssec: Dnssec::Off };
        let resolver = Resolver::new(settings).unwrap();
        let addresses = resolver.addresses(&HostName::Name(name("own.test"))).await;
        let with_ttl = resolver.addresses_with_ttl(&HostName::Name(name("own.test"))).await;
        assert_eq!(with_ttl.map(|(addresses, _)| addresses), addresses);
        (addresses, resolver.host_addresses(&name("own.test")).await.is_ok())
    };
    let found = Ok(vec![IpAddr::from(ADDRESS)]);
    assert_eq!(hosts(Vec::new()).await, (found.clone(), true));
    assert_eq!(hosts(vec![fails("AAAA")]).await, (found, true));
    let (addresses, is_known) = hosts(vec![fails("A")]).await;
    assert!(matches!(addresses, Err(RouteError::TryAgain(_))), "{addresses:?}");
    assert!(!is_known);
    let none = hosts(vec![Lie::nothing("own.test", "A")]).await;
    assert_eq!(none, (Err(RouteError::NoAddress), true));
}
