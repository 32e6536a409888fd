//! What the servers tell of themselves, to the system account.

use std::{collections::BTreeMap, time::Duration};

use async_nats::Client;
use futures::StreamExt as _;
use hikyaku_doctor::facts::Server;
use serde_json::Value;

const SETTINGS_SUBJECT: &str = "$SYS.REQ.SERVER.PING.VARZ";
/// Servers answer a ping in parallel; silence for so long means that all have.
const LAST_ANSWER: Duration = Duration::from_millis(500);

/// Each server with JetStream, by name.
pub(crate) async fn ask(system: &Client) -> Vec<Server> {
    let mut servers = BTreeMap::new();
    let inbox = system.new_inbox();
    if let Ok(mut answers) = system.subscribe(inbox.clone()).await
        && system.publish_with_reply(SETTINGS_SUBJECT, inbox, bytes::Bytes::new()).await.is_ok()
    {
        while let Ok(Some(answer)) = tokio::time::timeout(LAST_ANSWER, answers.next()).await {
            let answer: Option<Value> = serde_json::from_slice(&answer.payload).ok();
            if let Some(server) = answer.as_ref().and_then(|answer| read(answer.get("data")?)) {
                servers.insert(server.name.clone(), server);
            }
        }
    }
    servers.into_values().collect()
}

fn read(settings: &Value) -> Option<Server> {
    let config = settings.pointer("/jetstream/config")?;
    let text = |path: &str| settings.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let bytes = |path: &str| settings.pointer(path).and_then(Value::as_u64).unwrap_or_default();
    Some(Server {
        name: settings.get("server_name").and_then(Value::as_str).unwrap_or("?").to_owned(),
        version: text("/version"),
        cluster: text("/cluster/name"),
        syncs: config.get("sync_always").and_then(Value::as_bool).unwrap_or(false),
        stored_bytes: bytes("/jetstream/stats/storage"),
        most_bytes: bytes("/jetstream/config/max_storage"),
    })
}
