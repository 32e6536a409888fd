//! What can happen to a message, to a connection, and by an operator's hand. The names of events and fields are an
//! interface: one that is there keeps its meaning, and new ones may come.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One event for each change of state. Times are RFC 3339 in UTC, durations are seconds, sizes are octets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A client has connected. Written when `mail_log.connections` is on.
    Connected(Connected),
    /// A connection has ended. Written when `mail_log.connections` is on.
    Disconnected(Disconnected),
    /// A reply 4yz or 5yz to a client, with what decided it (SEED-201).
    Refused(Box<Refused>),
    /// A login was checked.
    Authentication(Authentication),
    /// A message for one next hop is in the queue, and its client has heard 250.
    Accepted(Box<Accepted>),
    /// An entry is shown to a next hop.
    Attempt(Box<Attempt>),
    /// A next hop has taken the message for this recipient.
    Delivered(Box<Delivered>),
    /// A recipient waits for another attempt.
    Deferred(Box<Failed>),
    /// A recipient will not get the message.
    Bounced(Box<Failed>),
    /// A report to the sender was put into the queue.
    Reported(Reported),
    /// Set aside unattempted, because its destination has enough to do.
    Parked(Waiting),
    /// Its recipients get no mail before a time (SEED-118).
    Waits(Waiting),
    /// Its destination, or itself, is on hold.
    Held(Waiting),
    /// The route of its recipients has changed.
    Rerouted(Moved),
    /// An operator has chosen another destination.
    Moved(Moved),
    /// An operator has removed it.
    Deleted(Deleted),
    /// A dead letter is in the queue again, under a new id.
    Resent(Resent),
    /// What an operator has changed, in all.
    Operator(Operator),
    /// A new version of the directory is in force.
    Directory(Directory),
    /// A route has reached its end and was removed.
    RouteExpired(RouteExpired),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Connected {
    /// Names the connection in all of its events.
    pub session: String,
    /// IP address, as a balancer or proxy tells it.
    pub client: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub port: Option<u16>,
    /// relay or submission.
    pub listener: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Disconnected {
    pub session: String,
    pub client: String,
    /// What it said in EHLO or HELO.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub helo: Option<String>,
    /// Whom it has authenticated as.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub identity: Option<String>,
    /// 1.2, 1.3 or none.
    pub tls: String,
    /// Transactions that ended with 250.
    pub accepted: u32,
    /// Replies 4yz and 5yz that were decided upon.
    pub refused: u32,
    pub seconds: f64,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Refused {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub session: Option<String>,
    pub client: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub helo: Option<String>,
    /// Who the client is, or says it is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub identity: Option<String>,
    /// Reverse-path; <> is the null sender.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sender: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub recipient: Option<String>,
    pub code: u16,
    /// RFC 3463.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub enhanced: Option<String>,
    /// A line of the directory (`access:3`), or the name of a check.
    pub decided_by: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Authentication {
    /// accepted, refused, locked or unavailable.
    pub outcome: String,
    pub login: String,
    pub client: String,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Accepted {
    /// Of the transaction; the client has heard it in the 250.
    pub queue_id: String,
    /// Of this message for this next hop: the queue id and a number.
    pub entry: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub session: Option<String>,
    /// Absent for mail of our own.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub client: Option<String>,
    pub helo: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub identity: Option<String>,
    /// The line that let the sender in.
    pub admitted_by: String,
    /// 1.2, 1.3 or none.
    pub tls: String,
    /// relay or submission.
    pub listener: String,
    pub sender: String,
    /// After aliases.
    pub recipients: Vec<String>,
    /// As the client wrote those that an alias has changed.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub original_recipients: Vec<String>,
    /// The Message-ID of the header.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub message_id: Option<String>,
    pub destination: String,
    /// Octets, as they came.
    pub size: u64,
    /// fresh or bulk.
    pub lane: String,
}

/// What a session with a next hop is protected by.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Protection {
    /// off, opportunistic, required, verified, mta-sts or dane. Absent when there was no session.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tls_policy: Option<String>,
    /// 1.2, 1.3 or none.
    pub tls: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tls_cipher: Option<String>,
    /// The certificate is one that the policy asks for.
    pub tls_verified: bool,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Attempt {
    pub queue_id: String,
    pub entry: String,
    pub destination: String,
    /// Name of the host, as in the MX record or the route.
    pub host: String,
    /// Its IP address and port.
    pub address: String,
    /// Counts from 1.
    pub attempt: u32,
    /// The address that it leaves from, where one was chosen.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub egress: Option<String>,
    #[serde(flatten)]
    pub protection: Protection,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Delivered {
    pub queue_id: String,
    pub entry: String,
    pub sender: String,
    pub recipient: String,
    pub destination: String,
    pub attempt: u32,
    /// Since its acceptance.
    pub delay_seconds: f64,
    /// What the host said, and which one it was.
    pub remote: String,
    #[serde(flatten)]
    pub protection: Protection,
}

/// SEED-210: what a server said and what happened on our side are never in the same field.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Failed {
    pub queue_id: String,
    pub entry: String,
    pub sender: String,
    pub recipient: String,
    pub destination: String,
    /// The attempt that failed; when an operator returns a message, how many there were.
    pub attempt: u32,
    /// temp (the host said so), perm (for good), noreply (it said nothing) or policy (a rule of ours).
    pub class: String,
    /// Where in the session; absent when there was no attempt.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub phase: Option<String>,
    /// RFC 3463.
    pub status: String,
    /// For people: what happened.
    pub cause: String,
    /// What a server said. Never beside `local_error`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub remote: Option<String>,
    /// What happened on our side: EOF, TIMEOUT, ECONNRESET and so on (SEED-211).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub local_error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub errno: Option<i32>,
    /// Octets of the reply that had come.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub bytes: Option<u64>,
    /// From the beginning of the step that failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub after_seconds: Option<f64>,
    /// Of deferred ones.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next_attempt: Option<String>,
    /// Of bounced ones: it was tried for as long as it may be.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expired: Option<bool>,
    /// Of bounced ones: the queue id of the report, or why there is none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub report: Option<String>,
    /// operator: somebody has returned it by hand.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub by: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reported {
    pub queue_id: String,
    pub entry: String,
    /// Who is told.
    pub sender: String,
    /// failed, delayed or relayed.
    pub kind: String,
    /// The queue id of the report.
    pub report: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Waiting {
    pub queue_id: String,
    pub entry: String,
    pub destination: String,
    /// Absent: until an operator says so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Moved {
    pub queue_id: String,
    pub entry: String,
    /// The destination that it leaves.
    pub from: String,
    pub to: String,
    /// Those that move; absent: all of the entry.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub recipients: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Deleted {
    pub queue_id: String,
    pub entry: String,
    pub destination: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Resent {
    /// The new one.
    pub queue_id: String,
    pub entry: String,
    /// The entry id of the letter.
    pub dead_letter: String,
    pub sender: String,
    pub recipients: Vec<String>,
    pub destination: String,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Operator {
    /// As in hikyakuctl.
    pub verb: String,
    /// A selection of entries, a dead letter, a login or a network.
    pub what: String,
    pub who: String,
    /// Entries that fitted before; with `after`, what changes of the queue tell.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub before: Option<u64>,
    /// Changed.
    pub done: u64,
    /// Left alone, because they are being attempted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub busy: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub held: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub after: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Directory {
    pub version: u64,
    /// Who has committed it.
    pub by: String,
    /// Documents that differ from the version before.
    pub changed: Vec<String>,
    pub comment: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RouteExpired {
    pub line: String,
}
