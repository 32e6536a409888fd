use hikyaku_types::{destination::HostName, schedule::Backoff};

use super::*;
use crate::rules::tests::report;

fn parsed(text: &str) -> (TrafficRules, Vec<String>) {
    let (traffic, problems) = report("traffic", |findings| parse(text, findings));
    (traffic.rules, problems)
}

fn site(rules: &TrafficRules, host: &str) -> String {
    let site = rules.site(&[host.parse::<HostName>().unwrap()]);
    let text = |number: Option<u32>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    format!("{} {} {}", site.name, text(site.connections), text(site.messages_per_connection))
}

#[test]
fn all_that_can_be_said() {
    let text = "# ours\n\
        destination [example.org]:587 connections=5 messages_per_connection=10 rate=50/s recipients=20 \
        egress=slow tls=verified login=smart-1 timeout_connect=10s timeout_greeting=1m timeout_command=20m \
        timeout_data=3m timeout_block=4m timeout_final_dot=15m timeout_message=1h retry_base=5m retry_cap=2h backoff=fixed jitter=0.2 give_up_temp=1d \
        give_up_noreply=2d retry_5xx=2 # all of it\n\
        site mx1.example.org,mx2.example.org connections=3 rate=100/m\n\
        source 192.168.0.0/24 rate=2000/h share=50%\n\
        source local#part@news.example bulk=yes\n\
        source @quiet.example bulk=no\n\
        egress slow 192.0.2.1\n\
        egress slow 192.0.2.2 via [2001:db8::9]:1080 name mx.example.net\n";
    let (rules, problems) = parsed(text);
    assert_eq!(problems, Vec::<String>::new());
    let traffic = rules.destination(&"[example.org]:587".parse().unwrap());
    assert_eq!(traffic.retry.backoff, Some(Backoff::Fixed));
    let said: Vec<String> = rules
        .explain_destination(&"[example.org]:587".parse().unwrap())
        .into_iter()
        .map(|it| format!("{}={}", it.key, it.value))
        .collect();
    let line = text.lines().nth(1).unwrap();
    assert!(line.contains(&said.join(" ")), "{said:?}");
    assert_eq!(site(&rules, "mx1.example.org"), "mx1.example.org,mx2.example.org 3 -");
    let source = rules.source("192.168.0.9".parse().ok(), &"Local#Part@news.example".parse().unwrap());
    assert_eq!((source.name.as_str(), source.bulk, source.share), ("192.168.0.0/24", true, Some(50)));
    let pool = rules.pool(&"slow".parse().unwrap());
    assert_eq!(pool[1].via.as_ref().unwrap().to_string(), "[2001:db8::9]:1080");
    assert_eq!(pool[1].name.as_ref().unwrap().as_str(), "mx.example.net");
}

#[test]
fn refused() {
    for (line, problem) in [
        ("x", "E-TR-KIND: want destination, site, source, egress or \"defaults off\" at the beginning"),
        (
            "defaults on",
            "E-TR-KIND: want destination, site, source, egress or \"defaults off\" at the beginning",
        ),
        ("destination", "E-TR-FIELDS: destination of what?"),
        ("destination a.jp", "E-TR-FIELDS: the line sets nothing; want key=value"),
        ("destination a.jp fast", "E-TR-FIELDS: \"fast\" is not key=value"),
        ("destination a.jp timeout_data=21m", "E-TR-VALUE: timeout_data=21m: want 1s to 20m"),
        (
            "destination a..jp rate=1/s",
            "E-TR-PATTERN: \"a..jp\": want a domain, *.domain, [host]:port, [host], [*] or *",
        ),
        (
            "site a,* rate=1/s",
            "E-TR-PATTERN: \"a,*\": want host names, *.suffix or addresses, separated by commas, or * alone",
        ),
        (
            "source a.jp rate=1/s",
            "E-TR-PATTERN: \"a.jp\": want a network, an address of a sender, @domain or @*.domain",
        ),
        (
            "site a.jp egress=x",
            "E-TR-KEY: \"egress\" is not a key here; there are connections, messages_per_connection, rate and recipients",
        ),
        ("source @a.jp speed=1", "E-TR-KEY: \"speed\" is not a key here; there are rate, bulk and share"),
        ("destination a.jp rate=1/s rate=2/s", "E-TR-TWICE: rate is said twice"),
        ("destination a.jp connections=0", "E-TR-VALUE: connections=0: want a number, 1 to 1000"),
        ("destination a.jp connections=x", "E-TR-VALUE: connections=x: want a number, 1 to 1000"),
        ("destination a.jp recipients=1001", "E-TR-VALUE: recipients=1001: want a number, 1 to 1000"),
        ("destination a.jp rate=5", "E-TR-VALUE: rate=5: want a number and a unit: 50/s, 100/m or 2000/h"),
        ("destination a.jp egress=a.b", "E-TR-VALUE: egress=a.b: want 1 to 64 letters, digits, - or _"),
        ("destination a.jp tls=on", "E-TR-VALUE: tls=on: want off, opportunistic, required or verified"),
        (
            "destination a.jp login=a",
            "E-TR-LOGIN: a login is for fixed next hops: want [host]:port, [host] or [*]",
        ),
        (
            "destination *.a.jp login=a",
            "E-TR-LOGIN: a login is for fixed next hops: want [host]:port, [host] or [*]",
        ),
        (
            "destination * tls=verified login=a",
            "E-TR-LOGIN: a login is for fixed next hops: want [host]:port, [host] or [*]",
        ),
        ("destination [a.jp] login=a@b", "E-TR-VALUE: login=a@b: want 1 to 64 letters, digits, - or _"),
        (
            "destination [a.jp] tls=required login=a",
            "E-TR-LOGIN: a login is sent over verified TLS only, so tls=required cannot stand with it",
        ),
        ("destination a.jp egress=none", "E-TR-POOL: there is no egress line for none"),
        ("destination a.jp retry_base=59s", "E-TR-VALUE: retry_base=59s: want 1m to 1h"),
        ("destination a.jp retry_base=61m", "E-TR-VALUE: retry_base=61m: want 1m to 1h"),
        (
            "destination a.jp retry_base=120",
            "E-TR-VALUE: retry_base=120: want a number and a unit: 120s, 2m, 8h or 5d",
        ),
        ("destination a.jp retry_base=2h retry_cap=1h", "E-TR-VALUE: retry_base=2h: want 1m to 1h"),
        ("destination a.jp retry_base=10m retry_cap=5m", "E-TR-VALUE: retry_cap is shorter than retry_base"),
        ("destination a.jp backoff=linear", "E-TR-VALUE: backoff=linear: want doubling or fixed"),
        ("destination a.jp jitter=0.6", "E-TR-VALUE: jitter=0.6: want a number, 0 to 0.5"),
        ("destination a.jp jitter=NaN", "E-TR-VALUE: jitter=NaN: want a number, 0 to 0.5"),
        ("destination a.jp give_up_temp=31d", "E-TR-VALUE: give_up_temp=31d: want 1m to 30d"),
        ("destination a.jp retry_5xx=10", "E-TR-VALUE: retry_5xx=10: want a number, 0 to 9"),
        ("source @a.jp share=0%", "E-TR-VALUE: share=0%: want 1% to 100%"),
        ("source @a.jp bulk=maybe", "E-TR-VALUE: bulk=maybe: want yes or no"),
        ("egress a", "E-TR-ADDRESS: \"\" is not an address that mail can come from"),
        ("egress a 0.0.0.0", "E-TR-ADDRESS: \"0.0.0.0\" is not an address that mail can come from"),
        ("egress a 192.0.2.1 via x", "E-TR-VALUE: via x: want host:port"),
        (
            "egress a 192.0.2.1 port 1",
            "E-TR-VALUE: port 1: want \"via HOST:PORT\" or \"name NAME\", each at most once",
        ),
        ("destination d\u{e9}.jp rate=1/s", "E-NONASCII: non-ASCII character in a data field"),
    ] {
        assert_eq!(parsed(line).1, [format!("traffic:1: error {problem}")], "{line}");
    }
}

#[test]
fn lines_that_do_not_fit_together() {
    let text = "destination a.jp rate=1/s\ndestination A.jp. connections=1\n\
        site *.google.com connections=5\nsite mx.google.com connections=1\n\
        egress pool 192.0.2.1\negress pool ::ffff:192.0.2.1\n\
        site * connections=30 recipients=10\ndestination * rate=1/s\n\
        source 10.0.0.0/8 rate=1/s\nsource 10.1.0.0/8 rate=1/s\ndefaults off\ndefaults off\n\
        egress pool 2001:db8::1\n";
    let problems = [
        "traffic:2: error E-TR-DUP: a.jp is on line 1 already; say all of it there",
        "traffic:4: warning W-TR-SHADOW: names no site: line 3 fits first",
        "traffic:5: warning W-TR-UNUSED: no destination line says egress=pool",
        "traffic:6: error E-TR-DUP: ::ffff:192.0.2.1 is in pool by line 5",
        "traffic:10: error E-TR-DUP: 10.0.0.0/8 is on line 9 already; say all of it there",
        "traffic:12: warning W-DUP: the same as line 11",
        "traffic:13: error E-TR-FAMILY: pool has addresses of the other family; make two pools",
    ];
    assert_eq!(parsed(text).1, problems);
    assert_eq!(
        parsed("site * connections=30 recipients=10\n").1,
        [
            "traffic:1: note N-TR-HIDES: holds also where a shipped line says another connections and recipients"
        ]
    );
}

/// All problems of a line at once, and a bad line says nothing.
#[test]
fn a_bad_line_adds_nothing() {
    let (rules, problems) = parsed("destination a.jp connections=0 rate=1/s speed=1");
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(rules.explain_destination(&"a.jp".parse().unwrap()).is_empty());
}

#[test]
fn the_shipped_rules_are_free_of_problems_and_can_be_removed() {
    let mut findings = Findings::new(DocumentName::Traffic);
    let shipped = read(DEFAULTS, true, &mut findings);
    check::pools(&shipped, &mut findings);
    check::sites(&shipped, &mut findings);
    assert_eq!(findings.into_problems(), []);
    assert!(shipped.destinations.is_empty(), "a destination's line would hide no site's");

    let (rules, _) = parsed("");
    assert_eq!(site(&rules, "aspmx.l.google.com"), "*.google.com,*.googlemail.com 20 50");
    assert_eq!(site(&rules, "mx-aol.mail.gm0.yahoodns.net"), "*.yahoodns.net 10 20");
    assert_eq!(site(&rules, "mx.small.example"), "mx.small.example 20 -");
    let (rules, _) = parsed("site *.google.com,*.googlemail.com connections=50");
    assert_eq!(site(&rules, "aspmx.l.google.com"), "*.google.com,*.googlemail.com 50 50");
    let (rules, _) = parsed("defaults off\n");
    assert_eq!(site(&rules, "aspmx.l.google.com"), "aspmx.l.google.com - -");
}

#[test]
fn workers_hear_of_a_change_of_this_document_only() {
    let version = |text: &str| report("traffic", |findings| parse(text, findings)).0.version;
    assert_ne!(version("site * connections=1"), version("site * connections=2"));
    assert_eq!(version(""), version(""));
    assert_ne!(version(""), 0);
}
