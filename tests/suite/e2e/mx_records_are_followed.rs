//! SEED-151, SEED-176 and scenario 9 of the requirements, as far as DNS alone decides.

use std::{net::SocketAddr, time::Duration};

use hikyaku_testkit::{
    client::send_one,
    eventually::eventually,
    mx::{Script, ScriptedMx},
};

use crate::lab::{CONTENT, Lab, SOON};

async fn lab() -> anyhow::Result<(Lab, ScriptedMx, ScriptedMx)> {
    let mut lab = Lab::new().await?;
    let mx = ScriptedMx::start(Script::Accept).await?;
    let home = ScriptedMx::start(Script::Accept).await?;
    lab.own_domain("home.test", &home);
    lab.configure(&format!("[delivery]\nidle_timeout_seconds = 1\nmx_port = {}", mx.address().port()))?;
    lab.dns.address_of("live.test", mx.address().ip());
    // Nothing listens there.
    lab.dns.address_of("dead.test", "127.0.0.3".parse()?);
    Ok((lab, mx, home))
}

#[tokio::test]
async fn the_second_host_is_tried_in_the_same_attempt() -> anyhow::Result<()> {
    let (lab, _mx, _home) = lab().await?;
    lab.dns.mx("z1.test", 10, "dead.test");
    lab.dns.mx("z1.test", 20, "live.test");
    let relay = lab.up().await?;
    let id = send_one(relay.smtp(), "a@home.test", &["b@z1.test"], CONTENT).await?;
    let delivered = relay.wait_for_mail_log("delivered", &id, SOON).await;
    assert_eq!(delivered["attempt"], 1);
    Ok(())
}

#[tokio::test]
async fn a_refusing_greeting_moves_on_to_the_next_host() -> anyhow::Result<()> {
    let (lab, mx, _home) = lab().await?;
    let address = SocketAddr::from(([127, 0, 0, 4], mx.address().port()));
    let _refusing = ScriptedMx::start_at(address, Script::Greeting("554 5.3.2 not today")).await?;
    lab.dns.address_of("refusing.test", address.ip());
    lab.dns.mx("z.test", 10, "refusing.test");
    lab.dns.mx("z.test", 20, "live.test");
    let relay = lab.up().await?;
    let id = send_one(relay.smtp(), "a@home.test", &["b@z.test"], CONTENT).await?;
    relay.wait_for_mail_log("delivered", &id, SOON).await;
    assert_eq!(mx.received_count(), 1);
    Ok(())
}

#[tokio::test]
async fn without_mx_the_domain_itself_is_the_host() -> anyhow::Result<()> {
    let (lab, mx, _home) = lab().await?;
    lab.dns.address_of("z2.test", mx.address().ip());
    let relay = lab.up().await?;
    let id = send_one(relay.smtp(), "a@home.test", &["b@z2.test"], CONTENT).await?;
    relay.wait_for_mail_log("delivered", &id, SOON).await;
    Ok(())
}

#[tokio::test]
async fn with_mx_the_domain_itself_is_not_asked() -> anyhow::Result<()> {
    let (lab, mx, _home) = lab().await?;
    lab.dns.mx("z3.test", 10, "dead.test");
    lab.dns.address_of("z3.test", mx.address().ip());
    let relay = lab.up().await?;
    let id = send_one(relay.smtp(), "a@home.test", &["b@z3.test"], CONTENT).await?;
    let deferred = relay.wait_for_mail_log("deferred", &id, SOON).await;
    assert_eq!(deferred["class"], "noreply");
    assert!(deferred["cause"].as_str().unwrap().contains("ECONNREFUSED"), "{deferred}");
    assert_eq!(mx.total_sessions(), 0);
    Ok(())
}

#[tokio::test]
async fn domains_that_take_no_mail_are_reported_at_once() -> anyhow::Result<()> {
    let (lab, _mx, home) = lab().await?;
    lab.dns.mx("z4.test", 0, ".");
    let relay = lab.up().await?;
    for (domain, status) in [("z4.test", "5.1.10"), ("no-such.test", "5.1.2")] {
        let before = home.received_count();
        let id = send_one(relay.smtp(), "a@home.test", &[&format!("b@{domain}")], CONTENT).await?;
        let bounced = relay.wait_for_mail_log("bounced", &id, SOON).await;
        assert_eq!((&bounced["status"], &bounced["attempt"]), (&status.into(), &1.into()));
        eventually(SOON, async || match home.received().get(before) {
            Some(report) if report.text().contains(&format!("Status: {status}\r\n")) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
    }
    Ok(())
}

#[tokio::test]
async fn a_name_server_that_fails_is_no_reason_to_give_up() -> anyhow::Result<()> {
    let (lab, _mx, home) = lab().await?;
    lab.dns.fails("z6.test");
    let relay = lab.up().await?;
    let id = send_one(relay.smtp(), "a@home.test", &["b@z6.test"], CONTENT).await?;
    let deferred = relay.wait_for_mail_log("deferred", &id, SOON).await;
    assert_eq!((&deferred["class"], &deferred["phase"]), (&"noreply".into(), &"dns".into()));
    assert_eq!(home.received_count(), 0);
    Ok(())
}

/// An operator does not wait until records are too old; when no host can be reached nobody does.
#[tokio::test]
async fn seed_153_records_are_asked_for_anew() -> anyhow::Result<()> {
    let (lab, mx, _home) = lab().await?;
    let new = SocketAddr::from(([127, 0, 0, 5], mx.address().port()));
    let moved_to = ScriptedMx::start_at(new, Script::Accept).await?;
    lab.dns.address_of("new.test", new.ip());
    lab.dns.mx("moved.test", 10, "live.test");
    lab.dns.mx("gone.test", 10, "dead.test");
    let relay = lab.up().await?;
    let send =
        async |domain: &str| send_one(relay.smtp(), "a@home.test", &[&format!("b@{domain}")], CONTENT).await;
    let id = send("moved.test").await?;
    relay.wait_for_mail_log("delivered", &id, SOON).await;
    let late = send("gone.test").await?;
    relay.wait_for_mail_log("deferred", &late, SOON).await;
    for domain in ["moved.test", "gone.test"] {
        lab.dns.remove(domain);
        lab.dns.mx(domain, 10, "new.test");
    }
    let id = send("moved.test").await?;
    relay.wait_for_mail_log("delivered", &id, SOON).await;
    assert_eq!((mx.received_count(), moved_to.received_count()), (2, 0), "what is remembered holds");
    let said = relay.ctl(&["dns", "flush", "moved.test"]).await?;
    assert!(said.starts_with("forgotten by "), "{said}");
    // A session that is kept would carry mail to where the domain was.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let id = send("moved.test").await?;
    relay.wait_for_mail_log("delivered", &id, SOON).await;
    assert_eq!(moved_to.received_count(), 1);
    relay.ctl(&["queue", "retry", &late]).await?;
    relay.wait_for_mail_log("delivered", &late, SOON).await;
    assert_eq!(moved_to.received_count(), 2);
    Ok(())
}

/// RFC 8305: addresses that say nothing cost a moment, however long a connection may take.
#[tokio::test]
async fn addresses_of_a_host_are_tried_beside_each_other() -> anyhow::Result<()> {
    let mut lab = Lab::new().await?;
    let mx = ScriptedMx::start(Script::Accept).await?;
    let port = mx.address().port();
    lab.configure(&format!("[delivery]\nmx_port = {port}\nconnect_timeout_seconds = 300\n"))?;
    // Who has a full queue of connections does not answer to more.
    let mut full = Vec::new();
    for last in 20..23 {
        let address = SocketAddr::from(([127, 0, 0, last], port));
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind(address)?;
        let listener = socket.listen(1)?;
        let mut waiting = Vec::new();
        while let Ok(Ok(stream)) =
            tokio::time::timeout(Duration::from_millis(300), tokio::net::TcpStream::connect(address)).await
        {
            waiting.push(stream);
        }
        full.push((listener, waiting));
        lab.dns.address_of("mixed.test", address.ip());
    }
    lab.dns.address_of("mixed.test", mx.address().ip());
    lab.dns.mx("z.test", 10, "mixed.test");
    let relay = lab.up().await?;
    let id = send_one(relay.smtp(), "a@home.test", &["b@z.test"], CONTENT).await?;
    let delivered = relay.wait_for_mail_log("delivered", &id, SOON).await;
    assert_eq!(delivered["attempt"], 1);
    Ok(())
}
