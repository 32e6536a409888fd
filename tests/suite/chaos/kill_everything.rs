//! kill -9 of the relay and its broker at full load, then a new start on the same folder:
//! accepted = delivered + bounced + queued, and nothing that was acknowledged is missing.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use hikyaku_testkit::{
    client::SmtpClient,
    eventually::eventually,
    mx::{Script, ScriptedMx},
    relay::Relay,
};

use crate::lab::Lab;

const CLIENTS: usize = 12;
const ROUNDS: usize = 2;
/// The broker hands out again after 30 s what a dead worker held.
const REDELIVERY: Duration = Duration::from_secs(90);
/// What becomes of mail for each domain.
const FATES: [&str; 3] = ["good.test", "bad.test", "later.test"];

struct Peers {
    good: ScriptedMx,
    bad: ScriptedMx,
    later: ScriptedMx,
    /// Where the senders read their reports.
    home: ScriptedMx,
}

impl Peers {
    async fn start(lab: &mut Lab) -> anyhow::Result<Self> {
        let peers = Self {
            good: ScriptedMx::start(Script::Accept).await?,
            bad: ScriptedMx::start(Script::RefuseRcpt("550 5.1.1 unknown")).await?,
            later: ScriptedMx::start(Script::RefuseRcpt("451 4.7.1 later")).await?,
            home: ScriptedMx::start(Script::Accept).await?,
        };
        for (domain, peer) in FATES.iter().zip([&peers.good, &peers.bad, &peers.later]) {
            lab.own_domain(domain, peer);
        }
        lab.own_domain("home.test", &peers.home);
        Ok(peers)
    }

    fn sessions(&self) -> usize {
        [&self.good, &self.bad, &self.later, &self.home].map(ScriptedMx::most_sessions).iter().sum()
    }
}

/// Name of each message in what arrived, and how often it is there. A report returns the header
/// of its original, so it is found by the same name.
fn names(mx: &ScriptedMx) -> BTreeMap<String, usize> {
    let mut names = BTreeMap::new();
    for received in mx.received() {
        let text = received.text();
        if let Some(name) = text.lines().find_map(|line| line.strip_prefix("X-Name: ")) {
            *names.entry(name.to_owned()).or_insert(0) += 1;
        }
    }
    names
}

/// Names of the messages that wait.
async fn queued(relay: &Relay) -> anyhow::Result<Vec<String>> {
    let entries = relay.queue().await?;
    let name = |entry: &serde_json::Value| {
        let address = entry["recipients"][0]["address"].as_str().unwrap_or_default();
        address.split('@').next().unwrap_or_default().to_owned()
    };
    Ok(entries.iter().map(name).collect())
}

/// Sends until the relay dies, and notes what was acknowledged.
async fn send(relay: std::net::SocketAddr, prefix: String, acknowledged: Arc<Mutex<BTreeSet<String>>>) {
    let Ok(mut session) = SmtpClient::connect(relay).await else { return };
    if session.expect("EHLO client.test").await.is_err() {
        return;
    }
    for (n, domain) in FATES.iter().cycle().enumerate() {
        let name = format!("{prefix}n{n}");
        let content = format!("X-Name: {name}\r\n\r\nbody\r\n");
        let to = format!("{name}@{domain}");
        if session.send_mail("a@home.test", &[&to], &content).await.is_err() {
            return;
        }
        acknowledged.lock().unwrap().insert(name);
    }
}

#[tokio::test]
async fn no_acknowledged_message_is_missing() -> anyhow::Result<()> {
    let mut lab = Lab::new().await?;
    let peers = Peers::start(&mut lab).await?;
    let acknowledged: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    for round in 0..ROUNDS {
        let relay = lab.up().await?;
        let mut clients = tokio::task::JoinSet::new();
        for client in 0..CLIENTS {
            clients.spawn(send(relay.smtp(), format!("r{round}c{client}"), Arc::clone(&acknowledged)));
        }
        let goal = acknowledged.lock().unwrap().len() + 600;
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
        let waiting = queued(&relay).await.map_err(|error| error.to_string())?;
        // Only what is refused for now may still wait, and each of it once.
        let strangers = waiting.iter().filter(|name| fate(name) != "later.test").count();
        let distinct: BTreeSet<String> = waiting.iter().cloned().collect();
        let mut found: BTreeSet<String> = distinct.clone();
        found.extend(names(&peers.good).into_keys());
        found.extend(names(&peers.home).into_keys());
        let missing: Vec<_> = acknowledged.difference(&found).take(3).collect();
        if missing.is_empty() && strangers == 0 && distinct.len() == waiting.len() {
            return Ok(());
        }
        Err(format!("missing {missing:?}, {strangers} still to be settled, {} wait", waiting.len()))
    })
    .await;
    // Custody agrees: a crash makes second ends, and it never loses one.
    relay.ctl(&["queue", "audit", "--older-than", "0s"]).await?;
    // At most one copy too many for each session that was past its final dot, at each kill.
    let copies: usize =
        [&peers.good, &peers.home].iter().flat_map(|mx| names(mx).into_values()).map(|n| n - 1).sum();
    assert!(copies <= ROUNDS * peers.sessions(), "{copies} duplicates, {} sessions", peers.sessions());
    println!(
        "{} accepted = {} delivered + {} bounced + {} queued (and what a client was not told any more), {copies} duplicates",
        acknowledged.len(),
        names(&peers.good).len(),
        names(&peers.home).len(),
        queued(&relay).await?.len()
    );
    Ok(())
}

fn fate(name: &str) -> &'static str {
    let n: usize = name.rsplit('n').next().and_then(|n| n.parse().ok()).unwrap_or(0);
    FATES[n % FATES.len()]
}
