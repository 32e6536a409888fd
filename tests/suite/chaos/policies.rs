//! Policy services die one by one and all together while mail and forbidden mail are tried all the time.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use hikyaku_testkit::{
    client::SmtpClient,
    eventually::eventually,
    mx::{Script, ScriptedMx},
    nats::NatsServer,
    relay::{Relay, signal},
};
use tokio::task::JoinSet;

use crate::rig::{Brokers, Rig, domain, restart};

const PODS: usize = 3;
const CLIENTS: u8 = 6;
const USERS: usize = 20;
const SETTLED: Duration = Duration::from_secs(90);

/// What clients may try, and the one proper answer to it.
#[derive(Debug, Clone, Copy)]
enum Attempt {
    /// Of a network that may relay, as one of ours, to one of ours.
    OwnMail,
    Relay,
    UnknownUser,
    ForgedSender,
}

const ATTEMPTS: [(Attempt, &str); 4] = [
    (Attempt::OwnMail, "250"),
    (Attempt::Relay, "550 5.7.1"),
    (Attempt::UnknownUser, "550 5.1.1"),
    (Attempt::ForgedSender, "530 5.7.0"),
];

/// What was answered so far.
#[derive(Default)]
struct Tally {
    /// Names of messages.
    acknowledged: Mutex<BTreeSet<String>>,
    refused: AtomicUsize,
    deferred: AtomicUsize,
    wrong: Mutex<Vec<String>>,
    stop: AtomicBool,
}

impl Tally {
    fn accepted(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    fn refused(&self) -> usize {
        self.refused.load(Ordering::SeqCst)
    }

    fn deferred(&self) -> usize {
        self.deferred.load(Ordering::SeqCst)
    }

    /// So many more of both proper answers.
    async fn more_answers(&self, count: usize) {
        let (accepted, refused) = (self.accepted() + count, self.refused() + count);
        eventually(SETTLED, async || match (self.accepted(), self.refused()) {
            (now, also) if now >= accepted && also >= refused => Ok(()),
            now => Err(format!("{now:?}, not {accepted} accepted and {refused} refused")),
        })
        .await;
    }

    async fn more_deferred(&self, count: usize) {
        let goal = self.deferred() + count;
        eventually(SETTLED, async || match self.deferred() {
            now if now >= goal => Ok(()),
            now => Err(format!("{now} of {goal} deferred")),
        })
        .await;
    }

    fn nothing_is_wrong(&self) {
        let wrong = self.wrong.lock().unwrap();
        assert!(wrong.is_empty(), "{} wrong answers: {:?}", wrong.len(), wrong.first());
    }
}

/// Each session comes from another address, so that no answer is remembered for it.
async fn try_all(door: SocketAddr, client: u8, tally: Arc<Tally>) {
    for n in 0.. {
        if tally.stop.load(Ordering::SeqCst) {
            return;
        }
        let (attempt, proper) = ATTEMPTS[n % ATTEMPTS.len()];
        let name = format!("c{client}n{n}");
        match try_one(door, client, n, attempt, &name).await {
            Ok(()) if proper == "250" => {
                tally.acknowledged.lock().unwrap().insert(name);
            }
            Ok(()) => tally.wrong.lock().unwrap().push(format!("{attempt:?}: 250")),
            Err(error) => {
                let said = error.to_string();
                if said.contains(&format!(": {proper}")) {
                    tally.refused.fetch_add(1, Ordering::SeqCst);
                } else if said.contains(": 451 4.3.0") {
                    tally.deferred.fetch_add(1, Ordering::SeqCst);
                } else {
                    tally.wrong.lock().unwrap().push(format!("{attempt:?}: {said}"));
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn try_one(door: SocketAddr, client: u8, n: usize, attempt: Attempt, name: &str) -> anyhow::Result<()> {
    let user = format!("u{}@own.test", n % USERS);
    let (network, sender, recipient) = match attempt {
        Attempt::OwnMail => (1, "u0@own.test", &*user),
        Attempt::Relay => (2, "a@client.test", "v@elsewhere.test"),
        Attempt::UnknownUser => (2, "a@client.test", "nobody@own.test"),
        Attempt::ForgedSender => (2, "u0@own.test", &*user),
    };
    let [.., high, low] = n.to_be_bytes();
    let from = SocketAddr::from(([127, network * 16 + client, high, low.max(1)], 0));
    let mut session = SmtpClient::connect_from(from, door).await?;
    session.expect("EHLO client.test").await?;
    session.send_mail(sender, &[recipient], &format!("X-Name: {name}\r\n\r\nbody\r\n")).await?;
    Ok(())
}

fn arrived(inner: &ScriptedMx) -> BTreeSet<String> {
    let name = |text: String| text.lines().find_map(|line| Some(line.strip_prefix("X-Name: ")?.to_owned()));
    inner.received().iter().filter_map(|mail| name(mail.text())).collect()
}

#[tokio::test]
async fn one_that_lives_is_enough_and_none_is_451() -> anyhow::Result<()> {
    let inner = ScriptedMx::start(Script::Accept).await?;
    let brokers = Brokers::One(NatsServer::start()?);
    let mut rig =
        Rig::start(brokers, &domain("own.test", &inner), "[ingress]\nbulk_rate = \"100000/s\"\n").await?;
    rig.document("relay-networks", "127.16.0.0/12\n").await?;
    let users: String = (0..USERS).map(|n| format!("u{n}@own.test\tu{n}@own.test\n")).collect();
    rig.document("aliases", &users).await?;
    let mut others = Vec::new();
    for _ in 1..PODS {
        others.push(rig.another_policy().await?);
    }
    let (ingress, _worker) = (rig.ingress().await?, rig.worker().await?);
    let mut pods: Vec<&mut Relay> = std::iter::once(&mut rig.policy).chain(&mut others).collect();

    let tally = Arc::new(Tally::default());
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        clients.spawn(try_all(ingress.smtp(), client, Arc::clone(&tally)));
    }
    tally.more_answers(50).await;
    for pod in &mut pods {
        restart(pod).await?;
        tally.more_answers(50).await;
    }
    // It keeps its connections and says nothing.
    let pid = pods[0].pid().context("the pod has ended")?;
    signal("STOP", pid).await?;
    tally.more_answers(100).await;
    signal("CONT", pid).await?;
    // Two of three at once, so that one call meets both.
    for pod in &mut pods[1..] {
        pod.end().await?;
    }
    tally.more_answers(100).await;
    tally.nothing_is_wrong();
    let (proper, deferred) = (tally.accepted() + tally.refused(), tally.deferred());
    println!("{proper} proper answers and {deferred} times 451 while a pod lived");
    assert!(deferred <= proper / 100, "{deferred} times 451 while a pod lived");

    pods[0].end().await?;
    tally.more_deferred(50).await;
    let (accepted, refused) = (tally.accepted(), tally.refused());
    tally.more_deferred(50).await;
    assert_eq!(
        (tally.accepted(), tally.refused()),
        (accepted, refused),
        "without a policy nothing is decided"
    );

    for pod in &mut pods {
        restart(pod).await?;
    }
    tally.more_answers(100).await;
    tally.stop.store(true, Ordering::SeqCst);
    while clients.join_next().await.is_some() {}
    tally.nothing_is_wrong();
    let acknowledged = tally.acknowledged.lock().unwrap().clone();
    eventually(SETTLED, async || {
        let arrived = arrived(&inner);
        match acknowledged.difference(&arrived).count() {
            0 => Ok(()),
            missing => Err(format!("{missing} of {} missing", acknowledged.len())),
        }
    })
    .await;
    let arrived = arrived(&inner);
    assert!(arrived.iter().all(|name| acknowledged.contains(name)), "something else has arrived");
    println!("{} acknowledged, all arrived", acknowledged.len());
    Ok(())
}
