//! Shard -> destination -> connection -> outcome.
//!
//! The actors only carry messages; what is decided is decided by pure code
//! (`destination/brain.rs`, `outcome/plan.rs`), and what waits for a network runs in
//! tasks beside the actors.

pub mod config; // limits and clocks
pub mod app; // composition root
mod context; // what every part needs
mod traffic; // the administrator's rules over the configuration
mod egress; // which of our addresses a message leaves from
mod fair; // turns between lanes, clients and senders
mod sites; // destinations that share hosts, with one limit over all workers
mod sts; // what domains say of their hosts over HTTPS
mod clock; // what time it is for the queue
mod fence; // whether this process may send
mod supervisor; // root actor: takes and gives up shards, restarts, drain
mod shard; // owned shard: pulls, sends on to destinations
mod destination; // one actor a destination: who is attempted when
mod connection; // one actor a remote session
mod recipients; // does a next hop know this recipient?
mod outcome; // result of an attempt -> acknowledge | reschedule | bounce
mod stale_names; // the DNS is asked anew
mod history; // what sessions of the last day came to
mod diagnose; // how far a delivery to one destination comes
mod doctor; // what a worker sees of the cluster and its surroundings
pub mod admin; // gRPC for operators
mod mail_log; // one line for each change of an entry's state
mod spans; // attempts and sessions, for who follows a trace
pub mod metrics; // names, labels, descriptions
