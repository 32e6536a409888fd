//! Brokers and streams as the doctor wants to see them.

use std::{collections::HashMap, time::Duration};

use async_nats::jetstream::{message::PublishMessage, stream::Info};
use futures::TryStreamExt as _;
use hikyaku_doctor::facts::{Broker, StreamFault};
use hikyaku_types::shard::ShardCount;

use crate::{
    Nats, servers,
    subject::CUSTODY_BATCH,
    topology::{CUSTODY_STREAM, DEAD_STREAM, body_stream, is_not_found, queue_stream, unsafe_setting},
};

const SECOND_LOOK: Duration = Duration::from_secs(2);
/// A stream that takes longer has no leader, or a disk that hangs.
const PATIENCE: Duration = Duration::from_secs(5);

impl Nats {
    /// What is wrong with the broker; nobody waits long for an answer that does not come.
    pub async fn survey(&self, shards: ShardCount) -> Broker {
        let servers = async {
            match &self.system {
                Some(system) => servers::ask(system).await,
                None => Vec::new(),
            }
        };
        let (servers, streams, write_failure) =
            tokio::join!(servers, self.survey_streams(shards), self.try_to_write());
        Broker { servers, streams, write_failure }
    }

    async fn survey_streams(&self, shards: ShardCount) -> Vec<(String, StreamFault)> {
        let listed =
            tokio::time::timeout(PATIENCE, self.jetstream.streams().try_collect::<Vec<Info>>()).await;
        let listed: HashMap<String, Info> = match listed {
            Ok(Ok(streams)) => streams.into_iter().map(|info| (info.config.name.clone(), info)).collect(),
            // Each of them is asked for by name then, and gives no answer.
            Ok(Err(_)) | Err(_) => HashMap::new(),
        };
        let of_shards = shards.shards().flat_map(|shard| [queue_stream(shard), body_stream(shard)]);
        let names = of_shards.chain([CUSTODY_STREAM.to_owned(), DEAD_STREAM.to_owned()]);
        let faults = names.map(|name| async {
            let fault = match listed.get(&name) {
                Some(info) => match fault_of(info) {
                    // Under load a copy is behind for a moment.
                    Some(StreamFault::Behind(_)) => {
                        tokio::time::sleep(SECOND_LOOK).await;
                        self.look_at(&name).await
                    }
                    fault => fault,
                },
                // A stream without a leader is in no list.
                None => self.look_at(&name).await,
            };
            Some((name, fault?))
        });
        futures::future::join_all(faults).await.into_iter().flatten().collect()
    }

    async fn look_at(&self, name: &str) -> Option<StreamFault> {
        match tokio::time::timeout(PATIENCE, self.jetstream.get_stream(name)).await {
            Ok(Ok(stream)) => fault_of(stream.cached_info()),
            Ok(Err(error)) if is_not_found(&error.kind()) => Some(StreamFault::Missing),
            Ok(Err(_)) | Err(_) => Some(StreamFault::Silent),
        }
    }

    /// A batch without events: whoever reads custody finds nothing in it.
    async fn try_to_write(&self) -> Option<String> {
        let message = PublishMessage::build().expected_stream(CUSTODY_STREAM);
        let write = async {
            self.jetstream.send_publish(CUSTODY_BATCH, message).await?.await?;
            Ok::<(), async_nats::jetstream::context::PublishError>(())
        };
        match tokio::time::timeout(PATIENCE, write).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("no acknowledgement within {} s", PATIENCE.as_secs())),
        }
    }
}

fn fault_of(info: &Info) -> Option<StreamFault> {
    if let Some(setting) = unsafe_setting(&info.config) {
        return Some(StreamFault::Unsafe(setting));
    }
    let cluster = info.cluster.as_ref()?;
    if cluster.leader.is_none() {
        return Some(StreamFault::Silent);
    }
    let behind = cluster.replicas.iter().filter(|replica| replica.offline || !replica.current);
    let behind: Vec<String> = behind.map(|replica| replica.name.clone()).collect();
    (!behind.is_empty()).then_some(StreamFault::Behind(behind))
}
