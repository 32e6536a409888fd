//! Valid documents and files of the old products, from which the mutated ones are made. Each line shape of
//! each format is here once.

use crate::{document::DocumentName, import::Kind};

pub(super) const DOCUMENTS: [(DocumentName, &str); 14] = [
    (DocumentName::OwnDomains, "; ours\ndomain.jp\nabc.jp\nxn--wgv71a119e.jp\n"),
    (
        DocumentName::Connections,
        "192.0.2.0-192.0.2.9 refuse\n198.18.0.0/24 accept\n2001:db8:66::/48 refuse\n203.0.113.7 refuse\n",
    ),
    (
        DocumentName::Access,
        "#<> default\n#blank false\n192.168.0.20 true\npostmaster@domain.jp false\n192.168.0.50 rate=60/m\n\
         192.168.1.0/28 false\n192.168.*.* default\n2001:db8:1::/48 default\nbad.example false\n\
         203.*.*.* norelay,2\n",
    ),
    (DocumentName::RelayNetworks, "192.168.0.100,255.255.255.255\n10.1.0.0/16\n::1/128\n2001:db8:10::/48\n"),
    (
        DocumentName::Aliases,
        "*@abc.jp\t*@abc.jp\nuser1@domain.jp\tuser1@domain.jp\ninfo@domain.jp\tuser1@domain.jp\n\
         vip@z.example\tuser2@domain.jp\n\
         admin@domain.jp\tuser1@domain.jp\n*@xn--wgv71a119e.jp\t*@domain.jp\n",
    ),
    (
        DocumentName::Accounts,
        "user1@domain.jp\tname=user one\nuser2@domain.jp\tname=部長\tsmtp=off\nuser3@domain.jp\treceive=off\n\
         user4@domain.jp\thours=Mon-Fri 09:00-12:00,13:00-18:00 Sat 22:00-02:00 Asia/Tokyo\treceive_hours=daily 08:00-20:00 -03:30\n",
    ),
    (
        DocumentName::Sources,
        "domain.jp recipients=next-hop\nabc.jp recipients=ldap:corp when-down=accept\n\
         xn--wgv71a119e.jp login=ldap:corp\n",
    ),
    (DocumentName::Credentials, ""),
    (
        DocumentName::SenderRules,
        "user1@domain.jp *@rival.example deny\nuser1@domain.jp * allow\n* a@b.example deny\n* * allow\n",
    ),
    (
        DocumentName::Routes,
        "domain.jp, 192.168.0.20, 25\n*.abc.jp,smtp01.domain.jp,25\nabc.jp,2001:db8::20,2525\n\
         *|user1@domain.jp, up.example, 587\nx.example|*@domain.jp,192.168.0.9,25\n\
         t.example,192.168.0.30,25,expires=2030-01-01T00:00:00Z\nlg.jp,192.168.9.9\n",
    ),
    (DocumentName::SmartHost, "relay.example.net:587\n"),
    (DocumentName::Hosts, "mx1.example.net 192.0.2.5 2001:db8::5\nsmtp01.domain.jp 192.168.0.21\n"),
    (
        DocumentName::Traffic,
        "destination example.org connections=5 rate=50/s recipients=50 egress=clean a_after_mx_failure=yes seven_bit=yes\n\
         destination *.slow.example retry_base=10m retry_cap=2h give_up_temp=3d backoff=fixed jitter=0.2\n\
         destination [192.168.0.20]:25 connections=40 messages_per_connection=7 timeout_data=20m timeout_message=2h retry_5xx=2\n\
         destination [*] give_up_noreply=1d login=smart-1\ndestination *.bank.example tls=required\nsite *.google.com,*.googlemail.com connections=30\n\
         source 192.168.7.0/24 rate=2000/h\nsource @news.example bulk=yes share=30%\n\
         egress clean 192.0.2.10 name mx1.example.net\negress clean 192.0.2.11 via 10.0.0.5:1080\ndefaults off\n",
    ),
    (
        DocumentName::Settings,
        "postmaster = admin@domain.jp\nown_senders = protect\nown_addresses = 198.51.100.12\nsender_trust = 2\nmax_received = 20\n\
         lock_after_failures = 5\nlock_minutes = 30\n",
    ),
];

/// Kind and text; a file has the name of its place.
pub(super) fn files() -> Vec<(Kind, &'static str)> {
    vec![
        (
            Kind::Gateway,
            ";\n; 対象ドメイン, ゲートウェイ先 (FQDN or IP), 接続ポート番号\n対象ドメイン, 先, 番号\n-----\n\
             test.jp, 192.168.0.20, 25\n' second site\n*.abc.jp,smtp01.domain.jp,25\ndef.jp,192.168.0.30\n\
             *|u@d.onmicrosoft.com,d.mail.protection.outlook.com,25\n日本語.jp,mx.日本語.jp,25\n",
        ),
        (
            Kind::Effect,
            "#<> default\n#blank false\n192.168.0.20 true\npostmaster@domain.jp false\n192.168.0.50\n\
             192.168.1.0/28 false\n192.168.*.* default\n10.1.2.3 only\n",
        ),
        (Kind::Sender(Some("user1@domain.jp".to_owned())), "'-------\n*@rival.example,-1\n*,0\n"),
        (Kind::Sender(None), "user@domain.jp,-1\n*@partner.example,0\n*,0\n"),
        (
            Kind::Aliases,
            "user9@domain.jp\tuser9@domain.jp\n*@new.jp\t*@new.jp\nold@domain.jp\tuser1@domain.jp\n",
        ),
        (
            Kind::Accounts,
            "user7\tpass1234\tuser seven\tdomain.jp\tHome\t1\t1\t0\t1\t1\n\
             user8\tpass5678\t部長\tdomain.jp\t\t0\t0\t1048576\t0\t0\r\n",
        ),
        (Kind::Pmail, "192.168.0.100,255.255.255.255\n192.168.1.1,255.255.255.0\n203.0.113.0/28\n::1/128\n"),
        (Kind::PmailConnect, "198.18.0.0/24\n192.168.1.1,255.255.255.0\n"),
        (Kind::Apop("user1@domain.jp".to_owned()), "a secret\nrest"),
        (
            Kind::Scalars,
            "smarthost = up.example\nforward_all = on\nretry_interval = 600\nretry_fixed = on\nretry_5xx = 9\n\
             give_up_temp = 28800\ngive_up_noreply = 86400\nmx_cache = 864000\nsend_timeout = 1200\n\
             max_received = 20\nslots = 30\n",
        ),
        (Kind::Usetime, "x"),
    ]
}

/// What nobody expects at this place.
pub(super) const STRANGE: [&str; 48] = [
    "",
    " ",
    "\t",
    "\n",
    "\r",
    "\0",
    "\u{feff}",
    "\u{85}",
    "\u{2028}",
    "\u{202e}",
    "\u{1b}[31m",
    ";",
    "'",
    "#",
    "*",
    "*.*",
    "@",
    "<>",
    "|",
    ",",
    "=",
    ":",
    "[",
    "]",
    "/",
    "%",
    "..",
    "-",
    "--",
    "0",
    "-1",
    "00",
    "65536",
    "18446744073709551616",
    "1e308",
    "0.0.0.0/0",
    "::/0",
    "::ffff:0.0.0.0/96",
    "255.0.255.0",
    "300.1.1.1",
    "[::1]:25",
    "日本語.jp",
    "xn--a",
    "\u{301}",
    "expires=9999-12-31T23:59:60Z",
    "99999999999d",
    "norelay,1",
    "allow",
];
