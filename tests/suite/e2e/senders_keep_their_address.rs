//! A retry from another address is a first contact again for a greylisting server, so a sender keeps
//! its address at a destination, also when another worker takes over (SEED-179).

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use hikyaku_testkit::{
    client::send_one,
    eventually::eventually,
    mx::{Script, ScriptedMx},
    nats::NatsServer,
    peers::Socks,
    relay::Relay,
};

use crate::{
    lab::{CONTENT, SOON},
    rig::{Brokers, Rig, domain},
};

const SENDERS: usize = 12;
/// The retry clocks run 60 times faster: the second retry finds the list open.
const GREYLIST: Duration = Duration::from_secs(3);
const FAST: &str = "[delivery]\nretry_clock_rate = 60\n";

#[tokio::test]
async fn over_addresses_of_this_machine() -> anyhow::Result<()> {
    let pool: Vec<IpAddr> = ["127.0.0.61", "127.0.0.62", "127.0.0.63"]
        .map(|it| it.parse())
        .into_iter()
        .collect::<Result<_, _>>()?;
    let lines: String = pool.iter().map(|address| format!("egress pool {address}\n")).collect();
    keeps_its_address(&lines, &pool).await
}

#[tokio::test]
async fn over_addresses_of_proxies() -> anyhow::Result<()> {
    let (mut proxies, mut pool, mut lines) = (Vec::new(), Vec::new(), String::new());
    for address in ["127.0.0.71", "127.0.0.72"] {
        let address: IpAddr = address.parse()?;
        let proxy = match Socks::from(address).await? {
            Ok(proxy) => proxy,
            Err(reason) => {
                println!("skipped: {reason}");
                return Ok(());
            }
        };
        lines += &format!("egress pool {address} via {}\n", proxy.address());
        pool.push(address);
        proxies.push(proxy);
    }
    keeps_its_address(&lines, &pool).await
}

async fn keeps_its_address(egress: &str, pool: &[IpAddr]) -> anyhow::Result<()> {
    let server = ScriptedMx::start(Script::Greylist(GREYLIST)).await?;
    let mut rig = Rig::start(Brokers::One(NatsServer::start()?), &domain("away.test", &server), FAST).await?;
    rig.document("traffic", &format!("{egress}destination [*] egress=pool\n")).await?;
    let ingress = rig.ingress().await?;
    let mut workers = vec![rig.worker().await?, rig.worker().await?];
    round(&ingress, "first").await?;
    eventually(SOON, async || match server.contacts().len() {
        SENDERS.. => Ok(()),
        count => Err(format!("{count} first contacts")),
    })
    .await;
    // The one that does the work; the other takes over with nothing but the queue.
    let owner = workers.iter().position(|worker| !worker.mail_log("deferred", None).is_empty());
    workers.remove(owner.unwrap_or(0)).kill().await?;
    arrived(&server, SENDERS).await;
    round(&ingress, "second").await?;
    arrived(&server, 2 * SENDERS).await;

    let mut addresses: BTreeMap<String, BTreeSet<IpAddr>> = BTreeMap::new();
    for (address, sender, _) in server.contacts() {
        addresses.entry(sender).or_default().insert(address);
    }
    assert_eq!(addresses.len(), SENDERS);
    assert!(addresses.values().all(|of_one| of_one.len() == 1), "{addresses:?}");
    let used: BTreeSet<IpAddr> = addresses.into_values().flatten().collect();
    assert!(used.len() > 1 && used.iter().all(|address| pool.contains(address)), "{used:?}");
    Ok(())
}

async fn round(ingress: &Relay, name: &str) -> anyhow::Result<()> {
    let smtp: SocketAddr = ingress.smtp();
    for n in 0..SENDERS {
        send_one(smtp, &format!("s{n}@home.test"), &[&format!("{name}@away.test")], CONTENT).await?;
    }
    Ok(())
}

async fn arrived(server: &ScriptedMx, count: usize) {
    eventually(SOON * 2, async || {
        let arrived: BTreeSet<(String, String)> =
            server.received().into_iter().map(|mail| (mail.sender, mail.recipients.concat())).collect();
        if arrived.len() >= count { Ok(()) } else { Err(format!("{} of {count} arrived", arrived.len())) }
    })
    .await;
}
