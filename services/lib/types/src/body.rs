//! The content of a message, or where it is kept.

use bytes::Bytes;

use crate::shard::ShardId;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Travels inside the envelope.
    Inline(Bytes),
    Stored(BodyRef),
}

/// Content in the body stream of a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyRef {
    pub shard: ShardId,
    /// Stream sequences of the chunks, in order.
    pub sequences: Vec<u64>,
    pub size: u64,
}

impl Body {
    pub fn size(&self) -> u64 {
        match self {
            Self::Inline(content) => content.len() as u64,
            Self::Stored(stored) => stored.size,
        }
    }
}
