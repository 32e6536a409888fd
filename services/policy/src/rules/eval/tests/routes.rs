//! Where it goes.

use super::*;

/// SEED-004 (b).
#[test]
fn mail_is_not_sent_back_to_where_it_came_from() {
    let looping = rules(&[
        (DocumentName::RelayNetworks, "192.168.0.0/24\n127.0.0.0/8"),
        (DocumentName::SmartHost, "192.168.0.20"),
        (DocumentName::Routes, "named.example,inner.domain.jp,25\nlocal.example,127.0.0.1,2525"),
        (DocumentName::Hosts, "inner.domain.jp 192.168.0.20 2001:db8::20"),
    ]);
    let refused = ("554 5.4.6".to_owned(), "loop:next-hop-is-client".to_owned());
    assert_eq!(recipient(&looping, INNER, "a@z.example"), refused);
    assert_eq!(recipient(&looping, "::ffff:192.168.0.20", "a@z.example"), refused);
    assert_eq!(recipient(&looping, INNER, "a@named.example"), refused);
    assert_eq!(recipient(&looping, DEVICE, "a@z.example").0, "250 a@z.example via [192.168.0.20]:25");
    assert_eq!(
        recipient(&looping, "127.0.0.1", "a@local.example").0,
        "250 a@local.example via [127.0.0.1]:2525"
    );
}

/// SEED-015, 016, 019, 020, 021.
#[test]
fn route_order() {
    let route = |rules: &Rules, domain: &str| {
        let route = rules.resolve_route(&domain.parse().unwrap(), &ReversePath::Null, SystemTime::now());
        (route.destination.to_string(), route.decided_by.map_or(String::new(), |by| by.to_string()))
    };
    let pair = |destination: &str, by: &str| (destination.to_owned(), by.to_owned());
    let both = rules(&[
        (DocumentName::Routes, "; inner\ndomain.jp,192.168.0.20,25"),
        (DocumentName::SmartHost, "192.168.0.100:587"),
    ]);
    assert_eq!(route(&both, "domain.jp"), pair("[192.168.0.20]:25", "routes:2"));
    assert_eq!(route(&both, "z.example"), pair("[192.168.0.100]:587", "smart-host:1"));
    assert_eq!(route(&gateway(), "z.example"), pair("z.example", ""));
    let ordered = rules(&[(DocumentName::Routes, "*,a.example,25\nlate.example,b.example,25")]);
    assert_eq!(route(&ordered, "late.example"), pair("[a.example]:25", "routes:1"));
}

/// SEED-024, SEED-025.
#[test]
fn routes_by_sender_and_for_a_time() {
    let table = rules(&[(
        DocumentName::Routes,
        "abcdef.jp,192.0.2.30,25,expires=2030-01-01T00:00:00Z\n*|u@domain.jp,up.example,25\n*|*@b.jp,b.example,25\n\
         abcdef.jp,192.0.2.31,25\n*,other.example,25\n",
    )]);
    let before: SystemTime = time::macros::datetime!(2029-12-31 23:59 UTC).into();
    let after: SystemTime = time::macros::datetime!(2030-01-01 00:00 UTC).into();
    for (domain, sender, now, expected) in [
        ("abcdef.jp", "u@domain.jp", before, "[192.0.2.30]:25"),
        ("abcdef.jp", "u@domain.jp", after, "[up.example]:25"),
        ("abcdef.jp", "x@domain.jp", after, "[192.0.2.31]:25"),
        ("z.example", "U@domain.jp", after, "[up.example]:25"),
        ("z.example", "x@b.jp", after, "[b.example]:25"),
        ("z.example", "", after, "[other.example]:25"),
    ] {
        let route = table.resolve_route(&domain.parse().unwrap(), &sender.parse().unwrap(), now);
        assert_eq!(route.destination.to_string(), expected, "{domain} {sender:?}");
        assert!(route.sender_bound);
    }
    assert_eq!((table.expired_routes(before), table.expired_routes(after)), (vec![], vec![1]));
}
