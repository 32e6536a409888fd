//! Fills the stream of the mail log as so many processes would, by their own code.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clap::Args;
use hikyaku_mail_log::{
    Entry, Event, Place, Sink as _,
    event::{Accepted, Attempt, Delivered},
};
use hikyaku_queue::{
    Nats, NatsConfig,
    connect::Login,
    mail_log::LogWriter,
    topology::{MailLogLimits, TopologyConfig, reconcile, reconcile_mail_log},
};
use hikyaku_types::{ids::QueueId, shard::ShardCount};

/// A process writes once a second; 1,000,000 messages a day over six processes are two a second for each.
const MESSAGES_OF_A_BATCH: u64 = 2;
const AGE: Duration = Duration::from_secs(30 * 24 * 3_600);

#[derive(Debug, Args)]
pub struct Options {
    /// Broker, whose login is hikyaku.
    #[arg(long)]
    nats: String,
    /// Its password.
    #[arg(long)]
    password_file: PathBuf,
    /// Messages, each with three lines: accepted by one process, attempted and delivered by another.
    #[arg(long, default_value_t = 1_000_000)]
    messages: u64,
    /// Processes of each of the two kinds.
    #[arg(long, default_value_t = 3)]
    processes: u64,
    /// The ids of some messages, one a line.
    #[arg(long)]
    some: PathBuf,
}

pub async fn run(options: Options) -> anyhow::Result<()> {
    let password = std::fs::read_to_string(&options.password_file)?;
    let nats = Nats::connect(&NatsConfig {
        url: options.nats,
        login: Some(Login { user: "hikyaku".to_owned(), password: password.trim().to_owned().into() }),
        system_login: None,
        tls: None,
        client_name: "hikyaku-load".to_owned(),
    })
    .await?;
    let shards = ShardCount::new(16).unwrap_or_else(|| unreachable!("16 is a number of shards"));
    let limits = MailLogLimits { age: AGE, bytes: 1 << 34 };
    let topology = TopologyConfig { shards, replicas: 1, mail_log: Some(limits) };
    reconcile(&nats, &topology).await?;
    reconcile_mail_log(&nats, &topology, limits).await?;
    let next = Arc::new(AtomicU64::new(0));
    let some = Arc::new(Mutex::new(Vec::new()));
    let pairs = (0..options.processes).map(|pair| {
        let (nats, next, some) = (nats.clone(), Arc::clone(&next), Arc::clone(&some));
        tokio::spawn(async move { write(&nats, pair, options.messages, &next, &some).await })
    });
    for written in futures::future::join_all(pairs).await {
        written??;
    }
    let some = some.lock().map_or_else(|_| Vec::new(), |some| some.clone());
    std::fs::write(&options.some, some.join("\n") + "\n")?;
    Ok(())
}

async fn write(
    nats: &Nats,
    pair: u64,
    messages: u64,
    next: &AtomicU64,
    some: &Mutex<Vec<String>>,
) -> anyhow::Result<()> {
    let (ingress_writer, ingress) = LogWriter::start(nats, Duration::ZERO);
    let (delivery_writer, delivery) = LogWriter::start(nats, Duration::ZERO);
    let place = |role: &str| Place { node: format!("{role}-{pair}"), role: role.to_owned() };
    let (of_ingress, of_delivery) = (place("ingress"), place("delivery"));
    loop {
        let first = next.fetch_add(MESSAGES_OF_A_BATCH, Ordering::Relaxed);
        if first >= messages {
            break;
        }
        for number in first..first + MESSAGES_OF_A_BATCH {
            let now = SystemTime::now();
            let millis = u64::try_from(now.duration_since(UNIX_EPOCH)?.as_millis())?;
            let id = QueueId::new(millis, rand::random());
            if number.is_multiple_of((messages / 20).max(1))
                && let Ok(mut some) = some.lock()
            {
                some.push(id.to_string());
            }
            let [accepted, attempt, delivered] = life(id, number);
            ingress.write(&Arc::new(Entry::new(accepted, &of_ingress, now)?));
            delivery.write(&Arc::new(Entry::new(attempt, &of_delivery, now)?));
            delivery.write(&Arc::new(Entry::new(delivered, &of_delivery, now)?));
        }
        // So that a batch is as small as in a day of this length.
        while ingress.waiting() + delivery.waiting() > 0 {
            tokio::task::yield_now().await;
        }
    }
    ingress_writer.flush().await;
    delivery_writer.flush().await;
    Ok(())
}

/// One message of so many is a report, whose sender nobody is: 10,000 a day.
const A_REPORT: u64 = 100;

/// 100,000 senders, 300,000 recipients, 5,000 destinations.
fn life(id: QueueId, number: u64) -> [Event; 3] {
    let (queue_id, entry) = (id.to_string(), id.entry(0).to_string());
    let sender = if number.is_multiple_of(A_REPORT) {
        String::new()
    } else {
        format!("sender{}@client{}.example", number % 100_000, number % 1_000)
    };
    let recipient = format!("recipient{}@domain{}.example", number % 300_000, number % 5_000);
    let destination = format!("domain{}.example", number % 5_000);
    let accepted = Event::Accepted(Box::new(Accepted {
        queue_id: queue_id.clone(),
        entry: entry.clone(),
        session: Some(format!("{number:016x}")),
        client: Some("192.0.2.1".to_owned()),
        helo: format!("client{}.example", number % 1_000),
        admitted_by: "relay-networks:3".to_owned(),
        tls: "1.3".to_owned(),
        listener: "relay".to_owned(),
        sender: sender.clone(),
        recipients: vec![recipient.clone()],
        message_id: Some(format!("<{number}.{id}@client{}.example>", number % 1_000)),
        destination: destination.clone(),
        size: 4_096,
        lane: "fresh".to_owned(),
        ..Accepted::default()
    }));
    let attempt = Event::Attempt(Box::new(Attempt {
        queue_id: queue_id.clone(),
        entry: entry.clone(),
        destination: destination.clone(),
        host: format!("mx1.{destination}"),
        address: "198.51.100.7:25".to_owned(),
        attempt: 1,
        ..Attempt::default()
    }));
    let delivered = Event::Delivered(Box::new(Delivered {
        queue_id,
        entry,
        sender,
        recipient,
        remote: format!("mx1.{destination} [198.51.100.7]:25 said 250 2.0.0 Ok: queued as 4XyZ{number}"),
        destination,
        attempt: 1,
        delay_seconds: 0.42,
        ..Delivered::default()
    }));
    [accepted, attempt, delivered]
}
