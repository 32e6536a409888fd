//! Content that comes in chunks (RFC 3030 2): octets by number, without dot-stuffing.
//!
//! The next hop may get the message by `DATA`, so what `DATA` refuses is refused here too: a bare
//! `CR` or `LF` could make that host see an end of content that nobody sent. Only the body of
//! BODY=BINARYMIME may have them, because it goes on in chunks or not at all; its header is lines
//! like any other, or another server would find fields in it that we have not seen.

use super::nul::NulGuard;

/// Why the content cannot be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    #[error("message is larger than its limit")]
    TooBig,
    /// Or a dot that NULs hide (`nul.rs`).
    #[error("bare carriage return or line feed in message content")]
    BareLineEnd,
}

/// Where the previous octets ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    LineStart,
    Line,
    /// A CR that waits for its LF; it is in the output already.
    Cr,
    /// The same at the start of a line: that of the empty line that ends a header.
    LineStartCr,
    /// The body of a binary message: anything goes.
    Free,
}

#[derive(Debug)]
pub struct ChunkDecoder {
    state: State,
    /// BODY=BINARYMIME: behind its header anything goes.
    is_binary: bool,
    nul: NulGuard,
    limit: u64,
    size: u64,
}

impl ChunkDecoder {
    /// `limit` counts the octets of all chunks.
    pub fn new(limit: u64, is_binary: bool) -> Self {
        Self { state: State::LineStart, is_binary, nul: NulGuard::new(), limit, size: 0 }
    }

    /// A chunk of so many octets is to come.
    pub fn announce(&mut self, octets: u64) -> Result<(), ChunkError> {
        self.size = self.size.saturating_add(octets);
        if self.size > self.limit { Err(ChunkError::TooBig) } else { Ok(()) }
    }

    /// Appends octets of a chunk to `out`.
    pub fn feed(&mut self, octets: &[u8], out: &mut Vec<u8>) -> Result<(), ChunkError> {
        self.check(octets)?;
        // It never leaves by DATA.
        if !self.is_binary {
            self.nul.check(octets).map_err(|_| ChunkError::BareLineEnd)?;
        }
        out.extend_from_slice(octets);
        Ok(())
    }

    /// The last chunk is complete.
    pub fn end(&self) -> Result<(), ChunkError> {
        match self.state {
            State::Cr | State::LineStartCr => Err(ChunkError::BareLineEnd),
            State::LineStart | State::Line if !self.is_binary => {
                self.nul.end().map_err(|_| ChunkError::BareLineEnd)
            }
            State::LineStart | State::Line | State::Free => Ok(()),
        }
    }

    fn check(&mut self, octets: &[u8]) -> Result<(), ChunkError> {
        let mut rest = octets;
        while let Some(&octet) = rest.first() {
            let (state, length) = match (self.state, octet) {
                (State::Free, _) => return Ok(()),
                (State::LineStartCr, b'\n') if self.is_binary => (State::Free, 1),
                (State::Cr | State::LineStartCr, b'\n') => (State::LineStart, 1),
                (State::Cr | State::LineStartCr, _) | (State::LineStart | State::Line, b'\n') => {
                    return Err(ChunkError::BareLineEnd);
                }
                (State::LineStart, b'\r') => (State::LineStartCr, 1),
                (State::Line, b'\r') => (State::Cr, 1),
                (State::LineStart | State::Line, _) => {
                    (State::Line, memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len()))
                }
            };
            self.state = state;
            rest = &rest[length..];
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::data::DataDecoder;

    fn decode(pieces: &[&[u8]], is_binary: bool) -> Result<Vec<u8>, ChunkError> {
        let (mut decoder, mut out) = (ChunkDecoder::new(1024, is_binary), Vec::new());
        for piece in pieces {
            decoder.announce(piece.len() as u64)?;
            decoder.feed(piece, &mut out)?;
        }
        decoder.end()?;
        Ok(out)
    }

    #[test]
    fn table() {
        // Content, whether it may be text, whether it may be binary.
        for (content, as_text, as_binary) in [
            (&b""[..], true, true),
            (b"a", true, true),
            (b"\r\n", true, true),
            (b"A: b\r\n\r\n.\r\n..\r\n", true, true),
            (b"A: b\r\n\r\n\0\xff long", true, true),
            (b"A: b\r\n\r\na\nb", false, true),
            (b"A: b\r\n\r\na\r", false, true),
            (b"\r\n\n.\n\r.\r", false, true),
            (b"A: b\r\n\r\n\0.\r\n", false, true),
            (b"A: b\r\n\r\n\0.", false, true),
            (b"A: b\nB: c\r\n\r\n", false, false),
            (b"A: b\r\n\nB: c\r\n\r\n", false, false),
            (b"A: b\rB: c\r\n\r\n", false, false),
            (b"A: b\r\n\r", false, false),
            (b"no header\n", false, false),
            (b"A: b\r\n\r\r\n", false, false),
            (b"\n", false, false),
            (b"\r", false, false),
        ] {
            for (is_binary, is_good) in [(false, as_text), (true, as_binary)] {
                let expected = if is_good { Ok(content.to_vec()) } else { Err(ChunkError::BareLineEnd) };
                assert_eq!(decode(&[content], is_binary), expected, "{content:?} {is_binary}");
            }
        }
    }

    #[test]
    fn the_limit_counts_all_chunks() {
        let mut decoder = ChunkDecoder::new(10, false);
        assert_eq!(decoder.announce(4), Ok(()));
        assert_eq!(decoder.announce(6), Ok(()));
        assert_eq!(decoder.announce(0), Ok(()));
        assert_eq!(decoder.announce(1), Err(ChunkError::TooBig));
        assert_eq!(decoder.announce(u64::MAX), Err(ChunkError::TooBig));
    }

    proptest! {
        /// Where a chunk or a read ends says nothing about the content.
        #[test]
        fn cuts_are_invisible(content in "[a.\r\n\0]{0,16}", cut in 1_usize..5, is_binary: bool) {
            let pieces: Vec<&[u8]> = content.as_bytes().chunks(cut).collect();
            prop_assert_eq!(decode(&pieces, is_binary), decode(&[content.as_bytes()], is_binary));
        }

        /// What is not binary is what `DATA` would have taken.
        #[test]
        fn text_is_what_data_takes(content in "([a.\0]{0,2}(\r\n|\r|\n)?){0,5}") {
            let stuffed = content.replace("\r\n.", "\r\n..");
            let stuffed = if stuffed.starts_with('.') { format!(".{stuffed}") } else { stuffed };
            let (mut decoder, mut out) = (DataDecoder::new(1024), Vec::new());
            let by_data = decoder.feed(format!("{stuffed}\r\n.\r\n").as_bytes(), &mut out);
            let by_chunks = decode(&[content.as_bytes()], false);
            prop_assert_eq!(by_data.is_ok(), by_chunks.is_ok());
        }
    }
}
