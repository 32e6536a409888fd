//! Faults that are made on purpose, with the real programs. The cluster is 127.0.0.11 in the DNS, the inner
//! server 127.0.0.20, and 127.9.0.9 is an address outside.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use hikyaku_testkit::{
    dns::DnsServer,
    eventually::eventually,
    mx::{Script, ScriptedMx},
    nats::NatsServer,
    nats_cluster::NatsCluster,
    port,
    relay::Relay,
};

use crate::{
    lab::{Lab, SOON},
    rig::{Brokers, Rig},
};

const GATEWAY: &str = "127.0.0.11";
const INNER: &str = "127.0.0.20";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

async fn inner_server() -> anyhow::Result<ScriptedMx> {
    ScriptedMx::start_at(SocketAddr::from((ip(INNER), 0)), Script::Accept).await
}

/// Mail of own.test leads to the cluster, and nothing else.
fn sound_records(dns: &DnsServer) {
    dns.remove("own.test");
    dns.mx("own.test", 10, "gw.test");
    dns.text("own.test", "v=spf1 mx -all");
}

/// Lines of findings, with their exit status.
async fn doctor(relay: &Relay, arguments: &[&str]) -> anyhow::Result<(Option<i32>, Vec<String>)> {
    let (status, text) = relay.ctl_status(&[&["doctor"], arguments].concat()).await?;
    let is_finding = |line: &&str| line.starts_with("FAIL ") || line.starts_with("WARN ");
    let findings = text.lines().filter(is_finding).map(str::to_owned).collect();
    assert!(text.contains(" WARN, as seen from "), "{text}");
    Ok((status, findings))
}

fn codes(findings: &[String]) -> Vec<&str> {
    findings.iter().filter_map(|line| line.split(' ').nth(1)).collect()
}

#[tokio::test]
async fn seed_003_what_must_hold_outside_the_relay() -> anyhow::Result<()> {
    let mut lab = Lab::empty().await?;
    let inner = inner_server().await?;
    lab.own_domain("own.test", &inner);
    lab.dns.address_of("gw.test", ip(GATEWAY));
    lab.dns.address_of("old.test", ip("127.0.0.99"));
    lab.dns.address_of("mail.own.test", ip(INNER));
    sound_records(&lab.dns);
    let relay = lab.up().await?;

    // Mode A stays a warning, and nothing else is wrong.
    let (status, findings) = doctor(&relay, &["own.test"]).await?;
    assert_eq!((status, codes(&findings)), (Some(0), vec!["D-MODE-A"]), "{findings:#?}");

    lab.dns.remove("own.test");
    lab.dns.mx("own.test", 10, "old.test");
    lab.dns.text("own.test", "v=spf1 ip4:127.0.0.0/8 -all");
    let (status, findings) = doctor(&relay, &["own.test"]).await?;
    assert_eq!(status, Some(1));
    assert_eq!(findings[0], "FAIL D-MX-NOT-OURS own.test: MX old.test lead to none of 127.0.0.11");
    assert_eq!(codes(&findings), ["D-MX-NOT-OURS", "D-MODE-A"]);

    sound_records(&lab.dns);
    lab.dns.mx("own.test", 20, "mail.own.test");
    let (status, findings) = doctor(&relay, &[]).await?;
    assert_eq!(status, Some(1));
    assert_eq!(findings[0], "FAIL D-MX-INNER own.test: MX mail.own.test is the inner server, 127.0.0.20");

    // From outside the inner server must not be open; the cluster itself may ask.
    sound_records(&lab.dns);
    let (status, findings) = doctor(&relay, &["own.test", "--probe-from", "127.9.0.9"]).await?;
    let open = format!(
        "WARN D-INNER-OPEN {}: greets 127.9.0.9, which is not an address of this cluster",
        inner.address()
    );
    assert!(status == Some(0) && findings.contains(&open), "{status:?} {findings:#?}");
    let (_, findings) = doctor(&relay, &["own.test", "--probe-from", GATEWAY]).await?;
    assert_eq!(codes(&findings), ["D-MODE-A"]);
    inner.set(Script::Greeting("554 5.7.1 not you"));
    let (_, findings) = doctor(&relay, &["own.test", "--probe-from", "127.9.0.9"]).await?;
    assert_eq!(codes(&findings), ["D-MODE-A", "D-PEER-GREETING"], "it refuses the relay too");

    let (status, findings) = doctor(&relay, &["foreign.test"]).await?;
    assert_eq!((status, codes(&findings)[0]), (Some(1), "D-NOT-OWN"));
    Ok(())
}

/// Two of our relays, of which one sends to a port on which the other does not listen.
#[tokio::test]
async fn seed_229_a_gateway_that_listens_on_another_port() -> anyhow::Result<()> {
    let lab = Lab::empty().await?;
    let gateway = lab.up().await?;
    let folder = tempfile::tempdir()?;
    let dns = lab.dns.address().to_string();
    let inner = Relay::up(folder.path(), &["--dns", &dns, "--hostname", "inner.test"]).await?;
    let unused = port::unused()?;
    let smart_host = folder.path().join("smart-host");
    let set = async |address: SocketAddr| {
        std::fs::write(&smart_host, format!("{address}\n"))?;
        inner.ctl(&["directory", "set", "smart-host", &smart_host.to_string_lossy()]).await
    };

    set(unused).await?;
    let (status, findings) = doctor(&inner, &[]).await?;
    assert_eq!(status, Some(1));
    let expected = format!("FAIL D-PEER-REFUSED smart-host:1: peer {unused} refused (tried from ");
    assert!(findings[0].starts_with(&expected), "{findings:#?}");

    set(gateway.smtp()).await?;
    assert_eq!(doctor(&inner, &[]).await?, (Some(0), Vec::new()));

    // SEED-004: on loopback only its greeting tells that the next hop is the relay itself.
    set(inner.smtp()).await?;
    let (status, findings) = doctor(&inner, &[]).await?;
    assert_eq!((status, codes(&findings)), (Some(1), vec!["D-LOOP"]), "{findings:#?}");
    Ok(())
}

#[tokio::test]
async fn seed_222_a_broker_that_does_not_sync_and_has_lost_a_stream() -> anyhow::Result<()> {
    let nats = NatsServer::start_with("sync_interval: \"2m\"")?;
    let mut lab = Lab::empty().await?;
    lab.configure(&nats.configuration()?)?;
    let relay = lab.up().await?;
    let (status, findings) = doctor(&relay, &[]).await?;
    assert_eq!(status, Some(1));
    assert_eq!(findings, ["FAIL D-BROKER-SYNC test: does not sync each write"]);
    nats.ask("$JS.API.STREAM.DELETE.HIKYAKU_DEAD", "")?;
    let (_, findings) = doctor(&relay, &[]).await?;
    assert_eq!(codes(&findings), ["D-BROKER-SYNC", "D-STREAM-MISSING"]);
    assert!(findings[1].contains(" HIKYAKU_DEAD: "), "{findings:#?}");
    Ok(())
}

#[tokio::test]
async fn seed_222_the_roles_are_known_and_missed() -> anyhow::Result<()> {
    let dns = DnsServer::start().await?;
    dns.address_of("gw.test", ip(GATEWAY));
    sound_records(&dns);
    let inner = inner_server().await?;
    let domains = [("own.test".to_owned(), inner.address())];
    let tables = format!("dns = [\"{}\"]\n", dns.address());
    let mut rig = Rig::start(Brokers::One(NatsServer::start()?), &domains, &tables).await?;
    let _ingress = rig.ingress().await?;
    let worker = rig.worker().await?;
    eventually(SOON, async || {
        let (_, text) = worker.ctl_status(&["doctor"]).await.map_err(|error| error.to_string())?;
        // Policy, ingress and the worker; four documents were committed.
        if text.contains("seen 3 nodes, directory version 4\n") { Ok(()) } else { Err(text) }
    })
    .await;
    assert_eq!(codes(&doctor(&worker, &[]).await?.1), ["D-MODE-A"]);

    // Each node that delivers tries the next hops.
    let _second = rig.worker().await?;
    drop(inner);
    let refused = "refused (tried from delivery-2, delivery-3)";
    eventually(SOON, async || {
        let (status, findings) = doctor(&worker, &[]).await.map_err(|error| error.to_string())?;
        let is_told = status == Some(1) && findings[0].starts_with("FAIL D-PEER-REFUSED routes:1: peer ");
        if is_told && findings[0].ends_with(refused) { Ok(()) } else { Err(format!("{findings:#?}")) }
    })
    .await;

    rig.policy.end().await?;
    let (status, findings) = doctor(&worker, &[]).await?;
    assert_eq!((status, codes(&findings)), (Some(1), vec!["D-POLICY-SILENT"]), "{findings:#?}");
    let token = rig.path("operator-token");
    let nobody = ["--server", "http://127.0.0.1:1", "--token-file", &token, "doctor"];
    let output = hikyaku_testkit::relay::ctl().args(nobody).output().await?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.starts_with("hikyakuctl: nothing could be examined: cannot connect"), "{said}");
    Ok(())
}

#[tokio::test]
async fn seed_222_one_broker_of_three_is_down() -> anyhow::Result<()> {
    let dns = DnsServer::start().await?;
    let tables = format!("dns = [\"{}\"]\n", dns.address());
    let brokers = Brokers::Three(NatsCluster::start().await?);
    let mut rig = Rig::start(brokers, &[], &tables).await?;
    let worker = rig.worker().await?;
    // Copies may still be made.
    eventually(SOON, async || match doctor(&worker, &[]).await {
        Ok((Some(0), findings)) if findings.is_empty() => Ok(()),
        said => Err(format!("{said:?}")),
    })
    .await;
    rig.cluster()?.kill(2)?;
    eventually(SOON, async || {
        let (_, findings) = doctor(&worker, &[]).await.map_err(|error| error.to_string())?;
        let codes: BTreeSet<&str> = codes(&findings).into_iter().collect();
        if codes == BTreeSet::from(["D-STREAM-BEHIND"]) { Ok(()) } else { Err(format!("{findings:#?}")) }
    })
    .await;
    Ok(())
}

/// SEED-237: without anybody to ask.
#[tokio::test]
async fn seed_237_each_finding_is_explained() -> anyhow::Result<()> {
    let explain = async |code: &str| {
        let output = hikyaku_testkit::relay::ctl().args(["doctor", "--explain", code]).output().await?;
        anyhow::Ok((output.status.code(), String::from_utf8(output.stdout)?))
    };
    let (status, page) = explain("d-mx-not-ours").await?;
    assert!(status == Some(0) && page.starts_with("D-MX-NOT-OURS (FAIL)\n\n"), "{page}");
    assert!(page.contains("\nWhat to do: "), "{page}");
    assert_eq!(explain("D-NOTHING").await?.0, Some(2));
    Ok(())
}
