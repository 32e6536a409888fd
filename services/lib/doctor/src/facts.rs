//! What was seen. Names and addresses are compared as they are here: whoever fills this in writes names in
//! lower case, without a final dot.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The node that was asked; the DNS is what its resolvers say.
    pub examined_from: String,
    /// Nodes that deliver and did not say what they see.
    pub unheard: Vec<String>,
    pub broker: Broker,
    pub nodes: Vec<Node>,
    /// `None`: the policy service gave no answer.
    pub directory: Option<Directory>,
    /// Under which the world sees the cluster.
    pub own_addresses: Vec<IpAddr>,
    /// Our names in greetings.
    pub own_names: Vec<String>,
    pub peers: Vec<Peer>,
    pub domains: Vec<DomainRecords>,
    /// Addresses that mail leaves from, as far as they are known and public.
    pub senders: Vec<Sender>,
}

/// What was looked up: an answer, no record, or no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lookup<T> {
    Found(T),
    None,
    Failed(String),
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Broker {
    /// Those that told their settings.
    pub servers: Vec<Server>,
    /// Those streams of ours that are not as they should be.
    pub streams: Vec<(String, StreamFault)>,
    /// Why nothing could be written, if so.
    pub write_failure: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Server {
    pub name: String,
    pub version: String,
    /// Empty for a single server.
    pub cluster: String,
    pub syncs: bool,
    pub stored_bytes: u64,
    /// 0: there is no limit.
    pub most_bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamFault {
    Missing,
    /// Why a power cut would lose mail.
    Unsafe(&'static str),
    Silent,
    /// The servers whose copies are not up to date.
    Behind(Vec<String>),
}

/// A process, as it tells of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    pub name: String,
    /// The version that it answers from, when it is a policy service.
    pub directory_version: Option<u64>,
    /// Where it takes mail.
    pub listeners: Vec<SocketAddr>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directory {
    /// The newest version that is stored.
    pub stored_version: u64,
    /// What the parser and the checks across documents say of the version in force.
    pub remarks: Vec<Remark>,
    /// Own domains that accept every address (mode A).
    pub open_domains: Vec<OpenDomain>,
    /// The domain that was asked about, if it is not an own domain.
    pub not_own: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// `document:line`.
    pub place: String,
    /// For example W-EFF-PUBLIC.
    pub code: String,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenDomain {
    /// `document:line`.
    pub place: String,
    pub domain: String,
    /// The inner server is asked for each recipient.
    pub is_probed: bool,
}

/// A next hop that a line names, as one node sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    pub seen_from: String,
    /// Where it is named: `document:line`.
    pub place: String,
    /// As it is written, `host:port`.
    pub name: String,
    pub contacts: Lookup<Vec<Contact>>,
}

/// One address of a peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    pub address: SocketAddr,
    pub outcome: Outcome,
    /// Nothing listens there, but on port 25 of the same address something greets.
    pub greets_on_25: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The first line that it says.
    Said(String),
    Refused,
    /// No connection, or no greeting: why.
    Silent(String),
}

/// What the DNS says of an own domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainRecords {
    pub domain: String,
    pub mx: Lookup<Vec<MxHost>>,
    /// The records that begin with v=spf1.
    pub spf: Lookup<Vec<String>>,
    /// Addresses of the domain itself.
    pub addresses: Vec<IpAddr>,
    /// Addresses of its next hop.
    pub inner: Vec<IpAddr>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MxHost {
    /// Empty: the null MX.
    pub name: String,
    pub addresses: Lookup<Vec<IpAddr>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    pub address: IpAddr,
    /// The reverse name, and whether it leads back.
    pub name: Lookup<(String, bool)>,
}
