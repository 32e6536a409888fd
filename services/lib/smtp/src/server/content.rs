//! The content of a message as one buffer with room in front of it, so that trace fields are
//! put before a large message without moving it.

use bytes::Bytes;

/// Room for a Received and an X-Relay field. Longer prefixes cost one copy.
pub const HEADROOM: usize = 1024;
/// A declared size is a wish, not a reason to set memory aside for it all.
const MAX_EAGER: u64 = 256 * 1024;
const DEFAULT_ROOM: u64 = 8 * 1024;

#[derive(Clone, PartialEq, Eq)]
pub struct Content {
    /// Zeros, then the content.
    buffer: Vec<u8>,
}

impl Content {
    pub(crate) fn with_room_for(declared: Option<u64>) -> Self {
        let room = declared.unwrap_or(DEFAULT_ROOM).min(MAX_EAGER);
        let mut buffer = Vec::with_capacity(HEADROOM + usize::try_from(room).unwrap_or_default());
        buffer.resize(HEADROOM, 0);
        Self { buffer }
    }

    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Memory that it takes.
    pub fn room(&self) -> usize {
        self.buffer.capacity()
    }

    pub fn as_slice(&self) -> &[u8] {
        self.buffer.get(HEADROOM..).unwrap_or_default()
    }

    pub fn len(&self) -> usize {
        self.as_slice().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `prefix` and the content, in one piece.
    pub fn with_prefix(mut self, prefix: &[u8]) -> Bytes {
        match HEADROOM.checked_sub(prefix.len()) {
            Some(start) if self.buffer.len() >= HEADROOM => {
                self.buffer[start..HEADROOM].copy_from_slice(prefix);
                Bytes::from(self.buffer).slice(start..)
            }
            Some(_) | None => [prefix, self.as_slice()].concat().into(),
        }
    }
}

/// For tests and tools that make a transaction by hand.
impl From<&[u8]> for Content {
    fn from(octets: &[u8]) -> Self {
        let mut content = Self::with_room_for(Some(octets.len() as u64));
        content.buffer.extend_from_slice(octets);
        content
    }
}

/// Content has no place in a log.
impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Content({} octets)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_stands_in_front() {
        for length in [0, 1, HEADROOM - 1, HEADROOM, HEADROOM + 1, 5000] {
            let prefix = vec![b'p'; length];
            let whole = Content::from(&b"content"[..]).with_prefix(&prefix);
            assert_eq!(whole, [&prefix[..], b"content"].concat(), "{length}");
        }
    }

    #[test]
    fn a_prefix_that_fits_moves_nothing() {
        let content = Content::from(&b"content"[..]);
        let place = content.as_slice().as_ptr();
        assert_eq!(content.with_prefix(b"pre")[3..].as_ptr(), place);
    }

    #[test]
    fn a_declared_size_is_not_believed() {
        assert!(Content::with_room_for(Some(u64::MAX)).buffer.capacity() < 1024 * 1024);
    }
}
