use super::*;
use crate::schedule::RetryOverrides;

fn line(shipped: bool, line: u32) -> RuleLine {
    RuleLine { shipped, line }
}

/// Only `connections`, which here says which line decided.
fn destination(pattern: &str, connections: u32, at: RuleLine) -> DestinationRule {
    let settings = DestinationTraffic { connections: Some(connections), ..DestinationTraffic::default() };
    Rule { pattern: pattern.parse().unwrap(), settings, line: at }
}

fn site(pattern: &str, connections: u32, at: RuleLine) -> SiteRule {
    let settings = SiteTraffic { connections: Some(connections), ..SiteTraffic::default() };
    Rule { pattern: pattern.parse().unwrap(), settings, line: at }
}

fn source(pattern: &str, settings: SourceSettings, at: RuleLine) -> SourceRule {
    Rule { pattern: pattern.parse().unwrap(), settings, line: at }
}

fn hosts(names: &[&str]) -> Vec<HostName> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

#[test]
fn the_most_telling_pattern_decides() {
    let patterns = [
        "*",
        "*.example.org",
        "*.b.example.org",
        "a.b.example.org",
        "[*]",
        "[192.0.2.1]",
        "[192.0.2.1]:2525",
        "[mx.example.org]:25",
    ];
    let rules = (1..).zip(patterns).map(|(number, it)| destination(it, number, line(false, number)));
    let rules = TrafficRules::new(rules.collect(), Vec::new(), Vec::new(), Vec::new());
    for (name, decided) in [
        ("a.b.example.org", 4),
        ("c.b.example.org", 3),
        ("x.c.b.example.org", 3),
        ("b.example.org", 2),
        ("example.org", 1),
        ("notexample.org", 1),
        ("[192.0.2.1]:2525", 7),
        ("[192.0.2.1]:25", 6),
        ("[192.0.2.2]:25", 5),
        ("[mx.example.org]:25", 8),
        ("[mx.b.example.org]:25", 5),
    ] {
        assert_eq!(rules.destination(&name.parse().unwrap()).connections, Some(decided), "{name}");
    }
}

#[test]
fn each_key_is_decided_for_itself_and_ours_come_before_the_shipped() {
    let exact = DestinationTraffic {
        rate: Some("5/s".parse().unwrap()),
        retry: RetryOverrides { retry_5xx: Some(2), ..RetryOverrides::default() },
        ..DestinationTraffic::default()
    };
    let rules = TrafficRules::new(
        vec![
            Rule { pattern: "example.org".parse().unwrap(), settings: exact, line: line(true, 7) },
            destination("*", 30, line(false, 1)),
            destination("example.org", 5, line(true, 8)), // the same pattern again: not looked at
            destination("*.org", 9, line(true, 9)),
        ],
        Vec::new(),
        Vec::new(),
        Vec::new(),
    );
    let example = "example.org".parse().unwrap();
    let traffic = rules.destination(&example);
    assert_eq!(traffic.connections, Some(30), "what is written beats what is shipped");
    assert_eq!(traffic.rate.unwrap().to_string(), "5/s");
    assert_eq!(traffic.retry.retry_5xx, Some(2));
    let shown: Vec<String> = rules
        .explain_destination(&example)
        .into_iter()
        .map(|it| format!("{}={} {}", it.key, it.value, it.line))
        .collect();
    assert_eq!(
        shown,
        ["connections=30 traffic:1", "rate=5/s traffic-defaults:7", "retry_5xx=2 traffic-defaults:7"]
    );
    assert_eq!(TrafficRules::default().destination(&example), DestinationTraffic::default());
}

#[test]
fn domains_that_share_hosts_are_one_site() {
    let rules = TrafficRules::new(
        Vec::new(),
        vec![
            site("*", 3, line(false, 1)),
            site("mx.alone.example,192.0.2.1", 4, line(false, 2)),
            site("*.google.com,*.googlemail.com", 20, line(true, 3)),
            site("*", 10, line(true, 4)),
        ],
        Vec::new(),
        Vec::new(),
    );
    for (names, name, connections) in [
        (&["aspmx.l.google.com", "aspmx2.googlemail.com"][..], "*.google.com,*.googlemail.com", 3),
        (&["aspmx.l.google.com", "mx.other.example"], "aspmx.l.google.com,mx.other.example", 3),
        (&["mx2.b.example", "mx1.b.example", "mx2.b.example"], "mx1.b.example,mx2.b.example", 3),
        (&["mx.alone.example", "192.0.2.1"], "mx.alone.example,192.0.2.1", 4),
        (&["192.0.2.2"], "192.0.2.2", 3),
        (&["google.com"], "google.com", 3),
        (&[], "", 3),
    ] {
        let site = rules.site(&hosts(names));
        assert_eq!((site.name.as_str(), site.connections), (name, Some(connections)), "{names:?}");
    }
}

#[test]
fn sources_by_address_domain_and_network() {
    let rate = |text: &str| SourceSettings { rate: text.parse().ok(), ..SourceSettings::default() };
    let bulk = |bulk| SourceSettings { bulk: Some(bulk), ..SourceSettings::default() };
    let share = SourceSettings { share: Some(50), ..SourceSettings::default() };
    let rules = TrafficRules::new(
        Vec::new(),
        Vec::new(),
        vec![
            source("10.0.0.0/8", rate("1/s"), line(false, 1)),
            source("10.1.0.0/16", rate("2/s"), line(false, 2)),
            source("@*.news.example", bulk(true), line(false, 3)),
            source("Boss@a.news.example", bulk(false), line(false, 4)),
            source("@*", share, line(false, 5)),
        ],
        Vec::new(),
    );
    let ask = |client: &str, sender: &str| {
        let found = rules.source(client.parse().ok(), &sender.parse().unwrap());
        let rate = found.rate.map(|rate| rate.to_string()).unwrap_or_default();
        format!("{} {rate} {} {}", found.name, found.bulk, found.share.unwrap_or_default())
    };
    assert_eq!(ask("10.1.2.3", "x@y.example"), "10.1.0.0/16 2/s false 50");
    assert_eq!(ask("::ffff:10.2.2.3", "x@y.example"), "10.0.0.0/8 1/s false 50");
    assert_eq!(ask("192.0.2.1", "x@a.news.example"), "@*.news.example  true 50");
    assert_eq!(ask("10.9.9.9", "BOSS@a.news.example"), "10.0.0.0/8 1/s false 50");
    assert_eq!(ask("192.0.2.1", ""), "  false 0");
    assert_eq!(ask("", "x@news.example"), "@*  false 50");
}

#[test]
fn pools_keep_the_order_of_their_lines() {
    let egress = |pool: &str, address: &str| EgressRule {
        pool: pool.parse().unwrap(),
        address: EgressAddress { address: address.parse().unwrap(), via: None, name: None },
        line: line(false, 1),
    };
    let rules = TrafficRules::new(
        Vec::new(),
        Vec::new(),
        Vec::new(),
        vec![egress("a", "192.0.2.9"), egress("b", "192.0.2.2"), egress("a", "192.0.2.1")],
    );
    let addresses: Vec<String> =
        rules.pool(&"a".parse().unwrap()).iter().map(|it| it.address.to_string()).collect();
    assert_eq!(addresses, ["192.0.2.9", "192.0.2.1"]);
    assert!(rules.pool(&"c".parse().unwrap()).is_empty());
}

#[test]
fn patterns_are_written_as_they_are_read() {
    for text in
        ["example.org", "*.example.org", "*", "[*]", "[192.0.2.1]", "[mx.example.org]:587", "[::1]:25"]
    {
        assert_eq!(text.parse::<DestinationPattern>().unwrap().to_string(), text);
    }
    for text in ["", "a b", "*.*", "[", "[]", "[*]:25", "[192.0.2.x]", "example.org:25", "*example.org"] {
        assert_eq!(text.parse::<DestinationPattern>(), Err(PatternError::Destination), "{text:?}");
    }
    for text in ["*", "*.google.com,*.googlemail.com", "mx.example.org", "192.0.2.1,::1"] {
        assert_eq!(text.parse::<SitePattern>().unwrap().to_string(), text);
    }
    for text in ["", "*,a.example", "a.example,", "*.*"] {
        assert_eq!(text.parse::<SitePattern>(), Err(PatternError::Site), "{text:?}");
    }
    for (text, written) in [
        ("192.0.2.1", "192.0.2.1/32"),
        ("192.0.2.1/24", "192.0.2.0/24"),
        ("::ffff:192.0.2.1", "192.0.2.1/32"),
        ("A@B.example", "a@b.example"),
        ("@b.example", "@b.example"),
        ("@*", "@*"),
    ] {
        assert_eq!(text.parse::<SourcePattern>().unwrap().to_string(), written);
    }
    for text in ["", "*", "@", "a@", "b.example", "10.0.0.0/33"] {
        assert_eq!(text.parse::<SourcePattern>(), Err(PatternError::Source), "{text:?}");
    }
}

#[test]
fn a_wide_site_covers_a_narrow_one() {
    let covers =
        |wide: &str, narrow: &str| wide.parse::<SitePattern>().unwrap().covers(&narrow.parse().unwrap());
    for (wide, narrow, expected) in [
        ("*.google.com", "*.l.google.com", true),
        ("*.google.com", "mx.google.com", true),
        ("*.google.com,*.googlemail.com", "mx.google.com,a.googlemail.com", true),
        ("*.l.google.com", "*.google.com", false),
        ("mx.google.com", "*.google.com", false),
        ("*.google.com", "google.com", false),
        ("192.0.2.1", "192.0.2.1", true),
        ("*.google.com", "192.0.2.1", false),
    ] {
        assert_eq!(covers(wide, narrow), expected, "{wide} {narrow}");
    }
}
