//! kill -9 of the relay and its broker at full load, then a new start on the same folder:
//! accepted = delivered + queued, and nothing that was acknowledged is missing.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use hikyaku_testkit::{
    client::SmtpClient,
    eventually::eventually,
    mx::{Script, ScriptedMx},
};

use crate::lab::Lab;

const CLIENTS: usize = 10;
/// The broker hands out again after 30 s what a dead worker held.
const REDELIVERY: Duration = Duration::from_secs(90);

#[tokio::test]
async fn no_acknowledged_message_is_missing() -> anyhow::Result<()> {
    let mut lab = Lab::new().await?;
    let inner = ScriptedMx::start(Script::Accept).await?;
    lab.own_domain("own.test", &inner);
    let acknowledged: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    for round in 0..2 {
        let relay = lab.up().await?;
        let smtp = relay.smtp();
        let mut clients = tokio::task::JoinSet::new();
        for client in 0..CLIENTS {
            let acknowledged = Arc::clone(&acknowledged);
            clients.spawn(async move {
                let Ok(mut session) = SmtpClient::connect(smtp).await else { return };
                if session.expect("EHLO client.test").await.is_err() {
                    return;
                }
                for n in 0.. {
                    let name = format!("r{round}c{client}n{n}");
                    let content = format!("X-Name: {name}\r\n\r\nbody\r\n");
                    if session.send_mail("a@client.test", &["b@own.test"], &content).await.is_err() {
                        return;
                    }
                    acknowledged.lock().unwrap().insert(name);
                }
            });
        }
        let goal = acknowledged.lock().unwrap().len() + 500;
        eventually(REDELIVERY, async || match acknowledged.lock().unwrap().len() {
            count if count >= goal => Ok(()),
            count => Err(format!("{count} of {goal} accepted")),
        })
        .await;
        relay.kill().await?;
        while clients.join_next().await.is_some() {}
    }
    let relay = lab.up().await?;
    let acknowledged = acknowledged.lock().unwrap().clone();
    eventually(REDELIVERY, async || {
        let arrived: BTreeSet<String> = names(&inner).into_keys().collect();
        let missing = acknowledged.difference(&arrived).count();
        if missing == 0 { Ok(()) } else { Err(format!("{missing} of {} are missing", acknowledged.len())) }
    })
    .await;
    eventually(REDELIVERY, async || match relay.queue().await.map_err(|error| error.to_string())?.len() {
        0 => Ok(()),
        left => Err(format!("{left} are still queued")),
    })
    .await;
    // At most one copy too many for each session that was past its final dot, in each of two kills.
    let duplicates: usize = names(&inner).values().map(|copies| copies - 1).sum();
    let most = 2 * inner.most_sessions() + 2 * CLIENTS;
    assert!(duplicates <= most, "{duplicates} duplicates, {most} sessions");
    println!("{} acknowledged, {duplicates} duplicates", acknowledged.len());
    Ok(())
}

/// Name of each message that arrived, and how often it did.
fn names(inner: &ScriptedMx) -> BTreeMap<String, usize> {
    let mut names = BTreeMap::new();
    for received in inner.received() {
        let text = received.text();
        let name = text.lines().find_map(|line| line.strip_prefix("X-Name: ")).unwrap_or_default();
        *names.entry(name.to_owned()).or_insert(0) += 1;
    }
    names
}
