//! Content on its way out, in the manner that the message needs.

use bytes::Bytes;

use crate::wire::{counted::Counted, stuffing::Stuffing};

#[derive(Debug)]
pub(crate) enum Outgoing {
    /// Behind DATA.
    Stuffed(Stuffing),
    /// By BDAT.
    Counted(Counted),
}

impl Outgoing {
    /// The next octets to write, and whether they are the last.
    pub(crate) fn next_piece(&mut self) -> (Option<Bytes>, bool) {
        match self {
            Self::Stuffed(content) => (content.next(), content.is_finished()),
            Self::Counted(content) => (content.next(), content.is_finished()),
        }
    }
}
