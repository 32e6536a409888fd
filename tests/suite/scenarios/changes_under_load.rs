//! Scenario 6: the directory changes while mail flows. Nothing is refused, lost or doubled because of it, and
//! a bad change is refused as a whole.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hikyaku_testkit::{
    client::SmtpClient,
    eventually::eventually,
    mx::{Script, ScriptedMx},
};

use super::Gateway;
use crate::lab::SOON;

/// One message each 20 ms over one connection, numbered, until it is told to stop.
async fn sender(mut client: SmtpClient, stop: Arc<AtomicBool>) -> anyhow::Result<u64> {
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        let content = format!("Subject: {sent}\r\n\r\nNumber {sent}.\r\n");
        client.send_mail("a@x.example", &["user1@domain.jp"], &content).await?;
        sent += 1;
    }
    Ok(sent)
}

/// How often each number has arrived.
fn numbers(servers: &[&ScriptedMx]) -> BTreeMap<u64, usize> {
    let mut seen = BTreeMap::new();
    for received in servers.iter().flat_map(|server| server.received()) {
        let text = String::from_utf8_lossy(&received.content).into_owned();
        let subject = text.lines().find_map(|line| line.strip_prefix("Subject: "));
        if let Some(number) = subject.and_then(|number| number.parse().ok()) {
            *seen.entry(number).or_default() += 1;
        }
    }
    seen
}

#[tokio::test]
async fn scenario_6_changes_under_load() -> anyhow::Result<()> {
    let gateway = Gateway::start().await?;
    let other = ScriptedMx::start(Script::Accept).await?;
    let route = |server: &ScriptedMx, more: &str| {
        format!("domain.jp, {}, {}\n{more}", server.address().ip(), server.address().port())
    };
    let to_inner = route(&gateway.inner, "");
    gateway
        .import(&[("alias", "al.tsv", "*@domain.jp\t*@domain.jp\n"), ("gateway", "gw.dat", &to_inner)], &[])
        .await?;
    let stop = Arc::new(AtomicBool::new(false));
    let load = tokio::spawn(sender(gateway.client("127.0.0.1").await?, Arc::clone(&stop)));
    let arrives = async |server: &ScriptedMx| {
        let before = server.received_count();
        eventually(SOON, async || match server.received_count() {
            count if count > before + 10 => Ok(()),
            count => Err(format!("{count} after {before}")),
        })
        .await;
    };
    arrives(&gateway.inner).await;

    let before = gateway.version().await?;
    let bad = "a.jp,192.168.0.1,25\nb.jp,192.168.0.1,25\ndomain.jp, 192.168.0.x, 25\n";
    let said = gateway.refused(&[("gateway", "gw.dat", bad)]).await;
    assert!(
        said.contains(
            "gw.dat:3: error E-GW-NEXTHOP: \"192.168.0.x\" looks like an IPv4 address but is not one"
        ),
        "{said}"
    );
    assert_eq!(gateway.version().await?, before);
    arrives(&gateway.inner).await;

    gateway.import(&[("gateway", "gw.dat", &route(&other, ""))], &[]).await?;
    assert_eq!(gateway.version().await?, before + 1);
    arrives(&other).await;
    // From now on nothing new goes to the old host.
    let at_old_host = gateway.inner.received_count();
    arrives(&other).await;
    assert_eq!(gateway.inner.received_count(), at_old_host);
    // A version each half second.
    for number in 0..6 {
        let (server, more) =
            if number % 2 == 0 { (&gateway.inner, "*.abc.jp,127.0.0.77,25\n") } else { (&other, "") };
        gateway.import(&[("gateway", "gw.dat", &route(server, more))], &[]).await?;
        arrives(server).await;
    }
    stop.store(true, Ordering::Relaxed);
    let sent = load.await??;
    eventually(SOON, async || match numbers(&[&gateway.inner, &other]).len() as u64 {
        count if count == sent => Ok(()),
        count => Err(format!("{count} of {sent}")),
    })
    .await;
    let doubled = numbers(&[&gateway.inner, &other]).into_iter().filter(|(_, times)| *times > 1).count();
    assert_eq!(doubled, 0);
    println!("{sent} messages over {} versions", gateway.version().await?);
    Ok(())
}
