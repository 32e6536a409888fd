//! Questions between workers, without a stream: whoever owns a shard answers for it, and no
//! answer within the time is an answer too.

use std::time::Duration;

use async_nats::{Client, Subject};
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use hikyaku_types::shard::ShardId;

use crate::{Nats, subject};

const TIMEOUT: Duration = Duration::from_millis(500);

/// One question and the way back.
pub struct Question {
    pub payload: Bytes,
    client: Client,
    reply: Subject,
}

impl std::fmt::Debug for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Question").field("size", &self.payload.len()).finish_non_exhaustive()
    }
}

impl Question {
    pub async fn answer(self, payload: Bytes) {
        if let Err(error) = self.client.publish(self.reply, payload).await {
            tracing::debug!(%error, "a question was not answered");
        }
    }
}

/// Asks the owner of a shard about the sites that it keeps.
pub async fn ask(nats: &Nats, shard: ShardId, payload: Bytes) -> Option<Bytes> {
    let answer = nats.client.request(subject::sites(shard), payload);
    match tokio::time::timeout(TIMEOUT, answer).await {
        Ok(Ok(message)) => Some(message.payload),
        Ok(Err(_)) | Err(_) => None,
    }
}

/// The questions about the sites of a shard, until it is dropped.
pub async fn questions(
    nats: &Nats,
    shard: ShardId,
) -> Result<impl Stream<Item = Question> + Send + Unpin + use<>, async_nats::Error> {
    let client = nats.client.clone();
    let messages = client.subscribe(subject::sites(shard)).await?;
    Ok(Box::pin(messages.filter_map(move |message| {
        let question =
            message.reply.map(|reply| Question { payload: message.payload, client: client.clone(), reply });
        std::future::ready(question)
    })))
}
