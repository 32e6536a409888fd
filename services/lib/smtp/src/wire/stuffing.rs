//! Content on its way out: dot-stuffed and ended (RFC 5321 4.5.2), in pieces fit for one write.
//!
//! A small message becomes one buffer; of a large one, pieces that need no dot are handed on
//! without a copy.

use std::{collections::VecDeque, mem};

use bytes::{BufMut, Bytes, BytesMut};
use memchr::memmem;

/// Up to this size a copy costs less than another write.
pub(super) const ONE_WRITE: usize = 64 * 1024;
/// Largest piece of a large message.
pub(super) const PIECE: usize = 256 * 1024;
const END: &[u8] = b".\r\n";

/// Yields the octets to write, the final dot included.
#[derive(Debug)]
pub struct Stuffing {
    chunks: VecDeque<Bytes>,
    /// The last two octets that left; content starts behind the CRLF of `DATA`.
    tail: [u8; 2],
    is_finished: bool,
}

impl Stuffing {
    pub fn new(content: Vec<Bytes>) -> Self {
        let chunks = content.into_iter().filter(|chunk| !chunk.is_empty()).collect();
        Self { chunks, tail: *b"\r\n", is_finished: false }
    }

    /// True once the piece with the final dot was handed out.
    pub fn is_finished(&self) -> bool {
        self.is_finished
    }

    fn remaining(&self) -> usize {
        self.chunks.iter().map(Bytes::len).sum()
    }

    fn all_in_one(&mut self) -> Bytes {
        let chunks = mem::take(&mut self.chunks);
        let room: usize = chunks.iter().map(Bytes::len).sum();
        let mut out = BytesMut::with_capacity(room + room / 64 + 16);
        for chunk in chunks {
            self.stuff(&chunk, &mut out);
        }
        self.end(&mut out);
        out.freeze()
    }

    /// Copies `piece` with a dot more before each dot that starts a line.
    fn stuff(&mut self, piece: &[u8], out: &mut BytesMut) {
        if self.tail[1] == b'\n' && piece.first() == Some(&b'.') {
            out.put_u8(b'.');
        }
        let mut from = 0;
        for at in memmem::find_iter(piece, LINE_DOT) {
            out.put_slice(&piece[from..=at]);
            out.put_u8(b'.');
            from = at + 1;
        }
        out.put_slice(&piece[from..]);
        self.remember(piece);
    }

    fn needs_stuffing(&self, piece: &[u8]) -> bool {
        (self.tail[1] == b'\n' && piece.first() == Some(&b'.')) || memmem::find(piece, LINE_DOT).is_some()
    }

    fn remember(&mut self, piece: &[u8]) {
        match *piece {
            [.., before, last] => self.tail = [before, last],
            [last] => self.tail = [self.tail[1], last],
            [] => {}
        }
    }

    fn end(&mut self, out: &mut BytesMut) {
        // RFC 5321 4.1.1.4: the CRLF before the final dot is part of the content, so it is only
        // added when the content lacks it.
        if self.tail != *b"\r\n" {
            out.put_slice(b"\r\n");
        }
        out.put_slice(END);
        self.is_finished = true;
    }
}

/// Any line feed counts as a line start. Our content has only CRLF; should that ever fail, a dot
/// too many is safe and a final dot for a careless server is not.
const LINE_DOT: &[u8] = b"\n.";

impl Iterator for Stuffing {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if self.is_finished {
            return None;
        }
        if self.remaining() <= ONE_WRITE {
            return Some(self.all_in_one());
        }
        let chunk = self.chunks.front_mut()?;
        let piece = chunk.split_to(chunk.len().min(PIECE));
        if chunk.is_empty() {
            self.chunks.pop_front();
        }
        if self.needs_stuffing(&piece) {
            let mut out = BytesMut::with_capacity(piece.len() + piece.len() / 64 + 16);
            self.stuff(&piece, &mut out);
            return Some(out.freeze());
        }
        self.remember(&piece);
        Some(piece)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wire(chunks: &[&[u8]]) -> Vec<u8> {
        let chunks = chunks.iter().map(|chunk| Bytes::copy_from_slice(chunk)).collect();
        Stuffing::new(chunks).flatten().collect()
    }

    #[test]
    fn table() {
        for (content, expected) in [
            ("", ".\r\n"),
            ("a\r\n", "a\r\n.\r\n"),
            ("a", "a\r\n.\r\n"),
            (".\r\n", "..\r\n.\r\n"),
            (".a\r\n..b\r\n", "..a\r\n...b\r\n.\r\n"),
            ("a.\r\n", "a.\r\n.\r\n"),
            ("a\n", "a\n\r\n.\r\n"),
            ("a\n.\r\n", "a\n..\r\n.\r\n"),
        ] {
            assert_eq!(String::from_utf8(wire(&[content.as_bytes()])).unwrap(), expected, "{content:?}");
        }
    }

    #[test]
    fn a_large_clean_message_is_not_copied() {
        let content = Bytes::from("0123456789abcdef\r\n".repeat(20_000));
        let pieces: Vec<Bytes> = Stuffing::new(vec![content.clone()]).collect();
        assert_eq!(pieces[0].as_ptr(), content.as_ptr());
        assert_eq!(pieces.concat(), [&content[..], b".\r\n"].concat());
    }

    #[test]
    fn a_small_message_is_one_write() {
        let chunks = vec![Bytes::from_static(b"A: b\r\n\r\n"), Bytes::from_static(b".c\r\n")];
        let pieces: Vec<Bytes> = Stuffing::new(chunks).collect();
        assert_eq!(pieces, [&b"A: b\r\n\r\n..c\r\n.\r\n"[..]]);
    }

    #[test]
    fn a_large_message_is_stuffed_across_its_pieces() {
        let content = ".\r\n".repeat(200_000);
        let expected = format!("{}.\r\n", "..\r\n".repeat(200_000));
        assert!(wire(&[content.as_bytes()]) == expected.as_bytes());
    }

    proptest! {
        #[test]
        fn chunking_is_invisible(content in "[.a\r\n]{0,30}", cut in 1_usize..9) {
            let chunks: Vec<&[u8]> = content.as_bytes().chunks(cut).collect();
            prop_assert_eq!(wire(&chunks), wire(&[content.as_bytes()]));
        }
    }
}
