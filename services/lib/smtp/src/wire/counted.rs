//! Content on its way out as one chunk (RFC 3030 2): the command and the octets as they are, in
//! pieces fit for one write.

use std::collections::VecDeque;

use bytes::{BufMut as _, Bytes, BytesMut};

use super::stuffing::{ONE_WRITE, PIECE};

/// Yields the octets to write, the command first.
#[derive(Debug)]
pub struct Counted {
    /// `BDAT`, until it was handed out.
    command: Option<String>,
    chunks: VecDeque<Bytes>,
}

impl Counted {
    pub fn new(content: Vec<Bytes>) -> Self {
        let size: usize = content.iter().map(Bytes::len).sum();
        let chunks = content.into_iter().filter(|chunk| !chunk.is_empty()).collect();
        Self { command: Some(format!("BDAT {size} LAST\r\n")), chunks }
    }

    /// True once the last piece was handed out.
    pub fn is_finished(&self) -> bool {
        self.command.is_none() && self.chunks.is_empty()
    }

    fn piece(&mut self, limit: usize) -> Option<Bytes> {
        let chunk = self.chunks.front_mut()?;
        let piece = chunk.split_to(chunk.len().min(limit));
        if chunk.is_empty() {
            self.chunks.pop_front();
        }
        Some(piece)
    }
}

impl Iterator for Counted {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let Some(command) = self.command.take() else { return self.piece(PIECE) };
        let mut first = BytesMut::from(command.as_bytes());
        // The command does not leave alone: that would be a packet for nothing.
        while first.len() < ONE_WRITE {
            let Some(piece) = self.piece(ONE_WRITE - first.len()) else { break };
            first.put_slice(&piece);
        }
        Some(first.freeze())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_small_message_is_one_write() {
        let chunks = vec![Bytes::from_static(b"A: b\r\n\r\n"), Bytes::new(), Bytes::from_static(b".\n\0")];
        let pieces: Vec<Bytes> = Counted::new(chunks).collect();
        assert_eq!(pieces, [&b"BDAT 11 LAST\r\nA: b\r\n\r\n.\n\0"[..]]);
        let nothing: Vec<Bytes> = Counted::new(Vec::new()).collect();
        assert_eq!(nothing, [&b"BDAT 0 LAST\r\n"[..]]);
    }

    #[test]
    fn a_large_message_is_not_copied() {
        let content = Bytes::from(vec![b'\n'; 5 * PIECE]);
        let mut counted = Counted::new(vec![content.clone()]);
        let mut sent = Vec::new();
        while !counted.is_finished() {
            sent.push(counted.next().unwrap());
        }
        assert!(counted.next().is_none());
        assert_eq!(sent[0].len(), ONE_WRITE);
        let copied = ONE_WRITE - "BDAT 1310720 LAST\r\n".len();
        assert_eq!(sent[1].as_ptr(), content[copied..].as_ptr());
        assert!(sent.concat() == [&b"BDAT 1310720 LAST\r\n"[..], &content].concat());
    }

    proptest! {
        #[test]
        fn the_number_is_that_of_the_octets(sizes in prop::collection::vec(0_usize..90_000, 0..5)) {
            let chunks: Vec<Bytes> = sizes.iter().map(|size| Bytes::from(vec![b'.'; *size])).collect();
            let total: usize = sizes.iter().sum();
            let wire = Counted::new(chunks).flatten().count();
            prop_assert_eq!(wire, format!("BDAT {total} LAST\r\n").len() + total);
        }
    }
}
