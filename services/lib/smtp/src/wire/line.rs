//! Cuts the client's bytes into command lines.
//!
//! Strict: only `CRLF` ends a line. A bare `CR` or `LF` is an error after which nothing of the
//! connection can be trusted, because some other server may see a line end there
//! (RFC 5321 2.3.8: "conforming implementations MUST NOT recognize or generate any other
//! character or character sequence as a line terminator").

/// Longest command line, `CRLF` included. RFC 5321 4.5.3.1.4 asks for 512 and its extensions add
/// a few hundred; more is room for long addresses.
pub const MAX_COMMAND_LINE: usize = 2048;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    #[error("bare carriage return in a command line")]
    BareCr,
    #[error("bare line feed in a command line")]
    BareLf,
    /// Reported once; the rest of the line is skipped and the next line is a command again.
    #[error("line is too long")]
    TooLong,
}

/// What stands at the front of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scan<'a> {
    /// No line end yet.
    NeedMore,
    /// A line without its `CRLF`.
    Line(&'a [u8]),
    Bad(LineError),
}

/// Remembers only whether it is inside a line that is too long; unfinished lines stay with the
/// caller.
#[derive(Debug, Default)]
pub struct LineSplitter {
    skipping: bool,
}

impl LineSplitter {
    /// Looks at the front of `input`; returns how many octets are done with, and what they are.
    /// `limit` is that of a line with its `CRLF`.
    pub fn next<'a>(&mut self, input: &'a [u8], limit: usize) -> (usize, Scan<'a>) {
        let Some(at) = memchr::memchr2(b'\r', b'\n', input) else {
            return self.without_end(input.len(), limit);
        };
        if input[at] == b'\n' {
            return self.with_bare_end(at, limit, LineError::BareLf);
        }
        match input.get(at + 1) {
            // The CR waits for its LF, so that a cut between them is invisible.
            None => self.without_end(at, limit),
            Some(b'\n') => self.with_end(&input[..at], limit),
            Some(_) => self.with_bare_end(at, limit, LineError::BareCr),
        }
    }

    /// Too long comes first, as it would if the line came in pieces.
    fn with_bare_end<'a>(&mut self, length: usize, limit: usize, error: LineError) -> (usize, Scan<'a>) {
        match self.without_end(length, limit) {
            (consumed, Scan::Bad(too_long)) => (consumed, Scan::Bad(too_long)),
            (_, Scan::NeedMore | Scan::Line(_)) => (length + 1, Scan::Bad(error)),
        }
    }

    fn with_end<'a>(&mut self, line: &'a [u8], limit: usize) -> (usize, Scan<'a>) {
        let length = line.len() + 2;
        if std::mem::take(&mut self.skipping) {
            return (length, Scan::NeedMore);
        }
        let scan = if length > limit { Scan::Bad(LineError::TooLong) } else { Scan::Line(line) };
        (length, scan)
    }

    /// `length` octets of an unfinished line, a trailing CR not counted.
    fn without_end(&mut self, length: usize, limit: usize) -> (usize, Scan<'static>) {
        if self.skipping {
            return (length, Scan::NeedMore);
        }
        if length + 2 > limit {
            self.skipping = true;
            return (length, Scan::Bad(LineError::TooLong));
        }
        (0, Scan::NeedMore)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds the pieces as a session does: what is not consumed is kept in front of the next.
    fn split(pieces: &[&[u8]]) -> Vec<Result<String, LineError>> {
        let (mut splitter, mut held, mut seen) = (LineSplitter::default(), Vec::new(), Vec::new());
        for piece in pieces {
            held.extend_from_slice(piece);
            loop {
                let (consumed, scan) = splitter.next(&held, MAX_COMMAND_LINE);
                match scan {
                    Scan::NeedMore => {}
                    Scan::Line(line) => seen.push(Ok(String::from_utf8(line.to_vec()).unwrap())),
                    Scan::Bad(error) => seen.push(Err(error)),
                }
                held.drain(..consumed);
                if consumed == 0 {
                    break;
                }
            }
        }
        seen
    }

    #[test]
    fn table() {
        let line = |text: &str| Ok(text.to_owned());
        let cases: &[(&str, Vec<Result<String, LineError>>)] = &[
            ("", vec![]),
            ("NOOP", vec![]),
            ("NOOP\r", vec![]),
            ("NOOP\r\n", vec![line("NOOP")]),
            ("\r\n", vec![line("")]),
            ("NOOP\r\nQUIT\r\n", vec![line("NOOP"), line("QUIT")]),
            ("NOOP\nQUIT\r\n", vec![Err(LineError::BareLf), line("QUIT")]),
            ("NOOP\rQUIT\r\n", vec![Err(LineError::BareCr), line("QUIT")]),
            ("NOOP\r\r\n", vec![Err(LineError::BareCr), line("")]),
        ];
        for (input, expected) in cases {
            assert_eq!(&split(&[input.as_bytes()]), expected, "{input:?}");
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_one_error_and_the_next_line_is_read() {
        for length in [MAX_COMMAND_LINE - 2, MAX_COMMAND_LINE - 1, 3 * MAX_COMMAND_LINE] {
            let long = format!("{}\r\nQUIT\r\n", "x".repeat(length));
            let expected_first =
                if length + 2 > MAX_COMMAND_LINE { Err(LineError::TooLong) } else { Ok("x".repeat(length)) };
            for step in [1, 2, 1000, long.len()] {
                let pieces: Vec<&[u8]> = long.as_bytes().chunks(step).collect();
                assert_eq!(split(&pieces), [expected_first.clone(), Ok("QUIT".into())], "{length} by {step}");
            }
        }
    }

    #[test]
    fn a_bare_line_feed_is_seen_inside_the_skipped_part_too() {
        for (end, error) in [("\n", LineError::BareLf), ("\r.", LineError::BareCr)] {
            for length in [MAX_COMMAND_LINE - 2, MAX_COMMAND_LINE - 1, 3 * MAX_COMMAND_LINE] {
                let long = format!("{}{end}QUIT\r\n", "x".repeat(length));
                let too_long = (length + 2 > MAX_COMMAND_LINE).then_some(Err(LineError::TooLong));
                let expected: Vec<_> = too_long.into_iter().chain([Err(error)]).collect();
                for step in [1, 1000, long.len()] {
                    let pieces: Vec<&[u8]> = long.as_bytes().chunks(step).collect();
                    assert_eq!(split(&pieces)[..expected.len()], expected, "{length} by {step}");
                }
            }
        }
    }

    #[test]
    fn cuts_are_invisible() {
        let whole = b"EHLO a\r\n\r\nMAIL FROM:<>\r\nRSET\r\n";
        let expected = split(&[whole]);
        for first in 0..=whole.len() {
            for second in first..=whole.len() {
                let pieces = [&whole[..first], &whole[first..second], &whole[second..]];
                assert_eq!(split(&pieces), expected, "cut at {first} and {second}");
            }
        }
    }
}
