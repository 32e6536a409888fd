//! Mail under way while something breaks: clients that note what was acknowledged, servers that
//! take it at once, later or slowly, and what must hold in the end.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use hikyaku_testkit::{
    client::SmtpClient,
    eventually::eventually,
    mx::{Script, ScriptedMx},
    nats_cluster::NODES,
    relay::Relay,
};
use tokio::task::JoinSet;

use crate::{
    lab::http_get,
    rig::{Brokers, Rig},
};

/// Sessions that one destination may have.
pub const CAP: usize = 4;
const DOMAINS: usize = 8;
const CLIENTS: usize = 4;
/// Retry clocks run 60 times faster here, so this is a long time.
const SETTLED: Duration = Duration::from_secs(90);
/// What is known of a message that is missing is told so long before that.
const LAST_WORDS: Duration = Duration::from_secs(5);
const UNDER_WAY: Duration = Duration::from_secs(60);

pub struct Storm {
    pub rig: Rig,
    pub ingress: Vec<Relay>,
    pub workers: Vec<Relay>,
    /// Those that have ended; what they logged tells where a copy comes from.
    gone: Vec<Relay>,
    servers: Vec<ScriptedMx>,
    acknowledged: Arc<Mutex<BTreeSet<String>>>,
    stop: Arc<AtomicBool>,
    clients: JoinSet<()>,
}

impl Storm {
    /// A cluster with so many workers, and mail that has begun to flow.
    pub async fn begin(brokers: Brokers, ingress: usize, workers: usize) -> anyhow::Result<Self> {
        let mut servers = Vec::new();
        let mut domains = Vec::new();
        for n in 0..DOMAINS {
            let script = match n % 4 {
                0 | 1 => Script::Accept,
                2 => Script::Greylist(Duration::from_secs(3)),
                _ => Script::SlowContent(Duration::from_millis(100)),
            };
            let server = ScriptedMx::start(script).await?;
            domains.push((format!("d{n}.test"), server.address()));
            servers.push(server);
        }
        let tables = format!(
            "[ingress]\nbulk_rate = \"100000/s\"\n\
             [delivery]\nmax_connections_per_destination = {CAP}\nretry_clock_rate = 60\n"
        );
        let mut rig = Rig::start(brokers, &domains, &tables).await?;
        let mut storm_ingress = Vec::new();
        for _ in 0..ingress {
            storm_ingress.push(rig.ingress().await?);
        }
        let mut storm_workers = Vec::new();
        for _ in 0..workers {
            storm_workers.push(rig.worker().await?);
        }
        let mut storm = Self {
            rig,
            ingress: storm_ingress,
            workers: storm_workers,
            gone: Vec::new(),
            servers,
            acknowledged: Arc::default(),
            stop: Arc::default(),
            clients: JoinSet::new(),
        };
        let doors: Vec<SocketAddr> = storm.ingress.iter().map(Relay::smtp).collect();
        for client in 0..CLIENTS {
            let (doors, acknowledged, stop) =
                (doors.clone(), Arc::clone(&storm.acknowledged), Arc::clone(&storm.stop));
            storm.clients.spawn(send(client, doors, acknowledged, stop));
        }
        storm.more_mail(100).await;
        Ok(storm)
    }

    pub fn accepted(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    pub fn arrived(&self) -> usize {
        self.servers.iter().map(ScriptedMx::received_count).sum()
    }

    /// The oldest worker is told to end, and hands over what it has.
    pub async fn worker_goes(&mut self) -> anyhow::Result<()> {
        let mut worker = self.workers.remove(0);
        let status = worker.stop().await?;
        self.gone.push(worker);
        anyhow::ensure!(status == Some(0), "exit status {status:?}");
        Ok(())
    }

    /// Waits until so many more messages were accepted.
    pub async fn more_mail(&self, count: usize) {
        let goal = self.accepted() + count;
        eventually(UNDER_WAY, async || match self.accepted() {
            accepted if accepted >= goal => Ok(()),
            accepted => Err(format!("{accepted} of {goal} accepted")),
        })
        .await;
    }

    /// Waits until so many more messages have arrived.
    pub async fn more_arrivals(&self, count: usize) {
        let goal = self.arrived() + count;
        eventually(UNDER_WAY, async || match self.arrived() {
            arrived if arrived >= goal => Ok(()),
            arrived => Err(format!("{arrived} of {goal} arrived")),
        })
        .await;
    }

    /// Everything that was acknowledged arrives, and no destination ever had more sessions than it
    /// may have. `faults` may each repeat what was past its final dot.
    pub async fn end(&mut self, faults: usize) {
        self.end_with(faults, CAP).await;
    }

    /// The same where the fault itself keeps connections open that nobody can close.
    pub async fn end_with(&mut self, faults: usize, cap: usize) {
        self.stop.store(true, Ordering::SeqCst);
        while self.clients.join_next().await.is_some() {}
        let acknowledged = self.acknowledged.lock().unwrap().clone();
        let (begun, is_told) = (Instant::now(), AtomicBool::new(false));
        eventually(SETTLED, async || {
            let arrived: BTreeSet<String> = self.copies().into_keys().collect();
            let missing: Vec<_> = acknowledged.difference(&arrived).collect();
            match missing.as_slice() {
                [] => Ok(()),
                [first, ..] => {
                    // What is known of one of them, once, before this gives up.
                    if begun.elapsed() + LAST_WORDS > SETTLED && !is_told.swap(true, Ordering::SeqCst) {
                        self.print_life_of(first);
                        self.print_queues().await;
                    }
                    Err(format!("{} of {} missing: {missing:?}", missing.len(), acknowledged.len()))
                }
            }
        })
        .await;
        let copies = self.copies();
        let duplicates: usize = copies.values().map(|copies| copies - 1).sum();
        let sessions: Vec<usize> = self.servers.iter().map(ScriptedMx::most_sessions).collect();
        let stalls = self.workers_that_say("shard was taken by another worker");
        let overlooked =
            self.workers_that_say("the consumer overlooks an entry; the lane is handed out again");
        println!(
            "{} acknowledged, all arrived; {duplicates} duplicates after {faults} faults and {stalls} stalls; most \
             sessions {sessions:?}; {overlooked} workers found overlooked entries",
            acknowledged.len()
        );
        let most = (faults + stalls) * sessions.iter().sum::<usize>();
        if duplicates > most {
            for (name, _) in copies.iter().filter(|(_, copies)| **copies > 1) {
                self.print_life_of(name);
            }
            panic!("{duplicates} duplicates, {most} sessions in {faults} faults and {stalls} stalls");
        }
        assert!(sessions.iter().all(|sessions| *sessions <= cap), "{sessions:?}");
    }

    /// Those from which a shard was taken were let wait by this machine for too long: a fault, too.
    fn workers_that_say(&self, message: &str) -> usize {
        let workers = self.workers.iter().chain(&self.gone);
        workers.filter(|worker| worker.log().iter().any(|line| line["message"] == message)).count()
    }

    /// What each worker wrote about the message to this local part, and of trouble.
    fn print_life_of(&self, name: &str) {
        let recipient = format!("{name}@");
        let accepted: Vec<_> =
            self.ingress.iter().flat_map(|ingress| ingress.mail_log("accepted", None)).collect();
        let id = accepted.iter().find(|line| line.to_string().contains(&recipient));
        let id = id.and_then(|line| line["queue_id"].as_str()).unwrap_or(&recipient);
        println!("{name} is {id}");
        for (place, worker) in self.workers.iter().chain(&self.gone).enumerate() {
            for line in worker.log() {
                let text = line.to_string();
                if text.contains(id) || text.contains("shard is ours") || line["level"] == "WARN" {
                    println!("{place} {text}");
                }
            }
        }
    }

    /// What each broker says of the streams that are not empty.
    async fn print_queues(&self) {
        let Brokers::Three(cluster) = &self.rig.brokers else { return };
        for node in 0..NODES {
            let path = "/jsz?accounts=true&streams=true&consumers=true";
            let told = http_get(cluster.monitor(node), path).await.map(|(_, text)| text).unwrap_or_default();
            let Ok(told) = serde_json::from_str::<serde_json::Value>(&told) else {
                println!("broker {node} says {told}");
                continue;
            };
            let accounts = told["account_details"].as_array().into_iter().flatten();
            let streams = accounts.filter_map(|account| account["stream_detail"].as_array()).flatten();
            let is_queue = |stream: &&serde_json::Value| {
                stream["name"].as_str().is_some_and(|name| name.contains("QUEUE"))
            };
            for stream in streams.filter(is_queue).filter(|stream| stream["state"]["messages"] != 0) {
                println!("broker {node}: {} {}", stream["name"], stream["state"]);
                println!("broker {node}:   {}", stream["cluster"]);
                for consumer in stream["consumer_detail"].as_array().into_iter().flatten() {
                    println!("broker {node}:   {consumer}");
                }
            }
        }
    }

    fn copies(&self) -> BTreeMap<String, usize> {
        let mut copies = BTreeMap::new();
        for recipient in self.servers.iter().flat_map(ScriptedMx::received).flat_map(|mail| mail.recipients) {
            let name = recipient.split('@').next().unwrap_or_default().to_owned();
            *copies.entry(name).or_insert(0) += 1;
        }
        copies
    }
}

/// Sends until it is told to stop; after an error it begins anew, somewhere else.
async fn send(
    client: usize,
    doors: Vec<SocketAddr>,
    acknowledged: Arc<Mutex<BTreeSet<String>>>,
    stop: Arc<AtomicBool>,
) {
    let mut n = 0;
    for door in doors.iter().cycle().skip(client) {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let _ = send_through(*door, client, &mut n, &acknowledged, &stop).await; // the fault under test
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn send_through(
    door: SocketAddr,
    client: usize,
    n: &mut usize,
    acknowledged: &Mutex<BTreeSet<String>>,
    stop: &AtomicBool,
) -> anyhow::Result<()> {
    // Each is another source: one alone never gets every session of a destination.
    let own = SocketAddr::from(([127, 0, 1, u8::try_from(client)?], 0));
    let mut session = SmtpClient::connect_from(own, door).await?;
    session.expect("EHLO client.test").await?;
    while !stop.load(Ordering::SeqCst) {
        *n += 1;
        let (name, domain) = (format!("c{client}n{n}"), *n % DOMAINS);
        let to = format!("{name}@d{domain}.test");
        session.send_mail(&format!("s{client}@home.test"), &[&to], "Subject: x\r\n\r\nbody\r\n").await?;
        acknowledged.lock().unwrap().insert(name);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}
