//! Scenario 9: names, MX records and the host map, with one resolver and with two of which one is stopped.

use std::net::SocketAddr;

use hikyaku_testkit::{
    client::send_one,
    eventually::eventually,
    mx::{Received, Script, ScriptedMx},
    relay::Relay,
};
use tokio::net::UdpSocket;

use crate::lab::{CONTENT, Lab, SOON};

/// 24 hours are 72 seconds: longer than the relay keeps an answer of the DNS at least.
const CLOCK_RATE: u32 = 1_200;
const GIVEN_UP: std::time::Duration = std::time::Duration::from_secs(150);

struct World {
    lab: Lab,
    relay: Relay,
    live: ScriptedMx,
    /// Where the host map leads.
    mapped: ScriptedMx,
    /// Where the senders read their reports.
    home: ScriptedMx,
}

impl World {
    /// `stopped` is a resolver that does not answer.
    async fn start(stopped: Option<&UdpSocket>) -> anyhow::Result<Self> {
        let mut lab = Lab::new().await?;
        let (live, home) =
            (ScriptedMx::start(Script::Accept).await?, ScriptedMx::start(Script::Accept).await?);
        let port = live.address().port();
        let mapped = ScriptedMx::start_at(SocketAddr::from(([127, 0, 0, 9], port)), Script::Accept).await?;
        if let Some(stopped) = stopped {
            lab.resolver(stopped.local_addr()?);
        }
        lab.own_domain("home.test", &home);
        lab.configure(&format!("[delivery]\nmx_port = {port}\nretry_clock_rate = {CLOCK_RATE}\n"))?;
        let dns = &lab.dns;
        dns.address_of("live.test", live.address().ip());
        // Nothing listens there.
        dns.address_of("dead.test", "127.0.0.3".parse()?);
        dns.mx("z1.test", 10, "dead.test");
        dns.mx("z1.test", 20, "live.test");
        dns.address_of("z2.test", live.address().ip());
        dns.mx("z3.test", 10, "dead.test");
        dns.address_of("z3.test", live.address().ip());
        dns.mx("z4.test", 0, ".");
        dns.fails("z6.test");
        dns.mx("z7.test", 10, "both.test");
        dns.address_of("both.test", "2001:db8::7".parse()?);
        dns.address_of("both.test", live.address().ip());
        dns.mx("z9.test", 10, "mx.z9.test");
        dns.address_of("mx.z9.test", "127.0.0.3".parse()?);
        let relay = lab.up().await?;
        let world = Self { lab, relay, live, mapped, home };
        world.document("hosts", "mx.z9.test 127.0.0.9\n").await?;
        Ok(world)
    }

    async fn document(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.lab.folder.path().join(name);
        std::fs::write(&path, text)?;
        self.relay.ctl(&["directory", "set", name, &path.to_string_lossy()]).await?;
        Ok(())
    }

    async fn send(&self, domain: &str) -> anyhow::Result<String> {
        send_one(self.relay.smtp(), "a@home.test", &[&format!("b@{domain}")], CONTENT).await
    }

    /// What z1 to z9 come to at once; returns the ids of what waits for z3 and z6.
    async fn first_attempts(&self) -> anyhow::Result<[String; 2]> {
        let relay = &self.relay;
        for domain in ["z1.test", "z2.test", "z7.test"] {
            self.in_one_attempt(domain, &self.live).await?;
        }
        // The host map is taken up within seconds.
        eventually(SOON, async || {
            self.in_one_attempt("z9.test", &self.mapped).await.map_err(|error| error.to_string())
        })
        .await;
        for (domain, status) in [("z4.test", "5.1.10"), ("z5.test", "5.1.2")] {
            let id = self.send(domain).await?;
            let bounced = relay.wait_for_mail_log("bounced", &id, SOON).await;
            assert_eq!((&bounced["status"], &bounced["attempt"]), (&status.into(), &1.into()), "{domain}");
            self.report(domain, &format!("Status: {status}\r\n"), SOON).await;
        }
        let (z3, z6) = (self.send("z3.test").await?, self.send("z6.test").await?);
        for (id, phase) in [(&z3, "connect"), (&z6, "dns")] {
            let deferred = relay.wait_for_mail_log("deferred", id, SOON).await;
            assert_eq!((&deferred["class"], &deferred["phase"]), (&"noreply".into(), &phase.into()));
        }
        assert!(!has(&self.live, "z3.test"));
        Ok([z3, z6])
    }

    /// A message of its own arrives at the server by its first attempt.
    async fn in_one_attempt(&self, domain: &str, server: &ScriptedMx) -> anyhow::Result<()> {
        let id = self.send(domain).await?;
        let delivered = self.relay.wait_for_mail_log("delivered", &id, SOON).await;
        anyhow::ensure!(delivered["attempt"] == 1, "{delivered}");
        anyhow::ensure!(has(server, domain), "{domain} is elsewhere");
        Ok(())
    }

    /// The failure report about mail for `domain`.
    async fn report(&self, domain: &str, line: &str, limit: std::time::Duration) {
        let is_it = |mail: &Received| {
            let text = mail.text();
            text.contains("Action: failed\r\n")
                && text.contains(&format!("b@{domain}"))
                && text.contains(line)
        };
        eventually(limit, async || match self.home.received().iter().any(is_it) {
            true => Ok(()),
            false => Err(format!("no report about {domain} with {line:?}")),
        })
        .await;
    }
}

fn has(server: &ScriptedMx, domain: &str) -> bool {
    let recipient = format!("b@{domain}");
    server.received().iter().any(|mail| mail.recipients.contains(&recipient))
}

/// SEED-151, SEED-152, SEED-176.
#[tokio::test]
async fn scenario_9_names_and_hosts() -> anyhow::Result<()> {
    let world = World::start(None).await?;
    let (relay, dns) = (&world.relay, &world.lab.dns);
    let [z3, z6] = world.first_attempts().await?;

    // z8: what the DNS has said is true for as long as it said, and no longer.
    let port = world.live.address().port();
    let moved = ScriptedMx::start_at(SocketAddr::from(([127, 0, 0, 8], port)), Script::Accept).await?;
    dns.address_of("moved.test", moved.address().ip());
    dns.mx("z8.test", 10, "live.test");
    world.in_one_attempt("z8.test", &world.live).await?;
    dns.remove("z8.test");
    dns.mx("z8.test", 10, "moved.test");
    let id = world.send("z8.test").await?;
    relay.wait_for_mail_log("delivered", &id, SOON).await;
    assert!(!has(&moved, "z8.test"));

    let (status, said) = relay.ctl_status(&["diagnose", "z3.test"]).await?;
    assert_eq!(status, Some(12), "{said}");
    assert!(said.contains("first FAIL \"TCP to all MX\" at "), "{said}");

    // z3: its own address on request only.
    world.document("traffic", "destination z3.test a_after_mx_failure=yes\n").await?;
    relay.wait_for_mail_log("delivered", &z3, SOON).await;
    assert!(has(&world.live, "z3.test"));

    eventually(GIVEN_UP, async || {
        let id = world.send("z8.test").await.map_err(|error| error.to_string())?;
        relay.wait_for_mail_log("delivered", &id, SOON).await;
        if has(&moved, "z8.test") { Ok(()) } else { Err("it still goes to the old host".to_owned()) }
    })
    .await;
    // SERVFAIL is no verdict, until the time of no answer is over.
    world.report("z6.test", "Status: 4.4.", GIVEN_UP).await;
    assert!(relay.mail_log("deferred", Some(&z6)).len() > 2);
    Ok(())
}

/// SEED-150.
#[tokio::test]
async fn scenario_9_with_a_resolver_that_is_stopped() -> anyhow::Result<()> {
    let stopped = UdpSocket::bind("127.0.0.1:0").await?;
    let world = World::start(Some(&stopped)).await?;
    world.first_attempts().await?;
    Ok(())
}
