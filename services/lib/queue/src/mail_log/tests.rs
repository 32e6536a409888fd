//! With a real broker: what is written is found, by segments and without them.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hikyaku_mail_log::{Entry, Event, Key, Place, Sink as _, event::Accepted};
use hikyaku_testkit::{eventually::eventually, nats::NatsServer};
use hikyaku_types::{ids::QueueId, shard::ShardCount};

use super::{LogWriter, Query, find};
use crate::{
    Nats, NatsConfig,
    connect::Login,
    stream::{self, From, Reading},
    subject,
    topology::{LOG_INDEX_STREAM, LOG_STREAM, MailLogLimits, TopologyConfig, reconcile_mail_log},
};

const LIMITS: MailLogLimits = MailLogLimits { age: Duration::from_secs(24 * 3_600), bytes: 1 << 27 };

async fn connected(server: &NatsServer) -> Nats {
    let password = std::fs::read_to_string(server.password_file().unwrap()).unwrap();
    let config = NatsConfig {
        url: server.url(),
        login: Some(Login { user: "hikyaku".to_owned(), password: password.trim().to_owned().into() }),
        system_login: None,
        tls: None,
        client_name: "test".to_owned(),
    };
    // It has just been started.
    let connect = async || Nats::connect(&config).await.map_err(|error| error.to_string());
    let nats = eventually(Duration::from_secs(30), connect).await;
    let shards = ShardCount::new(1).unwrap();
    let config = TopologyConfig { shards, replicas: 1, mail_log: Some(LIMITS) };
    // Twice, as every role does.
    for _ in 0..2 {
        reconcile_mail_log(&nats, &config, LIMITS).await.unwrap();
    }
    nats
}

fn accepted(number: u64, sender: &str) -> (String, Arc<Entry>) {
    let now = SystemTime::now();
    let millis = u64::try_from(now.duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let queue_id = QueueId::new(millis, u128::from(number)).to_string();
    let event = Accepted { queue_id: queue_id.clone(), sender: sender.to_owned(), ..Accepted::default() };
    let entry = Entry::new(Event::Accepted(Box::new(event)), &Place::default(), now).unwrap();
    (queue_id, Arc::new(entry))
}

async fn ids(nats: &Nats, key: Key, messages: usize) -> Vec<String> {
    let (since, until) = (UNIX_EPOCH, SystemTime::now() + Duration::from_secs(60));
    let found = find(nats, &Query { keys: vec![key], since, until, messages }).await.unwrap();
    let id = |line: &String| Entry::read(line).unwrap().queue_id().unwrap().to_owned();
    found.lines.iter().map(id).collect()
}

fn sender(of: &str) -> Key {
    Key::Sender(of.to_owned())
}

/// Three segments, each with a message of ann and one of somebody else.
async fn three_segments(nats: &Nats) -> Vec<String> {
    let (writer, sink) = LogWriter::start(nats, Duration::ZERO);
    let mut of_ann = Vec::new();
    for number in 0..3 {
        let (id, entry) = accepted(number, "ann@x.example");
        sink.write(&entry);
        sink.write(&accepted(100 + number, "bob@x.example").1);
        writer.flush().await;
        of_ann.push(id);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(stream::extent(nats, LOG_INDEX_STREAM).await.unwrap().messages, 3);
    of_ann
}

#[tokio::test]
async fn a_segment_that_is_missing_makes_a_search_slower_and_not_wrong() {
    let server = NatsServer::start().unwrap();
    let nats = connected(&server).await;
    let of_ann = three_segments(&nats).await;
    assert_eq!(ids(&nats, sender("ann@x.example"), 10).await, of_ann);
    assert_eq!(ids(&nats, sender("eve@x.example"), 10).await, Vec::<String>::new());
    for sequence in [2, 1] {
        stream::delete(&nats, LOG_INDEX_STREAM, sequence).await.unwrap();
        assert_eq!(ids(&nats, sender("ann@x.example"), 10).await, of_ann, "without segment {sequence}");
        let key = Key::QueueId(of_ann[1].to_lowercase());
        assert_eq!(ids(&nats, key, 10).await, of_ann[1..2], "without segment {sequence}");
    }
}

#[tokio::test]
async fn the_newest_are_told_also_after_a_process_was_killed() {
    let server = NatsServer::start().unwrap();
    let nats = connected(&server).await;
    // Its lines are in no segment, and never will be.
    let (_killed, sink) = LogWriter::start(&nats, Duration::ZERO);
    for number in 0..20 {
        sink.write(&accepted(1_000 + number, "ann@x.example").1);
    }
    while sink.waiting() > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let of_ann = three_segments(&nats).await;
    assert_eq!(ids(&nats, sender("ann@x.example"), 3).await, of_ann);
    assert_eq!(ids(&nats, sender("ann@x.example"), 1_000).await.len(), 23);
}

/// What is stored twice, because an acknowledgement was lost for longer than twins are known, is told once.
#[tokio::test]
async fn a_line_is_told_once() {
    let server = NatsServer::start().unwrap();
    let nats = connected(&server).await;
    let of_ann = three_segments(&nats).await;
    let reading = Reading { stream: LOG_STREAM, filter: subject::ALL_LOG_BATCHES, messages: 1 };
    let first = reading.next(&nats, From::Sequence(1)).await.unwrap().messages.remove(0);
    nats.jetstream.publish(first.subject, first.payload).await.unwrap().await.unwrap();
    assert_eq!(ids(&nats, sender("ann@x.example"), 10).await, of_ann);
}
