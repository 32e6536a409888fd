//! Scenario 4: the access table, its order, and lines that are refused. Rows with AUTH are in the
//! tests of submission.

use hikyaku_testkit::eventually::eventually;

use super::{EXT, Gateway};
use crate::lab::SOON;

pub(super) fn effect(last: &str) -> String {
    format!(
        "#<> default\n#blank false\n127.0.0.20 true\npostmaster@domain.jp false\n127.0.0.50\n127.0.1.0/28 false\n\
         127.0.*.* default\n2001:db8:1::/48 default\n{last}\n"
    )
}

/// Who may log in.
pub(super) const ACCOUNTS: &str = "user1\tpass1234\tuser one\tdomain.co.jp\t\t1\t0\t0\t1\t1\n";
const BAD: &str = "domain.jp true\n0.0.0.0/0 true\n*.*.*.*\npartner.example true\n192.168.300.1 true\n192.168.0.1 yes\n\
                   10.0.0.0/8 norelay,1\nabc.co.jp only\n192.168.0.9 true\n192.168.0.0/255.255.255.0 true\ninfo@domain.jp\n";

async fn rows(gateway: &Gateway) -> anyhow::Result<()> {
    for (from, commands, expected) in [
        (
            "127.0.0.50",
            &["MAIL FROM:<scan@nowhere.example>", "RCPT TO:<v@z.test>", "RCPT TO:<nobody@domain.co.jp>"][..],
            &["250 2.1.0", "250 2.1.5", "550 5.1.1"][..],
        ),
        (
            "127.0.0.60",
            &["MAIL FROM:<a@x.example>", "RCPT TO:<v@z.test>", "RCPT TO:<user1@domain.co.jp>"],
            &["250 2.1.0", "550 5.7.1", "250 2.1.5"],
        ),
        ("127.0.1.5", &["MAIL FROM:<a@x.example>"], &["550 5.7.1"]),
        ("127.0.0.20", &["MAIL FROM:<c@domain.co.jp>", "RCPT TO:<v@z.test>"], &["250 2.1.0", "250 2.1.5"]),
        (EXT, &["MAIL FROM:<postmaster@domain.jp>"], &["550 5.7.1"]),
        (
            EXT,
            &["MAIL FROM:<>", "RCPT TO:<v@z.test>", "RCPT TO:<user1@domain.co.jp>"],
            &["250 2.1.0", "550 5.7.1", "250 2.1.5"],
        ),
        (EXT, &["MAIL FROM:"], &["501 5.5.4"]),
    ] {
        assert_eq!(gateway.says(from, commands).await?, expected, "{from} {commands:?}");
    }
    Ok(())
}

/// SEED-063 too: MAIL FROM without brackets.
#[tokio::test]
async fn scenario_4_the_access_table() -> anyhow::Result<()> {
    let gateway = Gateway::start().await?;
    let address = gateway.inner_address();
    let route = format!("domain.co.jp,{0},{1}\ndomain.jp,{0},{1}\n", address.ip(), address.port());
    let aliases = "user1@domain.co.jp\tuser1@domain.co.jp\nuser1@domain.jp\tuser1@domain.jp\n";
    let table = effect("*.*.*.* norelay,2");
    gateway
        .import(
            &[
                ("alias", "al.tsv", aliases),
                ("accounts", "ac.tsv", ACCOUNTS),
                ("gateway", "gw.dat", &route),
                ("effect", "eff-ok.dat", &table),
            ],
            &[],
        )
        .await?;
    rows(&gateway).await?;

    let before = gateway.version().await?;
    let said = gateway.refused(&[("effect", "eff-bad.dat", BAD)]).await;
    let lines: Vec<&str> = said.lines().filter(|line| line.contains("eff-bad.dat:")).collect();
    assert_eq!(lines.len(), 11, "{said}");
    assert!(said.contains("10 errors, 1 warnings; nothing applied"), "{said}");
    assert_eq!(gateway.version().await?, before);
    rows(&gateway).await?;

    // SEED-032: the way to the answer, line by line.
    let why = gateway
        .relay
        .ctl(&["explain", "--client", EXT, "--from", "a@x.example", "--to", "user1@domain.jp"])
        .await?;
    for line in ["access:9", "aliases:2", "routes:2", "RCPT: 250 2.1.5", "decided by aliases:2"] {
        assert!(why.contains(line), "{line}: {why}");
    }
    // SEED-228: said to the port by a stranger; this machine's usual address is none.
    let port = gateway.relay.smtp().to_string();
    let tested = gateway.relay.ctl(&["selftest", "relay", "--smtp", &port]).await?;
    assert!(tested.contains("30 of 30 refused"), "{tested}");

    let changed = effect("*.*.*.* norelay,0");
    gateway.import(&[("effect", "eff.dat", &changed)], &[]).await?;
    eventually(SOON, async || {
        let why = ["explain", "--client", EXT, "--from", "user1@domain.co.jp", "--to", "v@z.test"];
        let why = [&why[..], &["--login", "user1@domain.co.jp", "--submission"]].concat();
        match gateway.relay.ctl(&why).await {
            Ok(said) if said.contains("RCPT: 550 5.7.1") => Ok(()),
            said => Err(format!("{said:?}")),
        }
    })
    .await;
    Ok(())
}

/// SEED-081: the 61st message of a minute is put off, of this device alone.
#[tokio::test]
async fn seed_081_a_device_may_send_so_much() -> anyhow::Result<()> {
    let gateway = Gateway::start().await?;
    gateway.import(&[("effect", "eff.dat", "127.0.0.50 true rate=60/min\n127.0.0.51 true\n")], &[]).await?;
    for device in ["127.0.0.50", "127.0.0.51"] {
        let mut client = gateway.client(device).await?;
        for _ in 0..60 {
            client.expect("MAIL FROM:<scan@nowhere.example>").await?;
            client.expect("RSET").await?;
        }
    }
    assert_eq!(gateway.says("127.0.0.50", &["MAIL FROM:<scan@nowhere.example>"]).await?, ["450 4.7.1"]);
    assert_eq!(gateway.says("127.0.0.51", &["MAIL FROM:<scan@nowhere.example>"]).await?, ["250 2.1.0"]);
    Ok(())
}
