//! The examples of spec.md 4, as they are printed there.

use super::*;

fn file(kind: Kind, name: &str, text: &str) -> File {
    File { kind, name: name.to_owned(), octets: text.as_bytes().to_vec() }
}

fn surroundings() -> Surroundings {
    Surroundings {
        ldap_servers: None,
        own_addresses: vec!["198.51.100.11".parse().unwrap()],
        dns_servers: vec!["192.168.0.53".parse().unwrap()],
        hostname: "gw.example".to_owned(),
    }
}

fn imported(files: &[File], options: &Options, current: &[(DocumentName, &str)]) -> (Imported, Vec<String>) {
    let current: Documents = current.iter().map(|(document, text)| (*document, *text)).collect();
    let imported = import(files, options, &current, &surroundings());
    let shown = imported.problems.iter().map(ToString::to_string).collect();
    (imported, shown)
}

fn report(kind: Kind, name: &str, text: &str) -> Vec<String> {
    imported(&[file(kind, name, text)], &Options::default(), &[]).1
}

const GW_OK: &str = ";\n; 対象ドメイン, ゲートウェイ先 (FQDN or IP), 接続ポート番号\n;\ndomain.jp, 192.168.0.20, 25\n\
                     ' second site\n*.abc.jp,smtp01.domain.jp,25\n*.def.jp,smtp02.domain.jp,25\n\
                     test.jp,192.168.0.30,20025\n";

/// SEED-011 and the rest of spec.md 4.1.
#[test]
fn gateway_dat() {
    assert_eq!(
        report(Kind::Gateway, "gw-ok.dat", GW_OK),
        [
            "gw-ok.dat:6: warning W-GW-APEX: does not cover abc.jp itself",
            "gw-ok.dat:7: warning W-GW-APEX: does not cover def.jp itself",
        ]
    );
    assert_eq!(
        report(
            Kind::Gateway,
            "gw-warn.dat",
            "'-------------------------------\n-----\n対象ドメイン, ゲートウェイ先 (FQDN or IP), 接続ポート番号\n\
             domain.co.jp, 192.168.0.20\n*,smtp.domain.jp,25\nlate.example,192.168.0.40,25\n"
        ),
        [
            "gw-warn.dat:2: warning W-RULER: line of hyphens ignored",
            "gw-warn.dat:3: warning W-HEADER: column heading without comment mark ignored",
            "gw-warn.dat:4: note N-GW-PORT25: port missing, 25 used",
            "gw-warn.dat:6: warning W-GW-SHADOW: never reached, line 5 matches everything",
        ]
    );
    assert_eq!(
        report(
            Kind::Gateway,
            "gw-bad.dat",
            "domain.jp, 192.168.0.x, 25\nabc.jp,192.168.0.9,70000\na.*.jp,192.168.0.9,25\nonlyonefield\n\
             domain2.jp,192.168.0.5,25\ndomain2.jp,192.168.0.6,25\n*,192.168.0.53,25\ndomain３.jp,192.168.0.7,25\n\
             x.jp,198.51.100.11,25\n*|u@d.onmicrosoft.com,d.mail.protection.outlook.com,25\n\
             *|u@d.jp,smtp.office365.com|1XOAUTH2|blob,587\n"
        ),
        [
            "gw-bad.dat:1: error E-GW-NEXTHOP: \"192.168.0.x\" looks like an IPv4 address but is not one",
            "gw-bad.dat:2: error E-GW-PORT: \"70000\" is not 1-65535",
            "gw-bad.dat:3: error E-GW-TARGET: \"a.*.jp\" is not domain, *.domain or *",
            "gw-bad.dat:4: error E-GW-FIELDS: 1 field(s), want 2 or 3",
            "gw-bad.dat:6: error E-GW-CONFLICT: same target as line 5",
            "gw-bad.dat:7: error E-GW-DNSIP: catch-all points at a DNS server; delete the line, fall-through is \
             built in",
            "gw-bad.dat:8: error E-NONASCII: non-ASCII character in a data field",
            "gw-bad.dat:9: error E-GW-SELF: next hop is one of this cluster's own addresses",
            "gw-bad.dat:11: error E-GW-UPAUTH: upstream credentials are not imported; define them in the secret \
             store",
        ]
    );
}

/// SEED-014.
#[test]
fn the_apex_on_request() {
    let options = Options { wildcard_includes_apex: true, ..Options::default() };
    let (imported, shown) = imported(&[file(Kind::Gateway, "gw.dat", GW_OK)], &options, &[]);
    assert_eq!(shown, Vec::<String>::new());
    let routes = imported.documents.text(DocumentName::Routes);
    assert!(routes.ends_with("abc.jp,smtp01.domain.jp,25\ndef.jp,smtp02.domain.jp,25\n"), "{routes}");
}

#[test]
fn effect_dat() {
    let own =
        [(DocumentName::OwnDomains, "domain.jp\n"), (DocumentName::Aliases, "*@domain.jp\t*@domain.jp\n")];
    let of =
        |name: &str, text: &str| imported(&[file(Kind::Effect, name, text)], &Options::default(), &own).1;
    let ok = "#<> default\n#blank false\n192.168.0.20 true\npostmaster@domain.jp false\n192.168.0.50\n\
              192.168.1.0/28 false\n192.168.*.* default\n2001:db8:1::/48 default\n*.*.*.* norelay,2\n";
    assert!(of("eff-ok.dat", ok).iter().all(|line| !line.starts_with("eff-ok.dat")));
    let warnings =
        of("eff-warn.dat", "192.168.*.* default\n192.168.1.0/28 false\n10.1.2.3 only\n10.1.2.4 true\n");
    assert_eq!(
        warnings[..2],
        [
            "eff-warn.dat:2: warning W-EFF-SHADOW: never reached, line 1 already covers it",
            "eff-warn.dat:4: warning W-EFF-UNREACHABLE: \"only\" on line 3 ends the table",
        ]
    );
    assert_eq!(
        of(
            "eff-bad.dat",
            "domain.jp true\n0.0.0.0/0 true\n*.*.*.*\npartner.example true\n192.168.300.1 true\n192.168.0.1 yes\n\
             10.0.0.0/8 norelay,1\nabc.co.jp only\n192.168.0.9 true\n192.168.0.0/255.255.255.0 true\ninfo@domain.jp\n"
        ),
        [
            "eff-bad.dat:1: error E-EFF-OWNDOMAIN: true for own domain domain.jp lets anyone pose as it",
            "eff-bad.dat:2: error E-EFF-OPENRELAY: true for 0.0.0.0/0 opens the relay to everyone",
            "eff-bad.dat:3: error E-EFF-OPENRELAY: true for *.*.*.* opens the relay to everyone",
            "eff-bad.dat:4: error E-EFF-SENDERTRUST: true for a sender address is forgeable; trust an IP address",
            "eff-bad.dat:5: error E-EFF-PATTERN: \"192.168.300.1\"",
            "eff-bad.dat:6: error E-EFF-VALUE: \"yes\" is not true|false|default|only|norelay[,0|,2]",
            "eff-bad.dat:7: error E-EFF-VALUE: \"norelay,1\" is not true|false|default|only|norelay[,0|,2]",
            "eff-bad.dat:8: error E-EFF-SENDERTRUST: only for a sender address is forgeable; trust an IP address",
            "eff-bad.dat:9: warning W-EFF-UNREACHABLE: \"only\" on line 8 ends the table",
            "eff-bad.dat:10: error E-EFF-PATTERN: \"192.168.0.0/255.255.255.0\"",
            "eff-bad.dat:11: error E-EFF-OWNDOMAIN: true for own domain domain.jp lets anyone pose as it",
        ]
    );
    // A domain of this very import counts too.
    let files = [
        file(Kind::Effect, "eff.dat", "new.jp true\nrouted.jp true\n"),
        file(Kind::Aliases, "al.tsv", "*@new.jp\t*@new.jp\n"),
        file(Kind::Gateway, "gw.dat", "routed.jp,192.168.0.20,25\n"),
    ];
    let shown = imported(&files, &Options::default(), &[]).1;
    assert_eq!(shown.iter().filter(|line| line.contains("E-EFF-OWNDOMAIN")).count(), 2, "{shown:?}");
}

#[test]
fn sender_dat() {
    let user = || Kind::Sender(Some("User1@domain.jp".to_owned()));
    let current =
        [(DocumentName::SenderRules, "user1@domain.jp old@x.example deny\nother@domain.jp * allow\n")];
    let files = [
        file(Kind::Sender(None), "global.dat", "user@domain.jp,-1\n*@partner.example,0\n*,0\n"),
        file(user(), "user1.dat", "'-------\n*@domain.jp,-1\n*,0\n"),
    ];
    let (imported, shown) = imported(&files, &Options::default(), &current);
    assert_eq!(shown, Vec::<String>::new());
    assert_eq!(
        &*imported.documents.text(DocumentName::SenderRules),
        "other@domain.jp * allow\n* user@domain.jp deny\n* *@partner.example allow\n* * allow\n\
         user1@domain.jp *@domain.jp deny\nuser1@domain.jp * allow\n"
    );
    assert_eq!(
        report(Kind::Sender(None), "snd-warn.dat", "*@allowed.example,0\n"),
        ["snd-warn.dat:1: warning W-SND-DEFAULTDENY: no \"*\" line: every other recipient is refused"]
    );
    assert_eq!(
        report(user(), "snd-bad.dat", "*@domain.jp\ndomain.jp,-1\n*,5\na@b@c,-1\n"),
        [
            "snd-bad.dat:1: error E-SND-FIELDS: 1 field(s), want 2",
            "snd-bad.dat:2: error E-SND-PATTERN: \"domain.jp\" is not *, *@domain or user@domain",
            "snd-bad.dat:3: error E-SND-OPTION: \"5\" is not 0 or -1",
            "snd-bad.dat:4: error E-SND-PATTERN: \"a@b@c\" is not *, *@domain or user@domain",
        ]
    );
}

/// SEED-047, SEED-051.
#[test]
fn alias_export() {
    assert_eq!(
        report(
            Kind::Aliases,
            "al-bad.tsv",
            "info\tinfo@domain.jp\nuser1@domain.jp user1@domain.jp\nuser1@domain.jp\ta@domain.jp\n\
             user1@domain.jp\tb@domain.jp\n*@a.jp\tfixed@*\nx@loop.jp\ty@loop.jp\ny@loop.jp\tx@loop.jp\n"
        ),
        [
            "al-bad.tsv:1: error E-AL-NODOMAIN: both sides need a domain",
            "al-bad.tsv:2: error E-AL-FIELDS: 1 field(s), want 2 separated by TAB",
            "al-bad.tsv:4: error E-AL-CONFLICT: \"user1@domain.jp\" already on line 3",
            "al-bad.tsv:5: error E-AL-PATTERN: \"*@a.jp\" -> \"fixed@*\"",
            "al-bad.tsv:6: error E-AL-LOOP: x@loop.jp -> y@loop.jp -> x@loop.jp",
            "al-bad.tsv:7: error E-AL-LOOP: y@loop.jp -> x@loop.jp -> y@loop.jp",
        ]
    );
    // Idempotent: what is there is not added again; --sync removes the rest.
    let current = [
        (DocumentName::OwnDomains, "domain.jp\n"),
        (DocumentName::Aliases, "user1@domain.jp\tuser1@domain.jp\nold@domain.jp\told@domain.jp\n"),
        (DocumentName::Routes, "*,192.168.0.20,25\n"),
    ];
    let same =
        file(Kind::Aliases, "al.tsv", "user1@domain.jp\tuser1@domain.jp\nuser2@domain.jp\tuser2@domain.jp\n");
    let (done, shown) = imported(std::slice::from_ref(&same), &Options::default(), &current);
    assert_eq!(shown, ["al.tsv:1: warning W-DUP: same entry as aliases:1"]);
    assert_eq!(
        &*done.documents.text(DocumentName::Aliases),
        "user1@domain.jp\tuser1@domain.jp\nold@domain.jp\told@domain.jp\nuser2@domain.jp\tuser2@domain.jp\n"
    );
    let sync = Options { sync: true, ..Options::default() };
    let (done, _) = imported(&[same], &sync, &current);
    assert!(!done.documents.text(DocumentName::Aliases).contains("old@"));
    let other = file(Kind::Aliases, "al.tsv", "user1@domain.jp\tb@domain.jp\n");
    let (done, shown) = imported(&[other], &Options::default(), &current);
    assert_eq!(shown, ["al.tsv:1: error E-AL-CONFLICT: \"user1@domain.jp\" has another target in aliases:1"]);
    assert!(done.has_errors());
}

/// SEED-050.
#[test]
fn account_file() {
    let options = Options { domain: Some("domain.co.jp".parse().unwrap()), ..Options::default() };
    let bad = "user1\tp\tn\tdomain.co.jp\tHome\t1\t1\t0\t1\nuser 2\tp\tn\tdomain.co.jp\tHome\t1\t1\t0\t1\t1\n\
               user3\t\tn\tdomain.co.jp\tHome\t1\t1\t0\t1\t1\nuser4\tp\tn\tother.jp\tHome\t1\t1\t0\t1\t1\n\
               user5\tp\tn\tdomain.co.jp\tHome\t2\t1\tx\t1\t1\nUSER6\tp\tn\tdomain.co.jp\tHome\t0\t1\t0\t1\t1\n\
               user6\tp\tn\tdomain.co.jp\tHome\t0\t1\t0\t1\t1\n";
    let (imported_bad, shown) = imported(&[file(Kind::Accounts, "ac-bad.tsv", bad)], &options, &[]);
    assert_eq!(
        shown,
        [
            "ac-bad.tsv:1: error E-AC-FIELDS: 9 field(s), want 10",
            "ac-bad.tsv:2: error E-AC-NAME: \"user 2\"",
            "ac-bad.tsv:3: error E-AC-NOPASS: SMTP-AUTH is 1 but the password is empty",
            "ac-bad.tsv:4: error E-AC-DOMAIN: \"other.jp\" is not the domain being imported (domain.co.jp)",
            "ac-bad.tsv:5: error E-AC-FLAG: SMTP-AUTH is \"2\", want 0 or 1",
            "ac-bad.tsv:5: error E-AC-SIZE: mailbox limit is \"x\"",
            "ac-bad.tsv:7: error E-AC-DUP: same address as line 6",
        ]
    );
    assert!(imported_bad.has_errors());

    let ok = "user1\tpass1234\tuser one\tdomain.co.jp\tHome\t1\t1\t0\t1\t1\n\
              user2\tpass5678\tuser two\tdomain.co.jp\t\t1\t0\t1048576\t0\t0\r\n\
              bucho\tx9Yz\t部長\ttest.jp\t\t0\t0\t0\t1\t1\n";
    let files = [
        file(Kind::Accounts, "ac-ok.tsv", ok),
        file(Kind::Apop("bucho@test.jp".to_owned()), "apop.dat", "a secret that is longer\nrest"),
        file(Kind::Gateway, "gw.dat", "domain.co.jp, 192.168.0.20, 25\ntest.jp,192.168.0.30,20025\n"),
    ];
    let (done, shown) = imported(&files, &Options::default(), &[]);
    assert_eq!(
        shown,
        [
            "apop.dat:1: note N-AP-LONG: longer than the 14 characters that the product allowed; taken as it is"
        ]
    );
    let text = |document| done.documents.text(document).to_string();
    assert_eq!(text(DocumentName::OwnDomains), "domain.co.jp\ntest.jp\n");
    assert_eq!(
        text(DocumentName::Accounts),
        "user1@domain.co.jp\tname=user one\nuser2@domain.co.jp\tname=user two\nbucho@test.jp\tname=部長\n"
    );
    let secrets: Vec<(&str, bool)> =
        done.secrets.iter().map(|secret| (secret.address.as_str(), secret.must_change)).collect();
    assert_eq!(
        secrets,
        [("bucho@test.jp", false), ("user1@domain.co.jp", true), ("user2@domain.co.jp", true)]
    );
    assert!(!format!("{done:?}").contains("pass1234"), "a secret is never shown");
    // Once more: nothing changes, and it is said.
    let current: Vec<(DocumentName, String)> =
        DocumentName::ALL.map(|document| (document, text(document))).into();
    let current: Vec<(DocumentName, &str)> =
        current.iter().map(|(document, text)| (*document, text.as_str())).collect();
    let (again, shown) = imported(&files[..1], &Options::default(), &current);
    assert_eq!(shown.len(), 3, "{shown:?}");
    assert!(shown[0].contains("note N-AC-EXISTS"));
    assert_eq!(again.documents.text(DocumentName::Accounts), done.documents.text(DocumentName::Accounts));
    assert!(again.secrets.is_empty());
}

#[test]
fn pmail_lists() {
    let ok = "192.168.0.100,255.255.255.255\n192.168.1.1,255.255.255.0\n203.0.113.0/28\n::1/128\n2001:db8:10::/48\n";
    let (done, shown) = imported(
        &[file(Kind::Pmail, "pm-ok.txt", ok), file(Kind::PmailConnect, "connect.txt", "198.18.0.0/24\n")],
        &Options::default(),
        &[],
    );
    assert_eq!(shown, ["pm-ok.txt:2: warning W-PM-HOSTBITS: read as 192.168.1.0/24"]);
    assert_eq!(&*done.documents.text(DocumentName::Connections), "198.18.0.0/24 accept\n");
    assert_eq!(
        report(
            Kind::Pmail,
            "pm-bad.txt",
            "192.168.0.100\n192.168.0.1,255.0.255.0\n10.0.0.0/33\n::1/CIDR\n0.0.0.0,0.0.0.0\n::/0\n\
             192.168.0.1, 255.255.255.255 # note\n"
        ),
        [
            "pm-bad.txt:1: error E-PM-FORMAT: \"192.168.0.100\" has neither mask nor prefix length",
            "pm-bad.txt:2: error E-PM-MASK: mask 255.0.255.0 has holes",
            "pm-bad.txt:3: error E-PM-FORMAT: \"10.0.0.0/33\"",
            "pm-bad.txt:4: error E-PM-FORMAT: \"::1/CIDR\"",
            "pm-bad.txt:5: error E-PM-OPENRELAY: 0.0.0.0/0 opens the relay to everyone",
            "pm-bad.txt:6: error E-PM-OPENRELAY: ::/0 opens the relay to everyone",
            "pm-bad.txt:7: error E-PM-FORMAT: \"192.168.0.1, 255.255.255.255 # note\"",
        ]
    );
}

/// SEED-002: a smart host beside a table is told with both values.
#[test]
fn single_settings() {
    let scalars = "smarthost = 192.168.0.20\nforward_all = on\nretry_interval = 600\nretry_fixed = on\nretry_5xx = 9\n\
                   give_up_temp = 28800\ngive_up_noreply = 86400\nmx_cache = 864000\nsend_timeout = 1200\nmax_received = 20\nslots = 30\n";
    let files = [
        file(Kind::Scalars, "set.txt", scalars),
        file(Kind::Gateway, "gw.dat", "domain.jp,192.168.0.20,25\n"),
        file(Kind::Usetime, "usetime.dat", "x"),
    ];
    // What is said already stays.
    let traffic = [(DocumentName::Traffic, "destination * connections=3 retry_base=120s\n")];
    let (done, shown) = imported(&files[..2], &Options::default(), &traffic);
    assert_eq!(
        shown,
        [
            "set.txt:1: warning W-LOOPRISK: [192.168.0.20]:25 takes what the routes leave; it must not send that \
             back here",
            "set.txt:5: note N-5XX: a 5yz is final here; the sender hears of it at once",
            "set.txt:8: note N-SC-MXCACHE: answers are kept as long as DNS says, and a day at most",
            "set.txt:9: note N-SC-TIMEOUT: each command has the time of RFC 5321 4.5.3.2 here",
            "set.txt:11: note N-SC-SLOTS: each destination has its own sessions here",
        ]
    );
    assert_eq!(
        &*done.documents.text(DocumentName::Traffic),
        "destination * connections=3 retry_base=600s backoff=fixed give_up_temp=28800s give_up_noreply=86400s\n"
    );
    assert_eq!(&*done.documents.text(DocumentName::Settings), "max_received = 20\n");
    let (refused, shown) = imported(&files, &Options { strict: true, ..Options::default() }, &[]);
    assert!(refused.has_errors());
    assert!(shown.iter().any(|line| line.starts_with("usetime.dat:1: error E-UT-UNSUPPORTED")), "{shown:?}");
}

/// SEED-031.
/// A problem stands at its own line, and a problem of the past is none of the import's.
#[test]
fn places_of_problems() {
    let scalars = file(Kind::Scalars, "set.txt", "retry_interval = 0\ngive_up_temp = 28800\n");
    let (_, shown) = imported(&[scalars], &Options::default(), &[]);
    assert!(shown[0].starts_with("set.txt:1: error E-TR-"), "{shown:?}");
    let standing =
        [(DocumentName::OwnDomains, "domain.jp\n"), (DocumentName::Aliases, "*@domain.jp\t*@domain.jp\n")];
    let strict = Options { strict: true, ..Options::default() };
    let (clean, shown) = imported(&[file(Kind::Pmail, "pm.txt", "192.168.0.0/24\n")], &strict, &standing);
    assert!(!clean.has_errors(), "{shown:?}");
}

/// Spec.md 4.0: a secret is never shown.
#[test]
fn secrets_of_upstream_hosts_are_not_shown() {
    let text =
        "*|u@d.jp,smtp.office365.com|1XOAUTH2|id,SECRETBLOB,587\n*|u@d.jp|1XOAUTH2|SECRETBLOB,h.jp,25\n";
    let shown = report(Kind::Gateway, "gw.dat", text);
    assert_eq!(shown.len(), 2);
    assert!(
        shown.iter().all(|line| line.contains("E-GW-UPAUTH") && !line.contains("SECRETBLOB")),
        "{shown:?}"
    );
}

/// The product delivered to local mailboxes before it looked at the table.
#[test]
fn mailboxes_come_before_the_table() {
    let files = [
        file(Kind::Scalars, "set.txt", "forward_all = off\n"),
        file(Kind::Accounts, "ac.tsv", "user1\tp\tn\tdomain.jp\t\t0\t0\t0\t1\t1\n"),
        file(Kind::Gateway, "gw.dat", "*,up.example,25\n"),
    ];
    let options = Options { mailbox_host: Some("192.168.0.20".to_owned()), ..Options::default() };
    let (done, shown) = imported(&files, &options, &[]);
    assert!(!done.has_errors(), "{shown:?}");
    assert_eq!(&*done.documents.text(DocumentName::Routes), "domain.jp,192.168.0.20,25\n*,up.example,25\n");
}

/// SEED-034: and what the inner server must hold.
#[test]
fn local_mailboxes() {
    let files = [
        file(Kind::Accounts, "ac.tsv", "user1\tp\tn\tdomain.jp\t\t0\t0\t0\t1\t1\n"),
        file(Kind::Scalars, "set.txt", "forward_all = off\n"),
    ];
    let (_, shown) = imported(&files, &Options::default(), &[]);
    assert_eq!(
        shown,
        ["set.txt:1: error E-FWD-LOCALBOXES: 1 accounts would have local mailboxes; give --mailbox-host"]
    );
    let options = Options { mailbox_host: Some("192.168.0.20:25".to_owned()), ..Options::default() };
    let (done, shown) = imported(&files, &options, &[]);
    assert_eq!(shown, Vec::<String>::new());
    assert_eq!(&*done.documents.text(DocumentName::Routes), "domain.jp,192.168.0.20,25\n");
    assert!(done.migration.iter().any(|line| line.contains("gw.example, without a port")));
}
