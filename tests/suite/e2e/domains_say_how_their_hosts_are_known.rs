//! DANE (RFC 7672) and MTA-STS (RFC 8461), with a real nsd, a real web server and Postfix. What cannot be
//! proven puts mail off; nothing passes in the clear.

use std::{net::SocketAddr, path::PathBuf};

use hikyaku_testkit::{
    certificates::{Authority, Names, Pair},
    client::send_one,
    dns::DnsServer,
    mx::{Script, ScriptedMx},
    nsd::{Nsd, Zone, ZoneState},
    peers::Peer,
    relay::Relay,
    web::WebServer,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::lab::{CONTENT, SOON};

/// Postfix with a certificate for `certified`, and a host without TLS at the same port of another address.
struct Hosts {
    folder: TempDir,
    authority: Authority,
    pair: Pair,
    postfix: Peer,
    clear: ScriptedMx,
}

impl Hosts {
    /// `None`, and it is said, where there is no Postfix.
    async fn start(certified: &[&str]) -> anyhow::Result<Option<Self>> {
        let (folder, authority) = (tempfile::tempdir()?, Authority::new("trusted")?);
        authority.write(&folder.path().join("trusted.pem"))?;
        let pair = authority.issue(&Names { common: certified[0], dns: certified, uris: &[] })?;
        let postfix = match Peer::postfix_over_tls(&pair.write(folder.path(), "mx")?, "may")? {
            Ok(postfix) => postfix,
            Err(why) => {
                println!("skipped: {why}");
                return Ok(None);
            }
        };
        let at = SocketAddr::new([127, 0, 0, 2].into(), postfix.address().port());
        let clear = ScriptedMx::start_at(at, Script::Accept).await?;
        Ok(Some(Self { folder, authority, pair, postfix, clear }))
    }

    fn port(&self) -> u16 {
        self.postfix.address().port()
    }

    /// `top` and `delivery` are lines of the configuration.
    async fn relay(&self, dns: SocketAddr, top: &str, delivery: &str) -> anyhow::Result<Relay> {
        let (path, ca) = (self.path("hikyaku.toml"), self.path("trusted.pem"));
        let port = self.port();
        std::fs::write(
            &path,
            format!("{top}\n[delivery]\nmx_port = {port}\n{delivery}\n[delivery.tls]\nca = {ca:?}\n"),
        )?;
        let (dns, path) = (dns.to_string(), path.to_string_lossy().into_owned());
        let arguments =
            ["--hostname", "gw.test", "--relay-from", "127.0.0.1/32", "--dns", &dns, "--config", &path];
        Relay::up(&self.path("data"), &arguments).await
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

async fn send(relay: &Relay, domain: &str) -> anyhow::Result<String> {
    send_one(relay.smtp(), "a@client.test", &[&format!("b@{domain}")], CONTENT).await
}

/// How it was delivered: policy and whether the certificate was what was asked for.
async fn delivered(relay: &Relay, domain: &str) -> anyhow::Result<(Value, Value)> {
    let id = send(relay, domain).await?;
    let line = relay.wait_for_mail_log("delivered", &id, SOON).await;
    Ok((line["tls_policy"].clone(), line["tls_verified"].clone()))
}

/// Why it was put off.
async fn deferred(relay: &Relay, domain: &str) -> anyhow::Result<String> {
    let id = send(relay, domain).await?;
    let line = relay.wait_for_mail_log("deferred", &id, SOON).await;
    assert_eq!(relay.mail_log("delivered", Some(&id)).len(), 0);
    Ok(line["cause"].as_str().unwrap_or_default().to_owned())
}

/// SEED-220: `diagnose` goes by the same demands.
async fn diagnosed(relay: &Relay, domain: &str, status: i32, words: &str) -> anyhow::Result<()> {
    let (ended, said) = relay.ctl_status(&["diagnose", domain]).await?;
    assert_eq!(ended, Some(status), "{said}");
    assert!(said.contains(words), "{words}: {said}");
    Ok(())
}

fn over(policy: &str, verified: bool) -> (Value, Value) {
    (policy.into(), verified.into())
}

#[tokio::test]
async fn hosts_with_tlsa_records_are_held_to_them() -> anyhow::Result<()> {
    let Some(hosts) = Hosts::start(&["elsewhere.test"]).await? else { return Ok(()) };
    let (port, tlsa) = (hosts.port(), hosts.pair.tlsa());
    let none = format!("3 0 1 {}", "00".repeat(32));
    let zone = |address: &str, record: &str| {
        format!("@ IN MX 10 mx\nmx IN A {address}\n_{port}._tcp.mx IN TLSA {record}\n")
    };
    let (good, wrong, clear) = (zone("127.0.0.1", &tlsa), zone("127.0.0.1", &none), zone("127.0.0.2", &tlsa));
    let unusable = zone("127.0.0.1", &none.replace("3 0 1", "1 0 1"));
    // Where DANE says nothing that can be used, MTA-STS may.
    let strict = format!("{unusable}mta-sts IN A 127.0.0.1\n_mta-sts IN TXT \"v=STSv1; id=1;\"\n");
    let web = WebServer::start(&hosts.authority, &["mta-sts.strict.test"]).await?;
    let policy = "version: STSv1\nmode: enforce\nmx: mx.strict.test\nmax_age: 86400\n";
    web.says("mta-sts.strict.test", "200 OK\r\nContent-Type: text/plain", policy);
    let signed = ZoneState::Signed;
    let zones = [
        Zone { name: "good.test", records: &good, state: signed },
        Zone { name: "wrong.test", records: &wrong, state: signed },
        Zone { name: "clear.test", records: &clear, state: signed },
        Zone { name: "unusable.test", records: &unusable, state: signed },
        Zone { name: "strict.test", records: &strict, state: signed },
        Zone { name: "forged.test", records: &wrong, state: ZoneState::Forged { was: &none, is: &tlsa } },
        Zone { name: "unproven.test", records: &wrong, state: ZoneState::Unsigned },
        Zone { name: "plain.test", records: &clear, state: ZoneState::Unsigned },
    ];
    let nsd = match Nsd::start(&zones).await? {
        Ok(nsd) => nsd,
        Err(why) => {
            println!("skipped: {why}");
            return Ok(());
        }
    };
    let anchors = format!("dnssec_anchors = {:?}", nsd.anchors);
    let relay = hosts.relay(nsd.address, &anchors, &format!("mta_sts_port = {}", web.port)).await?;
    // The certificate is for another name and of an authority that the record does not need.
    assert_eq!(delivered(&relay, "good.test").await?, over("dane", true));
    assert_eq!(delivered(&relay, "unusable.test").await?, over("required", false));
    assert_eq!(delivered(&relay, "unproven.test").await?, over("opportunistic", false));
    assert_eq!(delivered(&relay, "plain.test").await?.0, Value::from("opportunistic"));
    let in_the_clear = hosts.clear.received_count();
    assert_eq!(in_the_clear, 1, "of the domain that proves nothing");

    let cause = deferred(&relay, "wrong.test").await?;
    assert!(cause.contains("fits none of the host's TLSA records"), "{cause}");
    let cause = deferred(&relay, "strict.test").await?;
    assert!(cause.contains("certificate"), "{cause}");
    let cause = deferred(&relay, "clear.test").await?;
    assert!(cause.contains("STARTTLS"), "{cause}");
    let cause = deferred(&relay, "forged.test").await?;
    assert!(cause.contains("TLSA"), "{cause}");
    assert_eq!(hosts.clear.received_count(), in_the_clear, "nothing more has passed in the clear");
    diagnosed(&relay, "good.test", 0, "certificate verified; wanted: dane").await?;
    diagnosed(&relay, "wrong.test", 14, "fits none of the host's TLSA records").await?;
    Ok(())
}

#[tokio::test]
async fn domains_that_enforce_mta_sts_get_nothing_in_the_clear() -> anyhow::Result<()> {
    let Some(hosts) = Hosts::start(&["mx.good.test", "mx.rehearsed.test"]).await? else { return Ok(()) };
    let dns = DnsServer::start().await?;
    let domains = ["good.test", "unnamed.test", "wrong.test", "clear.test", "rehearsed.test"];
    let names = domains.map(|domain| format!("mta-sts.{domain}"));
    let web = WebServer::start(&hosts.authority, &names.each_ref().map(String::as_str)).await?;
    let publish = |domain: &str, mode: &str, mx: &str, address: [u8; 4]| {
        dns.mx(domain, 10, &format!("mx.{domain}"));
        dns.address_of(&format!("mx.{domain}"), address.into());
        dns.text(&format!("_mta-sts.{domain}"), "v=STSv1; id=1;");
        dns.address_of(&format!("mta-sts.{domain}"), [127, 0, 0, 1].into());
        let policy = format!("version: STSv1\nmode: {mode}\nmx: {mx}\nmax_age: 86400\n");
        web.says(&format!("mta-sts.{domain}"), "200 OK\r\nContent-Type: text/plain", &policy);
    };
    publish("good.test", "enforce", "*.good.test", [127, 0, 0, 1]);
    publish("unnamed.test", "enforce", "mail.unnamed.test", [127, 0, 0, 1]);
    publish("wrong.test", "enforce", "mx.wrong.test", [127, 0, 0, 1]);
    publish("clear.test", "enforce", "mx.clear.test", [127, 0, 0, 2]);
    publish("rehearsed.test", "testing", "mail.rehearsed.test", [127, 0, 0, 1]);
    let port = format!("mta_sts_port = {}", web.port);
    let relay = hosts.relay(dns.address(), "", &port).await?;
    assert_eq!(delivered(&relay, "good.test").await?, over("mta-sts", true));
    assert_eq!(delivered(&relay, "rehearsed.test").await?, over("opportunistic", true));
    let warned = "this host would be refused if the domain enforced its MTA-STS policy";
    relay.wait_for_message(warned).await;
    let cause = deferred(&relay, "unnamed.test").await?;
    assert!(cause.contains("is not named by the MTA-STS policy of unnamed.test"), "{cause}");
    let cause = deferred(&relay, "wrong.test").await?;
    assert!(cause.contains("certificate"), "{cause}");
    let cause = deferred(&relay, "clear.test").await?;
    assert!(cause.contains("STARTTLS"), "{cause}");
    for (domain, status, words) in [
        ("good.test", 0, "certificate verified; wanted: mta-sts"),
        ("unnamed.test", 14, "is not named by the MTA-STS policy of unnamed.test"),
        ("wrong.test", 14, "certificate"),
        ("clear.test", 14, "STARTTLS is not offered; wanted: mta-sts"),
        ("rehearsed.test", 0, "the MTA-STS policy of rehearsed.test is being tested"),
    ] {
        diagnosed(&relay, domain, status, words).await?;
    }
    relay.terminate().await?;

    // Who hides the record from a worker that starts does not make it forget.
    for domain in domains {
        dns.remove(&format!("_mta-sts.{domain}"));
    }
    let relay = hosts.relay(dns.address(), "", &port).await?;
    assert_eq!(delivered(&relay, "good.test").await?, over("mta-sts", true));
    let cause = deferred(&relay, "clear.test").await?;
    assert!(cause.contains("STARTTLS"), "{cause}");
    assert_eq!(hosts.clear.received_count(), 0);
    Ok(())
}
