//! One actor for each shard that this worker owns: pulls its lanes, sends entries on to their destinations.

pub(crate) mod assignment; // which worker owns which shard; pure
mod hours; // when recipients get mail; pure
mod puller; // lane -> leases -> shard actor
mod orphans; // content that nobody refers to goes
mod depth; // how much waits, for metrics
mod actor; // shard -> destination actors

pub(crate) use actor::{ShardActor, ShardArguments, ShardMessage};
pub(crate) use depth::Depths;
