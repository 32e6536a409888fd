//! Scenario 3: mode C from an account file, refused as a whole, then taken.

use hikyaku_testkit::eventually::eventually;

use super::{EXT, Gateway};
use crate::lab::{CONTENT, SOON};

pub(super) const GOOD: &str = "user1\tpass1234\tuser one\tdomain.co.jp\tHome\t1\t1\t0\t1\t1\n\
                    user2\tpass5678\tuser two\tdomain.co.jp\t\t1\t0\t1048576\t0\t0\n\
                    bucho\tx9Yz\t部長\ttest.jp\t\t0\t0\t0\t1\t1\n";
const BAD: &str = "user1\tpass1234\tuser one\tdomain.co.jp\tHome\t1\t1\t0\t1\t1\n\
                   user2\tpass5678\tuser two\tdomain.co.jp\t\t1\t0\t1048576\t0\n";

#[tokio::test]
async fn scenario_3_accounts() -> anyhow::Result<()> {
    let gateway = Gateway::start().await?;
    let address = gateway.inner_address();
    let (ip, port) = (address.ip(), address.port());
    let routes = format!("domain.co.jp, {ip}, {port}\ntest.jp,{ip},{port}\n");
    gateway.import(&[("gateway", "gw.dat", &routes)], &[]).await?;
    let before = gateway.version().await?;

    let said = gateway.refused(&[("accounts", "ac.tsv", BAD)]).await;
    assert!(said.contains("ac.tsv:2: error E-AC-FIELDS: 9 field(s), want 10\n"), "{said}");
    assert!(said.contains("1 errors, 0 warnings; nothing applied\n"), "{said}");
    assert_eq!(gateway.version().await?, before);
    let user1 = ["MAIL FROM:<a@x.example>", "RCPT TO:<user1@domain.co.jp>"];
    assert_eq!(gateway.says(EXT, &user1).await?[1], "550 5.7.1");

    let settings = ("settings", "set.txt", "forward_all = on\n");
    let said = gateway.import(&[("accounts", "ac.tsv", GOOD), settings], &[]).await?;
    assert!(said.contains(&format!("applied as version {}\n", before + 1)), "{said}");
    assert!(said.contains("inner server: its single gateway field must hold gw.test"), "{said}");
    eventually(SOON, async || {
        let said = gateway.says(EXT, &["MAIL FROM:<a@x.example>", "RCPT TO:<user1@domain.co.jp>"]).await;
        match said {
            Ok(said) if said[1] == "250 2.1.5" => Ok(()),
            said => Err(format!("{said:?}")),
        }
    })
    .await;
    let said = gateway
        .says(
            EXT,
            &[
                "MAIL FROM:<a@x.example>",
                "RCPT TO:<nobody@domain.co.jp>",
                "RCPT TO:<bucho@test.jp>",
                "RCPT TO:<postmaster@domain.co.jp>",
            ],
        )
        .await?;
    assert_eq!(said[1..], ["550 5.1.1", "250 2.1.5", "250 2.1.5"]);
    let mut client = gateway.client(EXT).await?;
    client.send_mail("a@x.example", &["bucho@test.jp"], CONTENT).await?;
    eventually(SOON, async || match gateway.inner.received_count() {
        1 => Ok(()),
        count => Err(count.to_string()),
    })
    .await;

    // SEED-112: the clear secret is nowhere: in no file, no log, no answer.
    let everything = gateway.relay.ctl(&["directory", "get", "accounts"]).await?
        + &gateway.relay.ctl(&["--json", "directory", "get"]).await?
        + &gateway.relay.log().iter().map(ToString::to_string).collect::<String>();
    let folder = gateway.lab.folder.path().join("export");
    let exported = folder.to_string_lossy().into_owned();
    gateway.relay.ctl(&["directory", "export", &exported, "--with-credentials"]).await?;
    let credentials = std::fs::read_to_string(folder.join("credentials"))?;
    assert_eq!(credentials.lines().count(), 4, "two accounts with two verifiers each");
    for secret in ["pass1234", "pass5678", "x9Yz"] {
        assert!(!everything.contains(secret) && !credentials.contains(secret), "{secret}");
    }
    let stored = std::process::Command::new("grep")
        .args(["-rlaF", "pass1234"])
        .arg(gateway.lab.folder.path().join("data"))
        .output()?;
    assert_eq!(String::from_utf8_lossy(&stored.stdout), "", "in the store");
    Ok(())
}
