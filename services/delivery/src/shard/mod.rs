//! One actor for each shard: pulls its lanes, sends entries on to their destinations.

mod puller; // lane -> leases -> shard actor
mod actor; // shard -> destination actors

pub(crate) use actor::{ShardActor, ShardMessage};
