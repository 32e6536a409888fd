//! SEED-222: the configurations of the scenarios, with the DNS as it should be, are no faults. Mode A alone is
//! warned of, always (SEED-041).

use std::net::SocketAddr;

use hikyaku_testkit::mx::{Script, ScriptedMx};

use super::{Gateway, INNER, access_table, account_file, relay_list};

type Files = Vec<(&'static str, &'static str, String)>;

/// Name, files of the import, own domains, and what is said.
fn scenarios(inner: SocketAddr) -> Vec<(&'static str, Files, &'static [&'static str])> {
    let (ip, port) = (inner.ip(), inner.port());
    let route = |domains: &[&str]| -> String {
        domains.iter().map(|domain| format!("{domain}, {ip}, {port}\n")).collect()
    };
    vec![
        (
            "1, mode A",
            vec![
                ("alias", "al.tsv", "*@domain.jp\t*@domain.jp\n".to_owned()),
                ("gateway", "gw.dat", route(&["domain.jp"])),
                ("effect", "eff.dat", "127.0.0.20 true\n".to_owned()),
            ],
            &["D-MODE-A"],
        ),
        (
            "2, mode B",
            vec![
                ("alias", "al.tsv", "user1@domain.co.jp\tuser1@domain.co.jp\n".to_owned()),
                ("gateway", "gw.dat", route(&["domain.co.jp"])),
            ],
            &[],
        ),
        (
            "3, mode C",
            vec![
                ("accounts", "ac.tsv", account_file::GOOD.to_owned()),
                ("gateway", "gw.dat", route(&["domain.co.jp", "test.jp"])),
            ],
            &[],
        ),
        (
            "4, the access table",
            vec![
                ("alias", "al.tsv", "user1@domain.jp\tuser1@domain.jp\n".to_owned()),
                ("accounts", "ac.tsv", access_table::ACCOUNTS.to_owned()),
                ("gateway", "gw.dat", route(&["domain.co.jp", "domain.jp"])),
                ("effect", "eff.dat", access_table::effect("*.*.*.* norelay,2")),
            ],
            &[],
        ),
        (
            "11, the relay list",
            vec![
                ("alias", "al.tsv", "info@example.jp\tinfo@example.jp\n".to_owned()),
                ("gateway", "gw.dat", route(&["example.jp"])),
                ("pmail", "pm.txt", relay_list::LIST.to_owned()),
                ("pmail-connect", "connect.txt", relay_list::LIST.to_owned()),
            ],
            &[],
        ),
    ]
}

#[tokio::test]
async fn seed_222_no_scenario_is_taken_for_a_fault() -> anyhow::Result<()> {
    let gateway = Gateway::start().await?;
    let inner = ScriptedMx::start_at(format!("{INNER}:0").parse()?, Script::Accept).await?;
    let dns = &gateway.lab.dns;
    dns.address_of("gw.test", "127.0.0.11".parse()?);
    for domain in ["domain.jp", "domain.co.jp", "test.jp", "example.jp"] {
        dns.mx(domain, 10, "gw.test");
        dns.text(domain, "v=spf1 mx -all");
    }
    for (scenario, files, expected) in scenarios(inner.address()) {
        let files: Vec<_> =
            files.iter().map(|(option, name, text)| (*option, *name, text.as_str())).collect();
        gateway.import(&files, &[]).await?;
        let said: serde_json::Value = serde_json::from_str(&gateway.relay.ctl(&["--json", "doctor"]).await?)?;
        let findings = said["findings"].as_array().cloned().unwrap_or_default();
        let codes: Vec<&str> = findings.iter().filter_map(|finding| finding["code"].as_str()).collect();
        assert_eq!(codes, expected, "{scenario}: {said:#}");
        empty(&gateway).await?;
    }
    Ok(())
}

/// As before the first import.
async fn empty(gateway: &Gateway) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    for name in ["own-domains", "aliases", "accounts", "credentials", "routes", "access", "relay-networks"] {
        std::fs::write(folder.path().join(name), "")?;
    }
    std::fs::write(folder.path().join("connections"), "")?;
    let path = folder.path().to_string_lossy().into_owned();
    let checked = gateway.relay.ctl(&["check", &path]).await?;
    assert_eq!(checked, "0 errors, 0 warnings; would be applied\n");
    gateway.relay.ctl(&["directory", "apply", &path]).await?;
    assert_eq!(gateway.relay.ctl(&["check"]).await?, checked, "what is in force");
    Ok(())
}
