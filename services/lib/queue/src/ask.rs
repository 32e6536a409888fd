//! Questions between processes, without a stream: no answer within the time is an answer too.

use std::{ops::ControlFlow, time::Duration};

use async_nats::{Client, Request, Subject, SubscribeError, Subscriber, client::RequestErrorKind};
use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use hikyaku_types::shard::ShardId;

use crate::{Nats, subject};

const SITES_TIMEOUT: Duration = Duration::from_millis(500);
const REOPEN_PAUSE: Duration = Duration::from_millis(500);
/// The queue group of who answers for all: one of them gets each question.
const WORKERS: &str = "workers";

/// What a question is about, which says who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// The sites that the owner of this shard keeps.
    Sites(ShardId),
    /// Whether a next hop knows a recipient: any one worker answers.
    Recipients,
    /// What the next hops look like: every worker answers.
    Surroundings,
    /// What the DNS said of a domain is to be forgotten: every worker answers.
    StaleNames,
    /// How far a delivery to one destination comes: every worker answers.
    Diagnosis,
    /// Sessions are watched: every process that fits sends lines.
    Watch,
}

impl Topic {
    fn subject(self) -> String {
        match self {
            Self::Sites(shard) => subject::sites(shard),
            Self::Recipients => subject::RECIPIENTS.to_owned(),
            Self::Surroundings => subject::SURROUNDINGS.to_owned(),
            Self::StaleNames => subject::STALE_NAMES.to_owned(),
            Self::Diagnosis => subject::DIAGNOSIS.to_owned(),
            Self::Watch => subject::WATCH.to_owned(),
        }
    }
}

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
    /// For more than one answer.
    pub(crate) fn way_back(self) -> (Client, Subject) {
        (self.client, self.reply)
    }

    pub async fn answer(self, payload: Bytes) {
        if let Err(error) = self.client.publish(self.reply, payload).await {
            tracing::debug!(%error, "a question was not answered");
        }
    }
}

/// Asks the owner of a shard about the sites that it keeps.
pub async fn ask_about_sites(nats: &Nats, shard: ShardId, payload: Bytes) -> Option<Bytes> {
    ask(nats, Topic::Sites(shard), payload, SITES_TIMEOUT).await.ok()
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unanswered {
    #[error("nobody is there to answer")]
    Nobody,
    #[error("no answer within {0:?}")]
    Late(Duration),
    #[error("the broker does not pass questions on")]
    Broker,
}

pub(crate) async fn ask(
    nats: &Nats,
    topic: Topic,
    payload: Bytes,
    timeout: Duration,
) -> Result<Bytes, Unanswered> {
    let request = Request::new().payload(payload).timeout(Some(timeout));
    nats.client.send_request(topic.subject(), request).await.map(|answer| answer.payload).map_err(|error| {
        match error.kind() {
            RequestErrorKind::NoResponders => Unanswered::Nobody,
            RequestErrorKind::TimedOut => Unanswered::Late(timeout),
            RequestErrorKind::InvalidSubject
            | RequestErrorKind::MaxPayloadExceeded
            | RequestErrorKind::Other => Unanswered::Broker,
        }
    })
}

/// Asks all who answer about a topic, and hands over one answer after the other until `take` wants no more.
pub async fn ask_all(
    nats: &Nats,
    topic: Topic,
    payload: Bytes,
    patience: Duration,
    mut take: impl FnMut(Bytes) -> ControlFlow<()>,
) {
    let inbox = nats.client.new_inbox();
    let Ok(mut messages) = nats.client.subscribe(inbox.clone()).await else { return };
    if nats.client.publish_with_reply(topic.subject(), inbox, payload).await.is_err() {
        return;
    }
    let deadline = tokio::time::Instant::now() + patience;
    while let Ok(Some(message)) = tokio::time::timeout_at(deadline, messages.next()).await {
        // Where nobody listens the broker says so.
        if message.status.is_some() || take(message.payload).is_break() {
            break;
        }
    }
}

/// The questions about a topic, until it is dropped. It has no end: what ends is opened anew.
pub fn questions(nats: &Nats, topic: Topic) -> impl Stream<Item = Question> + Send + Unpin + use<> {
    let client = nats.client.clone();
    let opened = stream::unfold((client.clone(), Duration::ZERO), move |(client, pause)| async move {
        tokio::time::sleep(pause).await;
        let messages = subscribe(&client, topic).await;
        let messages = messages.inspect_err(
            |error| tracing::warn!(subject = topic.subject(), %error, "questions are not heard"),
        );
        Some((stream::iter(messages).flatten(), (client, REOPEN_PAUSE)))
    });
    Box::pin(opened.flatten().filter_map(move |message| {
        let question =
            message.reply.map(|reply| Question { payload: message.payload, client: client.clone(), reply });
        std::future::ready(question)
    }))
}

async fn subscribe(client: &Client, topic: Topic) -> Result<Subscriber, SubscribeError> {
    match topic {
        // Who has lost the shard may hear them for a while longer; it must not take them from the owner.
        Topic::Sites(_) | Topic::Surroundings | Topic::StaleNames | Topic::Diagnosis | Topic::Watch => {
            client.subscribe(topic.subject()).await
        }
        Topic::Recipients => client.queue_subscribe(topic.subject(), WORKERS.to_owned()).await,
    }
}
