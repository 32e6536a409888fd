//! The examples of spec.md 4.1, and what they leave open.

use hikyaku_types::address::ReversePath;

use super::*;
use crate::rules::tests::report;

fn surroundings() -> Surroundings {
    Surroundings {
        own_addresses: vec!["198.51.100.11".parse().unwrap()],
        dns_servers: vec!["192.168.0.53".parse().unwrap()],
        ..Surroundings::default()
    }
}

fn parsed(text: &str) -> (Routes, Vec<String>) {
    report("routes", |findings| parse(text, &surroundings(), findings))
}

fn route_to(table: &Routes, domain: &str) -> Option<String> {
    table
        .find(&domain.parse().unwrap(), &ReversePath::Null, SystemTime::now())
        .map(|route| route.next_hop.destination().to_string())
}

#[test]
fn gw_ok() {
    let (table, problems) = parsed(
        ";
; 対象ドメイン, ゲートウェイ先 (FQDN or IP), 接続ポート番号
;
domain.jp, 192.168.0.20, 25
' second site
*.abc.jp,smtp01.domain.jp,25
*.def.jp,smtp02.domain.jp,25
test.jp,192.168.0.30,20025
",
    );
    assert_eq!(
        problems,
        [
            "routes:6: warning W-GW-APEX: does not cover abc.jp itself",
            "routes:7: warning W-GW-APEX: does not cover def.jp itself",
        ]
    );
    for (domain, hop) in [
        ("DOMAIN.jp", Some("[192.168.0.20]:25")),
        ("sub.domain.jp", None),
        ("mail.abc.jp", Some("[smtp01.domain.jp]:25")),
        ("x.y.abc.jp", Some("[smtp01.domain.jp]:25")),
        ("abc.jp", None),
        ("xabc.jp", None),
        ("test.jp", Some("[192.168.0.30]:20025")),
        ("jp", None),
    ] {
        assert_eq!(route_to(&table, domain).as_deref(), hop, "{domain}");
    }
}

#[test]
fn gw_warn() {
    let (table, problems) = parsed(
        "'-------------------------------
-----
対象ドメイン, ゲートウェイ先 (FQDN or IP), 接続ポート番号
domain.co.jp, 192.168.0.20
*,smtp.domain.jp,25
late.example,192.168.0.40,25
",
    );
    assert_eq!(
        problems,
        [
            "routes:2: warning W-RULER: line of hyphens ignored",
            "routes:3: warning W-HEADER: column heading without comment mark ignored",
            "routes:4: note N-GW-PORT25: port missing, 25 used",
            "routes:6: warning W-GW-SHADOW: never reached, line 5 matches everything",
        ]
    );
    assert_eq!(route_to(&table, "late.example").unwrap(), "[smtp.domain.jp]:25", "the first match decides");
    assert_eq!(route_to(&table, "domain.co.jp").unwrap(), "[192.168.0.20]:25");
}

/// As in the specification, but routes by sender (lines 10 and 11) are refused for now.
#[test]
fn gw_bad() {
    let (table, problems) = parsed(
        "domain.jp, 192.168.0.x, 25
abc.jp,192.168.0.9,70000
a.*.jp,192.168.0.9,25
onlyonefield
domain2.jp,192.168.0.5,25
domain2.jp,192.168.0.6,25
*,192.168.0.53,25
domain３.jp,192.168.0.7,25
x.jp,198.51.100.11,25
*|u@d.onmicrosoft.com,d.mail.protection.outlook.com,25
*|u@d.jp,smtp.office365.com|1XOAUTH2|blob,587
",
    );
    assert_eq!(
        problems,
        [
            "routes:1: error E-GW-NEXTHOP: \"192.168.0.x\" looks like an IPv4 address but is not one",
            "routes:2: error E-GW-PORT: \"70000\" is not 1-65535",
            "routes:3: error E-GW-TARGET: \"a.*.jp\" is not domain, *.domain or *",
            "routes:4: error E-GW-FIELDS: 1 field(s), want 2 or 3",
            "routes:6: error E-GW-CONFLICT: same target as line 5",
            "routes:7: error E-GW-DNSIP: catch-all points at a DNS server; delete the line, fall-through \
            is built in",
            "routes:8: error E-NONASCII: non-ASCII character in a data field",
            "routes:9: error E-GW-SELF: next hop is one of this cluster's own addresses",
            "routes:11: error E-GW-UPAUTH: upstream credentials are not imported; define them in the \
            secret store",
        ]
    );
    assert_eq!(route_to(&table, "domain2.jp").unwrap(), "[192.168.0.5]:25");
    assert_eq!(route_to(&table, "z.example"), None);
}

#[test]
fn blanks_round_commas_and_a_missing_port() {
    let (table, problems) = parsed("a.jp,192.168.0.20,25\nb.jp , 192.168.0.20 , 25\nc.jp,[2001:db8::1],\n");
    assert_eq!(problems, ["routes:3: note N-GW-PORT25: port missing, 25 used"]);
    assert_eq!(route_to(&table, "a.jp"), route_to(&table, "b.jp"));
    assert_eq!(route_to(&table, "c.jp").unwrap(), "[2001:db8::1]:25");
}

#[test]
fn more_that_is_refused() {
    let (_, problems) = parsed(
        "a.jp,h.jp,0\nb.jp,h.jp,+25\nc.jp,h.jp,25,x\nd.jp,,25\n,h.jp,25\n*.*.jp,h.jp,25\ne.jp,::ffff:198.51.100.11,25\n\
         192.0.2.1,h.jp,25\nbad..jp,1.2.3.4.x,0\n",
    );
    let found: Vec<String> =
        problems.iter().map(|it| it.splitn(3, ": ").take(2).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        found,
        [
            "routes:1 error E-GW-PORT",
            "routes:2 error E-GW-PORT",
            "routes:3 error E-GW-FIELDS",
            "routes:4 error E-GW-NEXTHOP",
            "routes:5 error E-GW-TARGET",
            "routes:6 error E-GW-TARGET",
            "routes:7 error E-GW-SELF",
            "routes:8 error E-GW-TARGET",
            "routes:9 error E-GW-TARGET",
            "routes:9 error E-GW-PORT",
        ]
    );
}

#[test]
fn wildcards_shadow_what_is_below_them() {
    let (table, problems) = parsed(
        "*.jp,a.example,25\nabc.jp,b.example,25\n*.abc.jp,c.example,25\n*.jp,a.example,25\njp,d.example,25\n",
    );
    assert_eq!(
        problems,
        [
            "routes:2: warning W-GW-SHADOW: never reached, line 1 matches first",
            "routes:3: warning W-GW-SHADOW: never reached, line 1 matches first",
            "routes:4: warning W-DUP: same route as line 1",
        ]
    );
    assert_eq!(route_to(&table, "x.abc.jp").unwrap(), "[a.example]:25");
    assert_eq!(route_to(&table, "jp").unwrap(), "[d.example]:25");
}

#[test]
fn a_resolver_may_be_the_next_hop_of_one_domain() {
    let (_, problems) = parsed("dns.example,192.168.0.53,25\n");
    assert_eq!(problems, Vec::<String>::new());
}

#[test]
fn routes_of_a_sender_shadow_only_their_own() {
    let (_, problems) = parsed(
        "*|u@domain.jp,up.example,25\n*|*@domain.jp,b.example,25\n*|v@domain.jp,c.example,25\na.jp|x,h.jp,25\n\
         *|u@domain.jp,other.example,25\na.jp|u@domain.jp,h.jp,25\na.jp,h.jp,25,expires=2030-01-01T00:00:00Z\n\
         a.jp,i.jp,25\na.jp,h.jp,25,until=2030\n*,z.example,25\n",
    );
    assert_eq!(
        problems,
        [
            "routes:3: warning W-GW-SHADOW: never reached, line 2 matches first",
            "routes:4: error E-GW-SENDER: \"x\" is not *, *@domain or user@domain",
            "routes:5: error E-GW-CONFLICT: same target as line 1",
            "routes:6: warning W-GW-SHADOW: never reached, line 1 matches first",
            "routes:9: error E-GW-EXPIRES: \"until=2030\" is not expires= with a time such as \
             2030-12-31T23:59:00+09:00",
        ]
    );
}
