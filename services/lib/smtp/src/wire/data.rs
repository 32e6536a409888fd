//! Decodes the content that follows `DATA`: finds its end and removes dot-stuffing.
//!
//! Strict: only `CRLF` ends a line and only `CRLF . CRLF` ends the content. A bare `CR` or `LF`
//! is an error, so no other server can be made to see an end of content that we did not see
//! (RFC 5321 2.3.8 and 4.1.1.4; SMTP smuggling), and so is a dot that NULs hide (`nul.rs`). Octets
//! are copied in runs: a run ends where a dot has to go, not at every line.

use super::nul::{HiddenDot, NulGuard};

/// What one call to [`DataDecoder::feed`] achieved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Every octet was consumed and the content goes on.
    NeedMore,
    /// The content ended; `consumed` octets of the input belong to it.
    Done { consumed: usize },
}

/// Why the content cannot be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    #[error("bare carriage return in message content")]
    BareCr,
    #[error("bare line feed in message content")]
    BareLf,
    #[error("a line of a dot and NUL in message content")]
    HiddenDot,
}

impl From<HiddenDot> for DataError {
    fn from(_: HiddenDot) -> Self {
        Self::HiddenDot
    }
}

/// Where the previous input ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    LineStart,
    Line,
    /// A CR that waits for its LF; it is not in the output yet.
    Cr,
    /// A dot at the start of a line; it is never in the output.
    Dot,
    DotCr,
}

#[derive(Debug)]
pub struct DataDecoder {
    state: State,
    nul: NulGuard,
    limit: u64,
    size: u64,
}

impl DataDecoder {
    /// `limit` counts decoded octets.
    pub fn new(limit: u64) -> Self {
        Self { state: State::LineStart, nul: NulGuard::new(), limit, size: 0 }
    }

    /// True once more than `limit` octets arrived. The decoder keeps looking for the end, so the
    /// session can answer 552 and stay in step.
    pub fn is_over_limit(&self) -> bool {
        self.size > self.limit
    }

    /// Decoded octets so far, those over the limit included.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends the decoded content to `out`; nothing more once the limit is passed.
    pub fn feed(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Progress, DataError> {
        let mut at = 0;
        while let Some(&octet) = input.get(at) {
            self.state = match (self.state, octet) {
                // RFC 5321 4.5.2: a leading dot is removed, and a dot alone ends the content.
                (State::LineStart, b'.') => {
                    at += 1;
                    State::Dot
                }
                (State::Dot, b'\r') => {
                    at += 1;
                    State::DotCr
                }
                (State::DotCr, b'\n') => {
                    self.state = State::LineStart;
                    return Ok(Progress::Done { consumed: at + 1 });
                }
                (State::Cr, b'\n') => {
                    at += 1;
                    self.push(b"\r\n", out)?;
                    State::LineStart
                }
                (State::DotCr | State::Cr, _) => return Err(DataError::BareCr),
                (State::LineStart | State::Line | State::Dot, _) => {
                    let (length, state) = run(&input[at..])?;
                    self.push(&input[at..at + length], out)?;
                    // A CR at the very end is seen but waits for its LF.
                    at += length + usize::from(state == State::Cr);
                    state
                }
            };
        }
        Ok(Progress::NeedMore)
    }

    fn push(&mut self, octets: &[u8], out: &mut Vec<u8>) -> Result<(), DataError> {
        self.nul.check(octets)?;
        self.size = self.size.saturating_add(octets.len() as u64);
        if !self.is_over_limit() {
            out.extend_from_slice(octets);
        }
        Ok(())
    }
}

/// The longest front of `text` that is content as it stands, and the state behind it. `text`
/// starts inside a line.
fn run(text: &[u8]) -> Result<(usize, State), DataError> {
    let mut from = 0;
    while let Some(found) = memchr::memchr2(b'\r', b'\n', &text[from..]) {
        let at = from + found;
        if text[at] == b'\n' {
            return Err(DataError::BareLf);
        }
        match text.get(at + 1) {
            None => return Ok((at, State::Cr)),
            Some(b'\n') => from = at + 2,
            Some(_) => return Err(DataError::BareCr),
        }
        match text.get(from) {
            None | Some(b'.') => return Ok((from, State::LineStart)),
            Some(_) => {}
        }
    }
    Ok((text.len(), State::Line))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::stuffing::Stuffing;

    fn decode(chunks: &[&[u8]]) -> Result<(Progress, Vec<u8>), DataError> {
        let (mut decoder, mut out) = (DataDecoder::new(1024), Vec::new());
        let mut progress = Progress::NeedMore;
        for chunk in chunks {
            progress = decoder.feed(chunk, &mut out)?;
        }
        Ok((progress, out))
    }

    #[test]
    fn table() {
        let cases: &[(&str, Result<&str, DataError>)] = &[
            (".\r\n", Ok("")), // empty message
            ("\r\n.\r\n", Ok("\r\n")),
            ("a\r\n.\r\n", Ok("a\r\n")),
            ("..a\r\n.\r\n", Ok(".a\r\n")), // stuffed dot on the first line
            (".a\r\n.\r\n", Ok("a\r\n")),   // a client that does not stuff
            ("a\r\n...\r\n.\r\n", Ok("a\r\n..\r\n")),
            ("a\r\n\r\n\r\n.\r\n", Ok("a\r\n\r\n\r\n")),
            ("a.\r\n.\r\n", Ok("a.\r\n")),
            ("a\0\u{fc}\r\n.\r\n", Ok("a\0\u{fc}\r\n")),
            // Shapes of SMTP smuggling.
            ("\n.\r\n", Err(DataError::BareLf)),
            ("a\n.\r\n", Err(DataError::BareLf)),
            ("a\n.\n", Err(DataError::BareLf)),
            ("a\r\n.\n", Err(DataError::BareLf)),
            ("a\r\n..\n", Err(DataError::BareLf)),
            ("a\r.\r\n", Err(DataError::BareCr)),
            ("a\r.\r", Err(DataError::BareCr)),
            ("a\r\n.\r\r\n", Err(DataError::BareCr)),
            ("a\r\n.\rx\r\n", Err(DataError::BareCr)),
            ("a\r\r\n.\r\n", Err(DataError::BareCr)),
            ("a\r\n\0.\r\n.\r\n", Err(DataError::HiddenDot)),
            ("a\r\n.\0.\r\n.\r\n", Err(DataError::HiddenDot)), // as it would leave
            ("a\r\n.\0\r\n.\r\n", Ok("a\r\n\0\r\n")),
        ];
        for (input, expected) in cases {
            let got = decode(&[input.as_bytes()]).map(|(_, out)| String::from_utf8(out).unwrap());
            assert_eq!(got, expected.map(str::to_owned), "input {input:?}");
        }
    }

    /// The network may cut anywhere: the cut must not be visible.
    #[test]
    fn cuts_are_invisible() {
        let wholes: [&[u8]; 4] =
            [b"..a\r\n\r\nb.\r\n..\r\n.\r\n", b".\r\n", b"abc\r\n.d\n", b"abc\r\n.\rd\r\n.\r\n"];
        for whole in wholes {
            let expected = decode(&[whole]);
            for first in 0..=whole.len() {
                for second in first..=whole.len() {
                    let got = decode(&[&whole[..first], &whole[first..second], &whole[second..]]);
                    match (&got, &expected) {
                        (Ok(got), Ok(expected)) => assert_eq!(got.1, expected.1, "{first} {second}"),
                        (got, expected) => assert_eq!(got, expected, "{first} {second}"),
                    }
                }
            }
        }
    }

    #[test]
    fn stops_before_the_next_command() {
        let (mut decoder, mut out) = (DataDecoder::new(9), Vec::new());
        let progress = decoder.feed(b"a\r\n.\r\nQUIT\r\n", &mut out);
        assert_eq!(progress, Ok(Progress::Done { consumed: 6 }));
        assert_eq!(out, b"a\r\n");
    }

    #[test]
    fn over_limit_keeps_step() {
        let (mut decoder, mut out) = (DataDecoder::new(4), Vec::new());
        let progress = decoder.feed(b"0123456789\r\n.\r\n", &mut out);
        assert_eq!(progress, Ok(Progress::Done { consumed: 15 }));
        assert!(decoder.is_over_limit() && out.len() <= 4);
        assert_eq!(decoder.size(), 12);
    }

    #[test]
    fn the_limit_itself_is_allowed() {
        let (mut decoder, mut out) = (DataDecoder::new(4), Vec::new());
        assert!(decoder.feed(b"..a\r\n.\r\n", &mut out).is_ok());
        assert!(!decoder.is_over_limit());
        assert_eq!(out, b".a\r\n");
    }

    proptest! {
        /// What leaves through the stuffing arrives unchanged, however it is cut.
        #[test]
        fn undoes_the_stuffing(
            lines in prop::collection::vec("[.a-c]{0,4}", 0..20),
            cut in 1_usize..9,
        ) {
            let content: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
            let wire: Vec<u8> = Stuffing::new(vec![content.clone().into()]).flatten().collect();
            let chunks: Vec<&[u8]> = wire.chunks(cut).collect();
            let (progress, out) = decode(&chunks).unwrap();
            prop_assert_ne!(progress, Progress::NeedMore);
            prop_assert_eq!(out, content.into_bytes());
        }

        /// Whatever arrives, a line end in the output is CRLF.
        #[test]
        fn no_bare_line_end_passes(input in "[a.\r\n]{0,24}") {
            let (mut decoder, mut out) = (DataDecoder::new(1024), Vec::new());
            if decoder.feed(input.as_bytes(), &mut out).is_ok() {
                let text = String::from_utf8(out).unwrap().replace("\r\n", "");
                prop_assert!(!text.contains(['\r', '\n']));
            }
        }
    }
}
