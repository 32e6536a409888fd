//! Clients of a load balancer that sends new sessions to pods that are ready and not about to go.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use hikyaku_testkit::{
    client::SmtpClient,
    eventually::eventually,
    mx::{Received, ScriptedMx},
};
use tokio::task::JoinSet;

use super::DOMAINS;
use crate::lab::http_get;

const CLIENTS: usize = 6;
const PER_SESSION: usize = 20;
const UNDER_WAY: Duration = Duration::from_secs(120);
/// Who is told to go away comes again after so long.
const AGAIN: Duration = Duration::from_millis(100);

/// The pods of ingress, as the cluster knows them and as balancers have heard.
#[derive(Debug, Clone, Default)]
pub struct Service(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    pods: Vec<(SocketAddr, SocketAddr)>,
    heard: Vec<SocketAddr>,
    turn: usize,
}

impl Service {
    pub fn joins(&self, smtp: SocketAddr, metrics: SocketAddr) {
        self.0.lock().unwrap().pods.push((smtp, metrics));
    }

    pub fn leaves(&self, smtp: SocketAddr) {
        self.0.lock().unwrap().pods.retain(|(pod, _)| *pod != smtp);
    }

    /// Balancers hear with this delay who is ready.
    async fn follow(self, every: Duration) {
        loop {
            let pods = self.0.lock().unwrap().pods.clone();
            let mut ready = Vec::new();
            for (smtp, metrics) in pods {
                if http_get(metrics, "/readyz").await.is_ok_and(|(status, _)| status == 200) {
                    ready.push(smtp);
                }
            }
            self.0.lock().unwrap().heard = ready;
            tokio::time::sleep(every).await;
        }
    }

    fn next(&self) -> Option<SocketAddr> {
        let mut state = self.0.lock().unwrap();
        state.turn += 1;
        state.heard.get(state.turn % state.heard.len().max(1)).copied()
    }
}

/// What clients were told.
#[derive(Debug, Default)]
struct Tally {
    /// Names of messages, and when they were acknowledged.
    acknowledged: Mutex<BTreeMap<String, Instant>>,
    /// Content was sent and no reply came: the client repeats what may have been taken.
    unanswered: Mutex<BTreeSet<String>>,
    /// 421, by the command that it answers.
    told_to_go: Mutex<BTreeMap<String, usize>>,
    /// Everything else that is not as it should be.
    faults: Mutex<BTreeMap<String, usize>>,
    sessions: AtomicUsize,
    stop: AtomicBool,
}

pub struct Clients {
    tally: Arc<Tally>,
    running: JoinSet<()>,
}

/// What has become of it all.
pub struct End {
    accepted: usize,
    sessions: usize,
    pub duplicates: usize,
    pub unanswered: usize,
    told_to_go: BTreeMap<String, usize>,
    pub faults: BTreeMap<String, usize>,
    /// From 250 to arrival at servers that take mail at once, sorted.
    latencies: Vec<Duration>,
}

impl Clients {
    pub fn begin(service: &Service, probe: Duration) -> Self {
        let tally = Arc::new(Tally::default());
        let mut running = JoinSet::new();
        let following = service.clone().follow(probe);
        let stopped = Arc::clone(&tally);
        running.spawn(async move {
            let stop = async {
                while !stopped.stop.load(Ordering::SeqCst) {
                    tokio::time::sleep(AGAIN).await;
                }
            };
            tokio::select! { () = following => {}, () = stop => {} }
        });
        for client in 0..CLIENTS {
            running.spawn(send(client, service.clone(), Arc::clone(&tally)));
        }
        Self { tally, running }
    }

    pub fn accepted(&self) -> usize {
        self.tally.acknowledged.lock().unwrap().len()
    }

    pub async fn more_mail(&self, count: usize) {
        let goal = self.accepted() + count;
        eventually(UNDER_WAY, async || match self.accepted() {
            accepted if accepted >= goal => Ok(()),
            accepted => {
                Err(format!("{accepted} of {goal} accepted; {:?}", self.tally.faults.lock().unwrap()))
            }
        })
        .await;
    }

    pub async fn stop(&mut self) {
        self.tally.stop.store(true, Ordering::SeqCst);
        while self.running.join_next().await.is_some() {}
    }

    /// Of those that were acknowledged.
    pub fn missing(&self, servers: &[ScriptedMx]) -> (usize, usize) {
        let acknowledged = self.tally.acknowledged.lock().unwrap();
        let arrived = arrivals(servers);
        (acknowledged.keys().filter(|name| !arrived.contains_key(*name)).count(), acknowledged.len())
    }

    pub fn end(&self, servers: &[ScriptedMx]) -> End {
        let acknowledged = self.tally.acknowledged.lock().unwrap();
        let arrived = arrivals(servers);
        let mut latencies: Vec<Duration> = acknowledged
            .iter()
            .filter_map(|(name, at)| {
                let (server, first, _) = arrived.get(name)?;
                (server % 4 != 3).then(|| first.saturating_duration_since(*at))
            })
            .collect();
        latencies.sort_unstable();
        End {
            accepted: acknowledged.len(),
            sessions: self.tally.sessions.load(Ordering::SeqCst),
            duplicates: arrived.values().map(|(_, _, copies)| copies - 1).sum(),
            unanswered: self.tally.unanswered.lock().unwrap().len(),
            told_to_go: self.tally.told_to_go.lock().unwrap().clone(),
            faults: self.tally.faults.lock().unwrap().clone(),
            latencies,
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |share: usize| {
            let last = self.latencies.len().saturating_sub(1);
            self.latencies.get(last * share / 100).copied().unwrap_or_default()
        };
        let Self { accepted, sessions, duplicates, unanswered, told_to_go, faults, .. } = self;
        write!(
            f,
            "{accepted} acknowledged in {sessions} sessions, all arrived; {duplicates} duplicates, {unanswered} repeated \
             without an answer; 421: {told_to_go:?}; faults: {faults:?}; from 250 to arrival p50 {:?}, p99 {:?}, max {:?}",
            at(50),
            at(99),
            at(100)
        )
    }
}

/// By name: the server, the first copy's time, and the number of copies.
fn arrivals(servers: &[ScriptedMx]) -> BTreeMap<String, (usize, Instant, usize)> {
    let mut arrived: BTreeMap<String, (usize, Instant, usize)> = BTreeMap::new();
    for (server, mx) in servers.iter().enumerate() {
        for Received { recipients, at, .. } in mx.received() {
            for recipient in recipients {
                let name = recipient.split('@').next().unwrap_or_default().to_owned();
                let entry = arrived.entry(name).or_insert((server, at, 0));
                entry.1 = entry.1.min(at);
                entry.2 += 1;
            }
        }
    }
    arrived
}

/// What went wrong in a session.
#[derive(Debug)]
enum Trouble {
    /// 421 in the place of this reply.
    Goodbye(&'static str),
    Fault(String),
}

impl Trouble {
    fn of(place: &'static str, error: impl fmt::Display) -> Self {
        let said = error.to_string();
        if said.contains(": 421 ") { Self::Goodbye(place) } else { Self::Fault(format!("{place}: {said}")) }
    }
}

/// One session after another; a message that was not taken is tried again in the next one.
async fn send(client: usize, service: Service, tally: Arc<Tally>) {
    let mut n = 0;
    while !tally.stop.load(Ordering::SeqCst) {
        let Some(door) = service.next() else {
            tokio::time::sleep(AGAIN).await;
            continue;
        };
        tally.sessions.fetch_add(1, Ordering::SeqCst);
        if let Err(trouble) = session(door, client, &mut n, &tally).await {
            let (kind, of) = match trouble {
                Trouble::Goodbye(place) => (place.to_owned(), &tally.told_to_go),
                Trouble::Fault(said) => (said, &tally.faults),
            };
            *of.lock().unwrap().entry(kind).or_insert(0) += 1;
            tokio::time::sleep(AGAIN).await;
        }
    }
}

async fn session(door: SocketAddr, client: usize, n: &mut usize, tally: &Tally) -> Result<(), Trouble> {
    let own = SocketAddr::from(([127, 0, 1, u8::try_from(client).unwrap_or(0)], 0));
    let session = SmtpClient::connect_from(own, door).await;
    let mut session = session.map_err(|error| Trouble::of("connection", format!("{error:#}")))?;
    session.expect("EHLO client.test").await.map_err(|error| Trouble::of("EHLO", error))?;
    // Some clients take their time, so that sessions are idle when their pod goes.
    let pause = Duration::from_millis(if client.is_multiple_of(2) { 5 } else { 300 });
    for _ in 0..PER_SESSION {
        let name = format!("c{client}n{n}");
        let to = format!("{name}@d{}.test", *n % DOMAINS);
        message(&mut session, client, &to, &name, tally).await?;
        *n += 1;
        if tally.stop.load(Ordering::SeqCst) {
            break;
        }
        tokio::time::sleep(pause).await;
    }
    session.expect("QUIT").await.map_err(|error| Trouble::of("QUIT", error))?;
    Ok(())
}

async fn message(
    session: &mut SmtpClient,
    client: usize,
    to: &str,
    name: &str,
    tally: &Tally,
) -> Result<(), Trouble> {
    let envelope =
        [("MAIL", format!("MAIL FROM:<s{client}@home.test>")), ("RCPT", format!("RCPT TO:<{to}>"))];
    for (verb, command) in &envelope {
        session.expect(command).await.map_err(|error| Trouble::of(verb, error))?;
    }
    session.expect("DATA").await.map_err(|error| Trouble::of("DATA", error))?;
    let content = session.send(b"Subject: x\r\n\r\nbody\r\n").await;
    content.map_err(|error| Trouble::of("content", error))?;
    let reply = session.command(".").await.unwrap_or_default();
    if reply.is_empty() {
        tally.unanswered.lock().unwrap().insert(name.to_owned());
    }
    if !reply.starts_with('2') {
        return Err(Trouble::of("the final dot", format!(": {reply}")));
    }
    tally.acknowledged.lock().unwrap().insert(name.to_owned(), Instant::now());
    Ok(())
}
