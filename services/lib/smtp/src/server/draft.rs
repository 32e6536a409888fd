//! What a session knows of its client and of the transaction as far as it has come.

use hikyaku_types::{
    address::{ForwardPath, ReversePath},
    envelope::Transfer,
    reporting::Reporting,
};

use super::{
    content::Content,
    event::{Addressee, Protocol},
};
use crate::wire::{
    chunk::{ChunkDecoder, ChunkError},
    data::DataDecoder,
};

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) name: String,
    pub(crate) protocol: Protocol,
}

/// The transaction as far as it has come.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) reverse_path: ReversePath,
    pub(crate) declared_size: Option<u64>,
    pub(crate) transfer: Transfer,
    pub(crate) recipients: Vec<Addressee>,
    /// The recipient that the open question is about, and what is to be told of it.
    pub(crate) asked: Option<(ForwardPath, Reporting)>,
}

impl Draft {
    pub(crate) const EMPTY: Self = Self {
        reverse_path: ReversePath::Null,
        declared_size: None,
        transfer: Transfer::PLAIN,
        recipients: Vec::new(),
        asked: None,
    };
}

#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) decoder: Decoder,
    pub(crate) content: Content,
    /// There is no memory for it: it is read away.
    pub(crate) is_unkept: bool,
}

impl Incoming {
    pub(crate) fn drop_content(&mut self) {
        *self.content.buffer() = Vec::new();
    }
}

#[derive(Debug)]
pub(crate) enum Decoder {
    Data(DataDecoder),
    Chunks(ChunkDecoder),
}

/// The chunk that comes in.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// Octets of it that are to come.
    pub(crate) remaining: u64,
    pub(crate) is_last: bool,
    /// Why it will be refused: the rest of it is only read away.
    pub(crate) problem: Option<ChunkError>,
}
