use hikyaku_testkit::{
    client::{SmtpClient, send_one},
    eventually::eventually,
    mx::{Script, ScriptedMx},
};

use crate::lab::{CONTENT, Lab, SOON};

/// More than the sessions that a worker may have.
const SILENT_HOSTS: u8 = 200;

/// Hosts that accept the connection and say nothing, each with mail, take no session from others.
#[tokio::test]
async fn silent_hosts_keep_no_sessions() -> anyhow::Result<()> {
    let mut lab = Lab::new().await?;
    let healthy = ScriptedMx::start(Script::Accept).await?;
    lab.own_domain("healthy.test", &healthy);
    let mut silent = Vec::new();
    for n in 1..=SILENT_HOSTS {
        let address = std::net::SocketAddr::from(([127, 0, 3, n], 0));
        let host = ScriptedMx::start_at(address, Script::Silent).await?;
        lab.own_domain(&format!("s{n}.test"), &host);
        silent.push(host);
    }
    lab.configure("[delivery]\nmax_connections = 50\n")?;
    let relay = lab.up().await?;
    let mut client = SmtpClient::connect(relay.smtp()).await?;
    client.expect("EHLO client.test").await?;
    for round in 0..3 {
        for n in 1..=SILENT_HOSTS {
            client.send_mail("a@client.test", &[&format!("u{round}@s{n}.test")], CONTENT).await?;
        }
    }
    let id = send_one(relay.smtp(), "a@client.test", &["b@healthy.test"], CONTENT).await?;
    let delivered = relay.wait_for_mail_log("delivered", &id, SOON).await;
    assert!(delivered["delay_seconds"].as_f64().unwrap() < 10.0, "{delivered}");
    for host in &silent {
        assert!(host.most_sessions() <= 1, "a host that has not answered gets one probe");
    }
    Ok(())
}

const DEAD: usize = 5_000;
const SILENT: usize = 500;

/// 5,000 messages for a host that refuses connections and 500 for one that says nothing: a
/// message for a healthy host still passes at once.
#[tokio::test]
async fn fresh_mail_passes_the_queue() -> anyhow::Result<()> {
    let mut lab = Lab::new().await?;
    let healthy = ScriptedMx::start(Script::Accept).await?;
    let silent = ScriptedMx::start(Script::Silent).await?;
    let dead = ScriptedMx::start(Script::Accept).await?;
    for (domain, host) in [("healthy.test", &healthy), ("silent.test", &silent), ("dead.test", &dead)] {
        lab.own_domain(domain, host);
    }
    drop(dead);
    let relay = lab.up().await?;
    let smtp = relay.smtp();
    let fill = |domain: &'static str, count: usize| async move {
        let mut clients = tokio::task::JoinSet::new();
        for client in 0..10 {
            clients.spawn(async move {
                let mut session = SmtpClient::connect(smtp).await?;
                session.expect("EHLO client.test").await?;
                for n in 0..count / 10 {
                    let to = format!("u{client}-{n}@{domain}");
                    session.send_mail("a@client.test", &[&to], CONTENT).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(client) = clients.join_next().await {
            client??;
        }
        anyhow::Ok(())
    };
    fill("silent.test", SILENT).await?;
    fill("dead.test", DEAD).await?;
    let mut slowest = 0.0_f64;
    for n in 0..20 {
        let id = send_one(smtp, "a@client.test", &[&format!("u{n}@healthy.test")], CONTENT).await?;
        let delivered = relay.wait_for_mail_log("delivered", &id, SOON).await;
        // Not a measurement of speed: behind the others it would be minutes.
        let seconds = delivered["delay_seconds"].as_f64().unwrap();
        assert!(seconds < 10.0, "{seconds} s after acceptance");
        slowest = slowest.max(seconds);
    }
    println!("slowest of 20 fresh messages: {:.0} ms", slowest * 1_000.0);
    assert!(silent.most_sessions() <= 20, "{} sessions with the silent host", silent.most_sessions());
    // Nothing was lost on the way to where it waits.
    eventually(SOON * 2, async || {
        let deferred = relay.mail_log("deferred", None).len() + relay.mail_log("parked", None).len();
        if deferred >= DEAD { Ok(()) } else { Err(format!("{deferred} of {DEAD} were set aside")) }
    })
    .await;
    assert_eq!(relay.queue().await?.len(), DEAD + SILENT);
    Ok(())
}
