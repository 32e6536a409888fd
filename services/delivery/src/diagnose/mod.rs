//! How far a delivery to one destination comes, from each node that would make it (SEED-220, SEED-221). It
//! goes the way of a delivery and never hands a message over; what it comes to is judged elsewhere.

mod look; // resolvers, hosts, addresses
mod contact; // one address: connection, greeting, EHLO, TLS
mod dialog; // a command and its reply
mod nodes; // one question to all workers

pub(crate) use nodes::{Views, answer, ask};

use std::time::Duration;

use hikyaku_types::{
    address::{Mailbox, ReversePath},
    destination::Destination,
};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// What is to be found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) destination: Destination,
    /// The line of the directory that leads there; empty: none.
    pub(crate) decided_by: String,
    pub(crate) sender: ReversePath,
    /// Whether this one would be taken is asked too.
    pub(crate) recipient: Option<Mailbox>,
    /// For all of it.
    pub(crate) patience: Duration,
}

/// The same for other workers: texts, and milliseconds.
#[derive(Debug, Serialize, Deserialize)]
struct Asked {
    /// The node that asks, and looks by itself.
    node: String,
    destination: String,
    decided_by: String,
    sender: String,
    recipient: Option<String>,
    patience: u64,
}

/// Until when, and how much of it each step may take.
#[derive(Debug, Clone, Copy)]
struct Limits {
    end: Instant,
    connect: Duration,
    greeting: Duration,
    reply: Duration,
}

impl Limits {
    fn new(patience: Duration) -> Self {
        Self {
            end: Instant::now() + patience,
            connect: patience / 4,
            greeting: patience / 3,
            reply: patience / 6,
        }
    }

    /// What is left for a step.
    fn left(self, limit: Duration) -> Duration {
        limit.min(self.end.saturating_duration_since(Instant::now()))
    }
}

impl Question {
    fn asked(&self, node: &str) -> Asked {
        Asked {
            node: node.to_owned(),
            destination: self.destination.to_string(),
            decided_by: self.decided_by.clone(),
            sender: self.sender.to_string(),
            recipient: self.recipient.as_ref().map(ToString::to_string),
            patience: u64::try_from(self.patience.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// `None`: a version of the program asks that knows more than this one.
    fn read(asked: &Asked) -> Option<Self> {
        Some(Self {
            destination: asked.destination.parse().ok()?,
            decided_by: asked.decided_by.clone(),
            sender: asked.sender.parse().ok()?,
            recipient: asked.recipient.as_ref().map(|text| text.parse()).transpose().ok()?,
            patience: Duration::from_millis(asked.patience),
        })
    }
}
