//! Whether a next hop knows a recipient (SEED-064). Workers answer: they have the addresses from which
//! inner servers let mail in.

use std::time::Duration;

use futures::{Stream, StreamExt as _};
use hikyaku_types::{address::Mailbox, destination::Destination};
use serde::{Deserialize, Serialize};

use crate::{
    Nats,
    ask::{self, Question, Topic},
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientQuestion {
    pub address: Mailbox,
    pub next_hop: Destination,
}

/// What is known of a recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Existence {
    Exists,
    Unknown,
    /// Nobody could say, for this reason.
    Unclear(String),
}

impl Existence {
    /// For metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Exists => "exists",
            Self::Unknown => "unknown",
            Self::Unclear(_) => "unclear",
        }
    }
}

/// As it is on the wire; fields that a later version adds are not read.
#[derive(Debug, Serialize, Deserialize)]
struct Wire {
    address: String,
    next_hop: String,
}

pub async fn ask_next_hop(nats: &Nats, question: &RecipientQuestion, timeout: Duration) -> Existence {
    let wire = Wire { address: question.address.to_string(), next_hop: question.next_hop.to_string() };
    // Plain fields cannot fail to be written.
    let payload = serde_json::to_vec(&wire).unwrap_or_default();
    match ask::ask(nats, Topic::Recipients, payload.into(), timeout).await {
        Ok(answer) => serde_json::from_slice(&answer)
            .unwrap_or_else(|error| Existence::Unclear(format!("a worker's answer cannot be read: {error}"))),
        Err(unanswered) => Existence::Unclear(format!("delivery workers: {unanswered}")),
    }
}

/// A question, and the way to answer it.
#[derive(Debug)]
pub struct Asked {
    pub question: RecipientQuestion,
    back: Question,
}

impl Asked {
    pub async fn answer(self, existence: &Existence) {
        self.back.answer(serde_json::to_vec(existence).unwrap_or_default().into()).await;
    }
}

/// Without an end, until it is dropped. What cannot be read is left out.
pub fn questions(nats: &Nats) -> impl Stream<Item = Asked> + Send + Unpin + use<> {
    ask::questions(nats, Topic::Recipients).filter_map(|back| std::future::ready(asked(back)))
}

fn asked(back: Question) -> Option<Asked> {
    let Wire { address, next_hop } = serde_json::from_slice(&back.payload).ok()?;
    let question = RecipientQuestion { address: address.parse().ok()?, next_hop: next_hop.parse().ok()? };
    Some(Asked { question, back })
}
