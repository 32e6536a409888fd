//! BDAT (RFC 3030): octets by number to signals. What is refused is read away before that is said,
//! so that what follows is a command again.

use hikyaku_types::reply::Reply;

use super::Session;
use crate::{
    server::{
        action::Refusal,
        draft::{Chunk, Decoder, Incoming},
        replies,
        state::{Signal, State},
    },
    wire::chunk::ChunkError,
};

/// A refused chunk is read away up to this size, or to that of the largest message.
const SKIPPED_AT_MOST: u64 = 1024 * 1024 * 1024;

impl Session {
    /// The octets of the chunk are next.
    pub(super) fn bdat(&mut self, size: u64, is_last: bool) {
        if size > self.config.size_limit().max(SKIPPED_AT_MOST) {
            return self.hopeless_chunk(replies::endless_chunk());
        }
        self.signal(Signal::Bdat);
        let problem = match &mut self.content {
            Some(Incoming { decoder: Decoder::Chunks(decoder), .. }) => decoder.announce(size).err(),
            Some(_) | None => None,
        };
        self.chunk = Some(Chunk { remaining: size, is_last, problem });
        self.chunk(&[]);
    }

    /// How much of it follows is not known, or too much.
    pub(super) fn hopeless_chunk(&mut self, (reply, refusal): (Reply, Refusal)) {
        self.report(refusal);
        self.apply(Signal::BdatHopeless, reply.into());
    }

    pub(super) fn chunk(&mut self, input: &[u8]) -> usize {
        let Some(chunk) = &mut self.chunk else { return 0 };
        let count = usize::try_from(chunk.remaining).map_or(input.len(), |left| left.min(input.len()));
        chunk.remaining -= count as u64;
        if let Some(incoming) = &mut self.content
            && let Decoder::Chunks(decoder) = &mut incoming.decoder
        {
            if chunk.problem.is_none() {
                chunk.problem = decoder.feed(&input[..count], incoming.content.buffer()).err();
            }
            if chunk.remaining == 0 && chunk.is_last && chunk.problem.is_none() {
                chunk.problem = decoder.end().err();
            }
            if chunk.problem.is_some() || incoming.is_unkept {
                // It will be refused: nothing of it is kept.
                incoming.drop_content();
            }
        }
        if chunk.remaining == 0 {
            self.chunk_ended();
        }
        count
    }

    fn chunk_ended(&mut self) {
        let Some(Chunk { is_last, problem, .. }) = self.chunk.take() else { return };
        let is_unkept = self.content.as_ref().is_some_and(|incoming| incoming.is_unkept);
        let is_refused = self.state == State::Chunk && (problem.is_some() || is_unkept);
        self.signal(match problem {
            _ if self.state != State::Chunk => Signal::ChunkSkipped,
            Some(ChunkError::TooBig) => Signal::ContentTooBig,
            Some(ChunkError::BareLineEnd) => Signal::ContentBroken,
            None if is_unkept => Signal::ContentUnkept,
            None if is_last => Signal::ContentEnded,
            None => Signal::ChunkEnded,
        });
        self.is_behind_refused_chunk |= is_refused;
    }
}
