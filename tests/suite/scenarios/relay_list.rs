//! Scenario 11: the relay list of PMail Server, and X-Relay.

use hikyaku_testkit::eventually::eventually;

use super::{EXT, Gateway};
use crate::lab::SOON;

pub(super) const LIST: &str = "127.0.0.100,255.255.255.255\n127.0.1.1,255.255.255.0\n127.3.113.0/28\n";

#[tokio::test]
async fn scenario_11_the_relay_list() -> anyhow::Result<()> {
    let gateway = Gateway::start().await?;
    let address = gateway.inner_address();
    let aliases = "info@example.jp\tinfo@example.jp\ninfo2@example.jp\tinfo2@example.jp\n";
    let route = format!("example.jp,{},{}\n", address.ip(), address.port());
    let connect = format!("{LIST}127.18.0.0/24\n");
    let said = gateway
        .import(
            &[
                ("alias", "al.tsv", aliases),
                ("gateway", "gw.dat", &route),
                ("pmail", "pm-ok.txt", LIST),
                ("pmail-connect", "connect.txt", &connect),
            ],
            &[],
        )
        .await?;
    assert!(said.contains("pm-ok.txt:2: warning W-PM-HOSTBITS: read as 127.0.1.0/24"), "{said}");

    let table = [
        ("127.0.0.100", "info@example.com", "x@z.test", "250 2.1.5"),
        ("127.0.0.101", "info@example.com", "x@z.test", "550 5.7.1"),
        ("127.0.1.255", "info@example.com", "x@z.test", "250 2.1.5"),
        ("127.3.113.15", "info@example.com", "x@z.test", "250 2.1.5"),
        ("127.3.113.16", "info@example.com", "x@z.test", "550 5.7.1"),
        ("127.18.0.7", "info@example.com", "x@z.test", "550 5.7.1"),
        (EXT, "info@example.com", "info@example.jp", "250 2.1.5"),
        ("127.0.0.100", "info@example.com", "info@example.jp", "250 2.1.5"),
    ];
    for (from, sender, to, expected) in table {
        let commands = [format!("MAIL FROM:<{sender}>"), format!("RCPT TO:<{to}>")];
        let said = gateway.says(from, &[&commands[0], &commands[1]]).await?;
        assert_eq!(said, ["250 2.1.0", expected], "{from} {to}");
    }
    assert_eq!(gateway.says(EXT, &["MAIL FROM:<info@example.jp>"]).await?, ["530 5.7.0"]);

    // A forged field stays, ours stands above it, and <> is written as it is.
    let content = "X-Relay: PMail Server From <ceo@bank.example>\r\nSubject: hello\r\n\r\nHello.\r\n";
    let mut client = gateway.client("127.0.0.100").await?;
    client.send_mail("", &["x@z.test"], content).await?;
    let mut stranger = gateway.client(EXT).await?;
    stranger.send_mail("info@example.com", &["info@example.jp"], content).await?;
    eventually(SOON, async || match (gateway.world.received_count(), gateway.inner.received_count()) {
        (1, 1) => Ok(()),
        counts => Err(format!("{counts:?}")),
    })
    .await;
    let fields = |content: &[u8]| -> Vec<String> {
        let text = String::from_utf8_lossy(content).into_owned();
        text.lines().filter(|line| line.starts_with("X-Relay:")).map(str::to_owned).collect()
    };
    let forged = "X-Relay: PMail Server From <ceo@bank.example>".to_owned();
    let ours = "X-Relay: gw.test From <>".to_owned();
    assert_eq!(fields(&gateway.world.received()[0].content), [ours, forged.clone()]);
    assert_eq!(fields(&gateway.inner.received()[0].content), [forged]);

    // Neither an open list nor a switch for the field is taken.
    let before = gateway.version().await?;
    let said = gateway.refused(&[("pmail", "open.txt", "0.0.0.0,0.0.0.0\n")]).await;
    assert!(
        said.contains("open.txt:1: error E-PM-OPENRELAY: 0.0.0.0/0 opens the relay to everyone"),
        "{said}"
    );
    let said = gateway.refused(&[("settings", "set.txt", "x_relay = off\n")]).await;
    assert!(said.contains("set.txt:1: error E-SC-KEY: \"x_relay\" is not a setting"), "{said}");
    assert_eq!(gateway.version().await?, before);
    Ok(())
}
