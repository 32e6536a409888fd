use std::{net::SocketAddr, time::Duration};

use hikyaku_testkit::{
    client::send_one,
    eventually::eventually,
    mx::{Script, ScriptedMx},
    port,
};

use crate::lab::{CONTENT, Lab, SOON, http_get};

const SLOW: usize = 40;
/// To each of them.
const EACH: usize = 3;
/// Sessions that the worker may have.
const SESSIONS: usize = 2;
const GREYLISTED: usize = 100;

async fn gauge(address: SocketAddr, name: &str) -> Result<f64, String> {
    let (_, metrics) = http_get(address, "/metrics").await.map_err(|error| error.to_string())?;
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)).ok_or("it is not there yet")?;
    line.trim().parse().map_err(|_| line.to_owned())
}

/// What autoscaling looks at: mail that waits for its hour is no reason for more workers, mail that waits for a
/// worker is.
#[tokio::test]
async fn only_what_more_workers_would_send_is_due() -> anyhow::Result<()> {
    let address = port::unused()?;
    let mut lab = Lab::new().await?;
    lab.configure(&format!("metrics = \"{address}\"\n[delivery]\nmax_connections = {SESSIONS}\n"))?;
    let grey = ScriptedMx::start(Script::Greylist(Duration::from_secs(3_600))).await?;
    lab.own_domain("grey.test", &grey);
    let mut slow = Vec::new();
    for n in 0..SLOW {
        let server = ScriptedMx::start(Script::SlowContent(Duration::from_secs(60))).await?;
        lab.own_domain(&format!("d{n}.test"), &server);
        slow.push(server);
    }
    let relay = lab.up().await?;

    for n in 0..GREYLISTED {
        send_one(relay.smtp(), "a@client.test", &[&format!("b{n}@grey.test")], CONTENT).await?;
    }
    eventually(SOON * 3, async || {
        let waiting = gauge(address, "mail_queue_entries{lane=\"scheduled\"}").await?;
        let due = gauge(address, "mail_delivery_due").await?;
        if (waiting, due) == (100.0, 0.0) { Ok(()) } else { Err(format!("{waiting} wait, {due} are due")) }
    })
    .await;

    let recipients: Vec<String> = (0..SLOW).map(|n| format!("b@d{n}.test")).collect();
    let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
    for _ in 0..EACH {
        send_one(relay.smtp(), "a@client.test", &recipients, CONTENT).await?;
    }
    // Their hosts would take it: what keeps it is that this worker has no session for them.
    let wanted = ((SLOW - SESSIONS) * EACH) as f64;
    eventually(SOON * 3, async || {
        let due = gauge(address, "mail_delivery_due").await?;
        if due >= wanted { Ok(()) } else { Err(format!("{due} of {wanted} are due")) }
    })
    .await;
    Ok(())
}
