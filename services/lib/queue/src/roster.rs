//! Who delivers: the workers that live, and the owner of each shard. One bucket, so one order:
//! whoever sees a record of his own has seen everything that was written before it.
//!
//! `worker.<id>` is written again and again while a worker lives, `shard.<n>` names the owner and
//! changes only by compare-and-set, `drain.<node>` is an operator's order.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use hikyaku_types::shard::ShardId;
use serde::{Deserialize, Serialize};

use crate::{
    Nats,
    kv::{KvBucket, KvEntry, KvError},
};

pub const BUCKET: &str = "HIKYAKU_WORKERS";
const WORKER: &str = "worker.";
const SHARD: &str = "shard.";
const DRAIN: &str = "drain.";

/// One run of one process.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WorkerId(String);

impl WorkerId {
    /// `node` names the machine or pod, `incarnation` this run of it.
    pub fn new(node: &str, incarnation: u64) -> Self {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        let node: String = node.chars().map(|c| if allowed(c) { c } else { '_' }).collect();
        Self(format!("{node}_{incarnation:016x}"))
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a worker says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerRecord {
    /// Counts the writes of this record.
    pub beat: u64,
    /// Name of the machine or pod.
    pub node: String,
    /// It takes no shards.
    pub draining: bool,
    /// It has ended and owns nothing.
    pub left: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RosterEvent {
    /// `at`: when it was written, by the broker's clock.
    Worker {
        id: WorkerId,
        record: WorkerRecord,
        at: SystemTime,
    },
    Shard {
        shard: ShardId,
        owner: Option<WorkerId>,
        revision: u64,
    },
    Drain {
        node: String,
        ordered: bool,
    },
}

/// A worker as the roster has it.
#[derive(Debug, Clone)]
pub struct Member {
    pub id: WorkerId,
    pub record: WorkerRecord,
    pub shards: Vec<ShardId>,
    pub seen_at: SystemTime,
}

/// A worker that was not heard for so long has ended.
const GONE_AFTER: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
pub struct Roster {
    bucket: KvBucket,
}

impl Roster {
    pub async fn open(nats: &Nats, replicas: usize) -> Result<Self, KvError> {
        Ok(Self { bucket: KvBucket::open(nats, BUCKET, replicas).await? })
    }

    /// Everything as it is, then each change, in the order in which it was written.
    pub async fn watch(
        &self,
    ) -> Result<impl Stream<Item = Result<RosterEvent, KvError>> + Send + Unpin + use<>, KvError> {
        let entries = self.bucket.watch(">").await?;
        Ok(entries.filter_map(|entry| std::future::ready(entry.map(event).transpose())))
    }

    pub async fn beat(&self, id: &WorkerId, record: &WorkerRecord) -> Result<(), KvError> {
        self.bucket.put(&format!("{WORKER}{id}"), json(record)).await?;
        Ok(())
    }

    /// Becomes the owner, or fails because somebody else was faster. `revision` is that of the
    /// shard's last record, 0 when there was none.
    pub async fn claim(&self, shard: ShardId, id: &WorkerId, revision: u64) -> Result<(), KvError> {
        self.set_owner(shard, Some(id), revision).await
    }

    pub async fn release(&self, shard: ShardId, revision: u64) -> Result<(), KvError> {
        self.set_owner(shard, None, revision).await
    }

    async fn set_owner(
        &self,
        shard: ShardId,
        owner: Option<&WorkerId>,
        revision: u64,
    ) -> Result<(), KvError> {
        self.bucket.update(&format!("{SHARD}{shard}"), json(&owner), revision).await?;
        Ok(())
    }

    /// Who delivers now, by name. Those that died are in it for a minute, and as long as they own
    /// something.
    pub async fn members(&self) -> Result<Vec<Member>, KvError> {
        let mut members: BTreeMap<WorkerId, Member> = BTreeMap::new();
        let mut shards = Vec::new();
        for entry in self.bucket.all().await? {
            let seen_at = entry.at;
            match event(entry) {
                Some(RosterEvent::Worker { id, record, .. }) if !record.left => {
                    members.insert(id.clone(), Member { id, record, shards: Vec::new(), seen_at });
                }
                Some(RosterEvent::Shard { shard, owner: Some(owner), .. }) => shards.push((shard, owner)),
                Some(RosterEvent::Worker { .. } | RosterEvent::Shard { .. } | RosterEvent::Drain { .. })
                | None => {}
            }
        }
        shards.sort_unstable();
        for (shard, owner) in shards {
            if let Some(member) = members.get_mut(&owner) {
                member.shards.push(shard);
            }
        }
        let newest = members.values().map(|member| member.seen_at).max();
        let is_there = |member: &Member| {
            let silence = newest.and_then(|newest| newest.duration_since(member.seen_at).ok());
            !member.shards.is_empty() || silence.unwrap_or_default() < GONE_AFTER
        };
        Ok(members.into_values().filter(is_there).collect())
    }

    /// An operator's order to a node; it holds until it is taken back.
    pub async fn order_drain(&self, node: &str, drain: bool) -> Result<(), KvError> {
        self.bucket.put(&format!("{DRAIN}{node}"), json(&drain)).await?;
        Ok(())
    }
}

fn json(value: &impl Serialize) -> Bytes {
    // Records of plain fields cannot fail to be written.
    serde_json::to_vec(value).unwrap_or_default().into()
}

/// A record that this version cannot read is passed over: it belongs to a later one.
fn event(entry: KvEntry) -> Option<RosterEvent> {
    let KvEntry { key, value, revision, at } = entry;
    let read = if let Some(id) = key.strip_prefix(WORKER) {
        serde_json::from_slice(&value).map(|record| RosterEvent::Worker {
            id: WorkerId(id.to_owned()),
            record,
            at,
        })
    } else if let Some(shard) = key.strip_prefix(SHARD).and_then(|shard| shard.parse().ok()) {
        let shard = ShardId::new(shard);
        serde_json::from_slice(&value).map(|owner| RosterEvent::Shard { shard, owner, revision })
    } else if let Some(node) = key.strip_prefix(DRAIN) {
        serde_json::from_slice(&value).map(|ordered| RosterEvent::Drain { node: node.to_owned(), ordered })
    } else {
        return None;
    };
    read.inspect_err(|error| tracing::warn!(key, %error, "a record of the roster cannot be read")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_round_trip() {
        let id = WorkerId::new("gw 1.example", 7);
        assert_eq!(id.to_string(), "gw_1.example_0000000000000007");
        let record = WorkerRecord { beat: 3, node: "gw".to_owned(), draining: false, left: false };
        let entry = |key: String, value| KvEntry { key, value, revision: 9, at: SystemTime::UNIX_EPOCH };
        assert_eq!(
            event(entry(format!("worker.{id}"), json(&record))),
            Some(RosterEvent::Worker { id: id.clone(), record, at: SystemTime::UNIX_EPOCH })
        );
        let shard = ShardId::new(4);
        for owner in [None, Some(id)] {
            let read = event(entry("shard.4".to_owned(), json(&owner)));
            assert_eq!(read, Some(RosterEvent::Shard { shard, owner, revision: 9 }));
        }
        assert_eq!(event(entry("else".to_owned(), Bytes::new())), None);
        assert_eq!(event(entry("shard.4".to_owned(), Bytes::from_static(b"?"))), None);
    }
}
