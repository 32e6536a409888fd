//! RFC 7672: a host is held to records that DNSSEC proves, and to nothing else. Zones of a real nsd.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "what is skipped is said")]

use std::sync::Arc;

use hikyaku_route::{
    dane::Dane,
    plan::RouteError,
    resolver::{Dnssec, Resolver, ResolverSettings},
};
use hikyaku_testkit::{
    liar::{self, Liar, Lie},
    nsd::{Nsd, Zone, ZoneState},
};
use hikyaku_types::{
    destination::Destination,
    tlsa::{TlsaData, TlsaRecord, TlsaSelector, TlsaUsage},
};

const SIGNED: &str = "\
    @ IN MX 10 mx\n\
    mx IN A 127.0.0.1\n\
    _25._tcp.mx IN TLSA 3 1 1 1111111111111111111111111111111111111111111111111111111111111111\n\
    pkix IN A 127.0.0.1\n\
    _25._tcp.pkix IN TLSA 1 1 1 1111111111111111111111111111111111111111111111111111111111111111\n\
    bare IN A 127.0.0.1\n\
    alias IN CNAME mx\n\
    _25._tcp.alias IN CNAME _25._tcp.mx\n\
    pointed IN A 127.0.0.1\n\
    _25._tcp.pointed IN CNAME _25._tcp.mx\n";

async fn start(zones: &[Zone<'_>]) -> Option<(Nsd, Resolver)> {
    let nsd = match Nsd::start(zones).await.unwrap() {
        Ok(nsd) => nsd,
        Err(why) => {
            println!("skipped: {why}");
            return None;
        }
    };
    let settings = ResolverSettings {
        servers: vec![nsd.address],
        own_name: "gw.test".parse().unwrap(),
        dnssec: Dnssec::Anchors(nsd.anchors.clone()),
    };
    let resolver = Resolver::new(settings).unwrap();
    Some((nsd, resolver))
}

#[tokio::test]
async fn what_is_proven_counts_and_nothing_else() {
    let zones = [
        Zone { name: "signed.test", records: SIGNED, state: ZoneState::Signed },
        Zone { name: "plain.test", records: SIGNED, state: ZoneState::Unsigned },
        // Its MX is in a zone that proves nothing, and the other way round.
        Zone { name: "abroad.test", records: "@ IN MX 10 mx.plain.test.", state: ZoneState::Signed },
        Zone { name: "hosted.test", records: "@ IN MX 10 mx.signed.test.", state: ZoneState::Unsigned },
        Zone {
            name: "nomx.test",
            records: "@ IN A 127.0.0.1\n\
            _25._tcp IN TLSA 3 1 1 1111111111111111111111111111111111111111111111111111111111111111",
            state: ZoneState::Signed,
        },
    ];
    let Some((_nsd, resolver)) = start(&zones).await else { return };
    let dane = async |destination: &str, host: &str, port| {
        let destination: Destination = destination.parse().unwrap();
        resolver.dane(&destination, &host.parse().unwrap(), port).await
    };
    let published = Dane::Records(Arc::new([TlsaRecord {
        usage: TlsaUsage::DaneEe,
        selector: TlsaSelector::PublicKey,
        data: TlsaData::Sha256([0x11; 32]),
    }]));
    for (destination, host, port, expected) in [
        ("signed.test", "mx.signed.test", 25, &published),
        ("nomx.test", "nomx.test", 25, &published),
        ("[mx.signed.test]:25", "mx.signed.test", 25, &published),
        ("signed.test", "alias.signed.test", 25, &published),
        ("signed.test", "pointed.signed.test", 25, &published),
        // Of another port nothing is said.
        ("[mx.signed.test]:587", "mx.signed.test", 587, &Dane::Absent),
        ("signed.test", "bare.signed.test", 25, &Dane::Absent),
        ("signed.test", "pkix.signed.test", 25, &Dane::Unusable),
        ("plain.test", "mx.plain.test", 25, &Dane::Absent),
        ("abroad.test", "mx.plain.test", 25, &Dane::Absent),
        ("hosted.test", "mx.signed.test", 25, &Dane::Absent),
        ("signed.test", "192.0.2.1", 25, &Dane::Absent),
    ] {
        assert_eq!(dane(destination, host, port).await.as_ref(), Ok(expected), "{destination} {host}");
    }
    // Validation takes nothing from the rest.
    let hosts = async |destination: &str| resolver.hosts(&destination.parse().unwrap()).await;
    assert_eq!(hosts("hosted.test").await.unwrap()[0].to_string(), "mx.signed.test");
    assert_eq!(hosts("nomx.test").await.unwrap()[0].to_string(), "nomx.test");
    assert_eq!(hosts("nothing.signed.test").await, Err(RouteError::NoSuchDomain));
    assert_eq!(hosts("nothing.plain.test").await, Err(RouteError::NoSuchDomain));
    assert_eq!(hosts("no-such-zone.test").await, Err(RouteError::NoSuchDomain));
    let absent = resolver.addresses(&"_25._tcp.mx.signed.test".parse().unwrap()).await;
    assert_eq!(absent, Err(RouteError::NoAddress));
}

/// What is forged is no answer, neither yes nor no.
#[tokio::test]
async fn forged_answers_defer() {
    let forged = |was, is| ZoneState::Forged { was, is };
    let zones = [
        Zone { name: "tlsa.test", records: SIGNED, state: forged("3 1 1 1111", "3 1 1 2222") },
        Zone { name: "mx.test", records: SIGNED, state: forged("10 mx.", "10 pkix.") },
    ];
    let Some((_nsd, resolver)) = start(&zones).await else { return };
    let destination: Destination = "tlsa.test".parse().unwrap();
    let answer = resolver.dane(&destination, &"mx.tlsa.test".parse().unwrap(), 25).await;
    assert!(matches!(answer, Err(RouteError::TryAgain(_))), "{answer:?}");
    let answer = resolver.hosts(&"mx.test".parse().unwrap()).await;
    assert!(matches!(answer, Err(RouteError::TryAgain(_))), "{answer:?}");
}

/// Records of a zone that proves nothing say nothing of one that is signed, wherever in an answer they stand.
#[tokio::test]
async fn what_another_zone_says_is_no_answer() {
    let zones = [
        Zone { name: "signed.test", records: SIGNED, state: ZoneState::Signed },
        Zone { name: "plain.test", records: SIGNED, state: ZoneState::Unsigned },
    ];
    let Some((nsd, _)) = start(&zones).await else { return };
    let (host, tlsa_name) = ("mx.signed.test", "_25._tcp.mx.signed.test");
    let tlsa = |lie: Lie| Lie { name: tlsa_name, kind: "TLSA".parse().unwrap(), ..lie };
    let mx = |lie: Lie| Lie { name: "signed.test", kind: "MX".parse().unwrap(), ..lie };
    let nothing = || Lie::nothing(tlsa_name, "TLSA");
    let (soa, ns) = (vec![liar::soa("plain.test")], vec![liar::ns("plain.test")]);
    let unrelated = vec![liar::address("mx.plain.test", [127, 0, 0, 1].into())];
    let forged = vec![liar::tlsa(tlsa_name, [0x22; 32])];
    let elsewhere = vec![liar::tlsa("_25._tcp.mx.plain.test", [0x11; 32])];
    for lie in [
        // There is nothing, says a zone that has not been asked.
        Lie { authorities: soa.clone(), ..nothing() },
        Lie { authorities: ns.clone(), ..nothing() },
        Lie { authorities: soa.clone(), is_nxdomain: true, ..nothing() },
        Lie { answers: unrelated.clone(), authorities: soa.clone(), ..nothing() },
        Lie { answers: unrelated.clone(), authorities: ns.clone(), ..nothing() },
        // Something that nobody has signed, beside it.
        Lie { authorities: soa.clone(), additionals: forged.clone(), ..nothing() },
        Lie {
            answers: unrelated.clone(),
            authorities: soa.clone(),
            additionals: forged.clone(),
            ..nothing()
        },
        Lie { answers: elsewhere.clone(), authorities: soa.clone(), ..nothing() },
        Lie { answers: elsewhere, authorities: soa.clone(), additionals: forged, ..nothing() },
        nothing(),
    ]
    .map(tlsa)
    {
        let resolver = deceived(&nsd, &lie).await;
        let answer = resolver.0.dane(&"signed.test".parse().unwrap(), &host.parse().unwrap(), 25).await;
        assert!(matches!(answer, Err(RouteError::TryAgain(_))), "{answer:?} by {lie:?}");
    }
    let no_mx = vec![liar::mx("plain.test", ".")];
    let other_mx = vec![liar::mx("plain.test", "mx.plain.test")];
    let in_addition = vec![liar::mx("signed.test", "mx.plain.test")];
    for lie in [
        Lie { authorities: soa.clone(), ..nothing() },
        Lie { authorities: soa.clone(), is_nxdomain: true, ..nothing() },
        Lie { answers: unrelated, authorities: ns, ..nothing() },
        Lie { answers: no_mx, authorities: soa.clone(), additionals: in_addition.clone(), ..nothing() },
        Lie { answers: other_mx, authorities: soa, additionals: in_addition, ..nothing() },
        nothing(),
    ]
    .map(mx)
    {
        let resolver = deceived(&nsd, &lie).await;
        let answer = resolver.0.hosts(&"signed.test".parse().unwrap()).await;
        assert!(matches!(answer, Err(RouteError::TryAgain(_))), "{answer:?} by {lie:?}");
        let answer = resolver.0.way(&"signed.test".parse().unwrap()).await;
        assert!(matches!(answer, Err(RouteError::TryAgain(_))), "{answer:?} by {lie:?}");
    }
}

/// Servers of zones without signatures are believed, also those that give no SOA with what they lack.
#[tokio::test]
async fn a_zone_without_signatures_may_say_that_there_is_nothing() {
    let zones = [Zone {
        name: "plain.test",
        records: "@ IN A 127.0.0.1\nmx IN A 127.0.0.1",
        state: ZoneState::Unsigned,
    }];
    let Some((nsd, _)) = start(&zones).await else { return };
    for authorities in [vec![liar::soa("plain.test")], Vec::new()] {
        let lie = Lie { authorities, ..Lie::nothing("plain.test", "MX") };
        let resolver = deceived(&nsd, &lie).await;
        let hosts = resolver.0.hosts(&"plain.test".parse().unwrap()).await.unwrap();
        assert_eq!(hosts[0].to_string(), "plain.test");
        let answer = resolver.0.dane(&"plain.test".parse().unwrap(), &hosts[0], 25).await.unwrap();
        assert_eq!(answer, Dane::Absent);
    }
}

/// SEED-153: TLSA records are forgotten with the names that they are about.
#[tokio::test]
async fn records_are_forgotten_with_their_host() {
    let zones = [Zone { name: "signed.test", records: SIGNED, state: ZoneState::Signed }];
    let Some((nsd, _)) = start(&zones).await else { return };
    let lie = Lie::nothing("_25._tcp.mx.signed.test", "TLSA");
    let (resolver, liar) = deceived(&nsd, &Lie { name: "elsewhere.test", ..lie.clone() }).await;
    let (domain, host) = ("signed.test", "mx.signed.test".parse().unwrap());
    let dane = async || resolver.dane(&domain.parse().unwrap(), &host, 25).await;
    assert!(matches!(dane().await, Ok(Dane::Records(_))));
    liar.says(vec![lie]);
    assert!(matches!(dane().await, Ok(Dane::Records(_))), "they are remembered");
    resolver.forget(&domain.parse().unwrap(), std::slice::from_ref(&host), 25);
    assert!(matches!(dane().await, Err(RouteError::TryAgain(_))), "they are asked for again");
}

/// A resolver whose questions pass through somebody else.
async fn deceived(nsd: &Nsd, lie: &Lie) -> (Resolver, Liar) {
    let liar = Liar::before(nsd.address, vec![lie.clone()]).await.unwrap();
    let settings = ResolverSettings {
        servers: vec![liar.address],
        own_name: "gw.test".parse().unwrap(),
        dnssec: Dnssec::Anchors(nsd.anchors.clone()),
    };
    (Resolver::new(settings).unwrap(), liar)
}
