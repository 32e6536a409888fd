//! The queue on NATS JetStream. The only crate that knows NATS: no type of the
//! client library crosses its public interface.
//!
//! Modules stand in the order of an entry's life.

pub mod connect; // one connection for work, one for reading the broker's settings
mod servers; // what the servers tell of themselves
pub mod durability; // does the broker sync each write?
mod subject; // the only place where a subject is spelled
pub mod topology; // streams and consumers as code; reconcile
mod codec; // Envelope <-> bytes
mod stamp; // times as text
mod trace; // traceparent in headers
pub mod body_store; // content that is too large for an envelope
pub mod publish; // Envelope -> stream; the promise behind 250
pub mod roster; // the workers that live, the owner of each shard
pub mod tenure; // the time for which a process owns a shard
pub mod ask; // questions between processes
pub mod recipients; // does a next hop know this recipient?
pub mod lease; // an entry that a worker holds; settles once
pub mod pull; // lane of a shard -> leases
pub mod reschedule; // retry = a scheduled message
mod forward; // schedule -> lane, before its time
mod stream; // many messages by one question, subjects without messages
pub mod custody; // each recipient has one end, and this proves it
pub mod mail_log; // what became of each message, for people
pub mod holds; // mail that waits until it is told to go
pub mod orphans; // content that nobody refers to
pub mod check; // is all content there?
pub mod depth; // how much waits, and how long
pub mod browse; // what an operator sees and does
pub mod dead; // failed mail without a sender
pub mod kv; // buckets, for the directory
pub mod sts; // MTA-STS policies that workers share
pub mod presence; // which processes there are
pub mod watch; // sessions that an operator watches
mod survey; // brokers and streams, for the doctor
pub mod metrics; // names, labels, descriptions

pub use connect::{Nats, NatsConfig};
pub use lease::Lease;
pub use subject::Owner;
