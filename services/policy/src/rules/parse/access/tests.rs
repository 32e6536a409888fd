//! The examples of spec.md 4.2, and what they leave open.

use super::*;
use crate::rules::{
    table::access::{Access, Standing},
    tests::report,
};

fn parsed(text: &str) -> (AccessTable, Vec<String>) {
    let (own_domains, _) = report("own-domains", |findings| {
        crate::rules::parse::own_domains::parse("domain.jp\ndomain.co.jp", findings)
    });
    report("access", |findings| parse(text, &own_domains, findings))
}

fn standing(table: &AccessTable, client: &str, sender: &str) -> (Standing, Option<u32>) {
    let Access { standing, line, rate: _ } =
        table.find(client.parse().unwrap(), Some(&sender.parse().unwrap()));
    (standing, line)
}

const OK: &str = "#<> default\n#blank false\n192.168.0.20 true\npostmaster@domain.jp false\n192.168.0.50\n\
                  192.168.1.0/28 false\n192.168.*.* default\n2001:db8:1::/48 default\n*.*.*.* norelay,2\n";

#[test]
fn eff_ok() {
    let (table, problems) = parsed(OK);
    assert_eq!(problems, Vec::<String>::new());
    for (client, sender, expected) in [
        ("192.168.0.20", "a@x.example", (Standing::Trusted, Some(3))),
        ("192.168.0.20", "postmaster@domain.jp", (Standing::Trusted, Some(3))),
        ("192.168.0.50", "Postmaster@domain.jp", (Standing::Refused, Some(4))),
        ("192.168.0.50", "a@x.example", (Standing::Trusted, Some(5))),
        ("192.168.1.15", "a@x.example", (Standing::Refused, Some(6))),
        ("192.168.1.16", "a@x.example", (Standing::Default, Some(7))),
        ("2001:db8:1::9", "", (Standing::Default, Some(8))),
        ("2001:db8:2::9", "", (Standing::Default, None)),
        ("203.0.113.9", "", (Standing::NoRelayWithoutAuth, Some(9))),
        ("203.0.113.9", "postmaster@domain.jp", (Standing::Refused, Some(4))),
    ] {
        assert_eq!(standing(&table, client, sender), expected, "{client} {sender:?}");
    }
}

/// SEED-081.
#[test]
fn seed_081_a_line_may_have_a_rate() {
    let (table, problems) = parsed(
        "192.168.0.50 true rate=60/min\n192.168.0.51 rate=5/s\n192.168.0.52 rate=1000/h default\n\
         192.168.0.53 true rate=60\n192.168.0.54 true rate=1/s rate=2/s\n192.168.0.55 true\n\
         192.168.0.56 true rate=rate=5/s\n",
    );
    let rate = |client: &str| {
        let access = table.find(client.parse().unwrap(), None);
        (access.standing, access.rate.map(|rate| rate.to_string()))
    };
    assert_eq!(rate("192.168.0.50"), (Standing::Trusted, Some("60/m".into())));
    assert_eq!(rate("192.168.0.51"), (Standing::Trusted, Some("5/s".into())));
    assert_eq!(rate("192.168.0.52"), (Standing::Default, Some("1000/h".into())));
    assert_eq!(rate("192.168.0.55"), (Standing::Trusted, None));
    assert_eq!(
        problems,
        [
            "access:4: error E-EFF-RATE: rate=60: want a number and a unit: 50/s, 100/m or 2000/h",
            "access:5: error E-EFF-RATE: rate= twice",
            "access:7: error E-EFF-RATE: rate=rate=5/s: want a number and a unit: 50/s, 100/m or 2000/h",
        ]
    );
}

#[test]
fn eff_warn() {
    let (table, problems) =
        parsed("192.168.*.* default\n192.168.1.0/28 false\n10.1.2.3 only\n10.1.2.4 true\n");
    assert_eq!(
        problems,
        [
            "access:2: warning W-EFF-SHADOW: never reached, line 1 already covers it",
            "access:4: warning W-EFF-UNREACHABLE: \"only\" on line 3 ends the table",
        ]
    );
    // SEED-075.
    assert_eq!(standing(&table, "10.1.2.3", "a@x.example"), (Standing::Trusted, Some(3)));
    assert_eq!(standing(&table, "10.1.2.4", "a@x.example"), (Standing::NoRelay, Some(3)));
}

#[test]
fn eff_bad() {
    let (_, problems) = parsed(
        "domain.jp true\n0.0.0.0/0 true\n*.*.*.*\npartner.example true\n192.168.300.1 true\n192.168.0.1 yes\n\
         10.0.0.0/8 norelay,1\nabc.co.jp only\n192.168.0.9 true\n192.168.0.0/255.255.255.0 true\ninfo@domain.jp\n",
    );
    assert_eq!(
        problems,
        [
            "access:1: error E-EFF-OWNDOMAIN: true for own domain domain.jp lets anyone pose as it",
            "access:2: error E-EFF-OPENRELAY: true for 0.0.0.0/0 opens the relay to everyone",
            "access:3: error E-EFF-OPENRELAY: true for *.*.*.* opens the relay to everyone",
            "access:4: error E-EFF-SENDERTRUST: true for a sender address is forgeable; trust an IP address",
            "access:5: error E-EFF-PATTERN: \"192.168.300.1\"",
            "access:6: error E-EFF-VALUE: \"yes\" is not true|false|default|only|norelay[,0|,2]",
            "access:7: error E-EFF-VALUE: \"norelay,1\" is not true|false|default|only|norelay[,0|,2]",
            "access:8: error E-EFF-SENDERTRUST: only for a sender address is forgeable; trust an IP address",
            "access:9: warning W-EFF-UNREACHABLE: \"only\" on line 8 ends the table",
            "access:10: error E-EFF-PATTERN: \"192.168.0.0/255.255.255.0\"",
            "access:11: error E-EFF-OWNDOMAIN: true for own domain domain.jp lets anyone pose as it",
        ]
    );
}

/// SEED-077: the first line from the top.
#[test]
fn order_decides() {
    let (table, problems) = parsed("192.168.0.20 true\n192.168.*.* false");
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(standing(&table, "192.168.0.20", "").0, Standing::Trusted);
    assert_eq!(standing(&table, "192.168.0.21", "").0, Standing::Refused);
    let (table, problems) = parsed("192.168.*.* false\n192.168.0.20 true");
    assert_eq!(problems, ["access:2: warning W-EFF-SHADOW: never reached, line 1 already covers it"]);
    assert_eq!(standing(&table, "192.168.0.20", "").0, Standing::Refused);
}

/// SEED-079, SEED-084.
#[test]
fn networks() {
    let (table, problems) = parsed(
        "::/0 true\n2001:db8::/31 true\n10.0.0.0/7 true\n8.0.0.0/9 true\n10.0.0.0/9 true\n::ffff:192.0.2.20 true\n\
         2001:db8:1::/48 true\n*.*.*.* false\n",
    );
    assert_eq!(
        problems,
        [
            "access:1: error E-EFF-OPENRELAY: true for ::/0 opens the relay to everyone",
            "access:2: error E-EFF-OPENRELAY: true for 2001:db8::/31 is wider than /32",
            "access:3: error E-EFF-OPENRELAY: true for 10.0.0.0/7 is wider than /8",
            "access:4: warning W-EFF-PUBLIC: true for the public network 8.0.0.0/9: all of it may relay",
        ]
    );
    assert_eq!(standing(&table, "192.0.2.20", ""), (Standing::Trusted, Some(6)));
    assert_eq!(standing(&table, "2001:db8:1::5", ""), (Standing::Trusted, Some(7)));
    assert_eq!(standing(&table, "2001:db8:2::5", ""), (Standing::Default, None));
    assert_eq!(standing(&table, "203.0.113.9", ""), (Standing::Refused, Some(8)));
}

/// SEED-080.
#[test]
fn senders() {
    let (table, problems) = parsed(
        "partner.example false\n*.spam.example false\n*@list.example norelay\nx@list.example default\n\
         sub.spam.example default\n#<> default\n#<> false\n#blank true\n#x true\na*@b.jp false\n*.jp only\n",
    );
    assert_eq!(
        problems,
        [
            "access:4: warning W-EFF-SHADOW: never reached, line 3 already covers it",
            "access:5: warning W-EFF-SHADOW: never reached, line 2 already covers it",
            "access:7: error E-EFF-NULLSENDER: <> is the sender of failure reports and is always held to the \
             built-in rules",
            "access:8: error E-EFF-BLANK: an empty MAIL FROM without brackets is always refused",
            "access:9: error E-EFF-PATTERN: \"#x\"",
            "access:10: error E-EFF-PATTERN: \"a*@b.jp\"",
            "access:11: error E-EFF-OWNDOMAIN: only for own domain domain.jp lets anyone pose as it",
        ]
    );
    for (sender, expected) in [
        ("a@partner.example", Standing::Refused),
        ("a@sub.partner.example", Standing::Default),
        ("a@x.y.spam.example", Standing::Refused),
        ("a@spam.example", Standing::Default),
        ("a@list.example", Standing::NoRelay),
        ("", Standing::Default),
    ] {
        assert_eq!(standing(&table, "203.0.113.9", sender).0, expected, "{sender:?}");
    }
}
