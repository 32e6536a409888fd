//! Reads what a server says (RFC 5321 4.2). A server is not trusted with our memory or our log:
//! lines, their number and the text kept are limited, control characters become `?`.

use std::mem;

use hikyaku_types::reply::EnhancedCode;

/// Longest line of a reply. RFC 5321 4.5.3.1.5 says 512; servers that quote policy exceed it.
pub const MAX_REPLY_LINE: usize = 4096;
/// Most lines of one reply.
pub const MAX_REPLY_LINES: usize = 256;
/// Text kept of one reply; it travels with the envelope while a message waits.
const MAX_TEXT: usize = 8192;

/// A reply as it came, its text made harmless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawReply {
    /// 200 to 599.
    pub code: u16,
    /// RFC 2034 status, when there is one and its class is that of the code.
    pub enhanced: Option<EnhancedCode>,
    /// All lines without codes, joined by a line feed.
    pub text: String,
}

/// The server does not speak SMTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    #[error("reply line is longer than 4096 octets")]
    LineTooLong,
    #[error("reply has more than 256 lines")]
    TooManyLines,
    #[error("reply line does not begin with a reply code")]
    NoCode,
    #[error("lines of one reply have different codes")]
    CodesDiffer,
}

/// Collects octets until a reply is whole.
#[derive(Debug, Default)]
pub struct ReplyReader {
    buffer: Vec<u8>,
    lines: usize,
    partial: Option<RawReply>,
}

impl ReplyReader {
    pub fn push(&mut self, input: &[u8]) {
        self.buffer.extend_from_slice(input);
    }

    /// Nothing is left behind the replies that were read.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty() && self.partial.is_none()
    }

    /// The next whole reply. After an error the reader must not be used again.
    pub fn next_reply(&mut self) -> Result<Option<RawReply>, ReplyError> {
        let buffer = mem::take(&mut self.buffer);
        let mut rest = &buffer[..];
        let outcome = self.read(&mut rest);
        let done = buffer.len() - rest.len();
        self.buffer = buffer;
        self.buffer.drain(..done);
        outcome
    }

    fn read(&mut self, rest: &mut &[u8]) -> Result<Option<RawReply>, ReplyError> {
        // A reader is liberal where nothing depends on it: a bare LF ends a reply line too.
        while let Some(end) = memchr::memchr(b'\n', rest) {
            if end >= MAX_REPLY_LINE {
                return Err(ReplyError::LineTooLong);
            }
            let (line, behind) = (&rest[..end], &rest[end + 1..]);
            *rest = behind;
            let is_last = self.line(line.strip_suffix(b"\r").unwrap_or(line))?;
            if is_last {
                self.lines = 0;
                return Ok(self.partial.take());
            }
        }
        if rest.len() >= MAX_REPLY_LINE { Err(ReplyError::LineTooLong) } else { Ok(None) }
    }

    /// Books one line; true when it is the last of its reply.
    fn line(&mut self, line: &[u8]) -> Result<bool, ReplyError> {
        let (code, is_last, text) = parse_line(line).ok_or(ReplyError::NoCode)?;
        self.lines += 1;
        if self.lines > MAX_REPLY_LINES {
            return Err(ReplyError::TooManyLines);
        }
        let (enhanced, text) = split_enhanced(code, text);
        match &mut self.partial {
            None => self.partial = Some(RawReply { code, enhanced, text }),
            Some(reply) if reply.code != code => return Err(ReplyError::CodesDiffer),
            Some(reply) => {
                reply.enhanced = reply.enhanced.or(enhanced);
                if reply.text.len() + text.len() < MAX_TEXT {
                    reply.text.push('\n');
                    reply.text.push_str(&text);
                }
            }
        }
        Ok(is_last)
    }
}

/// `250-text`, `250 text` or `250` (RFC 5321 4.2: the text may be missing).
fn parse_line(line: &[u8]) -> Option<(u16, bool, String)> {
    let (digits, rest) = line.split_at_checked(3)?;
    if !matches!(digits, [b'2'..=b'5', b'0'..=b'9', b'0'..=b'9']) {
        return None;
    }
    let code = digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    let (is_last, text) = match rest.split_first() {
        None => (true, rest),
        Some((b' ', text)) => (true, text),
        Some((b'-', text)) => (false, text),
        Some(_) => return None,
    };
    let clean = |c: char| if c.is_control() { '?' } else { c };
    Some((code, is_last, String::from_utf8_lossy(text).trim_end().chars().map(clean).collect()))
}

fn split_enhanced(code: u16, text: String) -> (Option<EnhancedCode>, String) {
    let (first, rest) = text.split_once(' ').unwrap_or((&text, ""));
    match first.parse::<EnhancedCode>() {
        // RFC 2034 3: the class of the status is the first digit of the code.
        Ok(status) if u16::from(status.0) == code / 100 => (Some(status), rest.to_owned()),
        Ok(_) | Err(_) => (None, text),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(input: &[u8], cut: usize) -> Result<Vec<RawReply>, ReplyError> {
        let (mut reader, mut replies) = (ReplyReader::default(), Vec::new());
        for piece in input.chunks(cut) {
            reader.push(piece);
            while let Some(reply) = reader.next_reply()? {
                replies.push(reply);
            }
        }
        Ok(replies)
    }

    fn reply(code: u16, enhanced: Option<EnhancedCode>, text: &str) -> RawReply {
        RawReply { code, enhanced, text: text.into() }
    }

    #[test]
    fn table() {
        for (input, expected) in [
            ("250 ok\r\n", vec![reply(250, None, "ok")]),
            ("250\r\n", vec![reply(250, None, "")]),
            ("250 \r\n", vec![reply(250, None, "")]),
            ("250 2.1.0 fine\r\n", vec![reply(250, Some(EnhancedCode(2, 1, 0)), "fine")]),
            ("550 5.1.1\r\n", vec![reply(550, Some(EnhancedCode(5, 1, 1)), "")]),
            ("550 2.1.0 odd\r\n", vec![reply(550, None, "2.1.0 odd")]),
            ("220-a\r\n220 b\r\n", vec![reply(220, None, "a\nb")]),
            ("550-5.7.1 a\r\n550 5.7.1 b\r\n", vec![reply(550, Some(EnhancedCode(5, 7, 1)), "a\nb")]),
            ("250 one\n250 two\n", vec![reply(250, None, "one"), reply(250, None, "two")]),
            ("451 a\tb\u{1b}[0m\r\n", vec![reply(451, None, "a?b?[0m")]),
        ] {
            for cut in 1..=input.len() {
                assert_eq!(read(input.as_bytes(), cut), Ok(expected.clone()), "{input:?} by {cut}");
            }
        }
    }

    #[test]
    fn refused() {
        let long = format!("250 {}\r\n", "x".repeat(MAX_REPLY_LINE));
        let many = "250-x\r\n".repeat(MAX_REPLY_LINES + 1);
        for (input, error) in [
            ("hello\r\n", ReplyError::NoCode),
            ("25 ok\r\n", ReplyError::NoCode),
            ("\r\n", ReplyError::NoCode),
            ("199 early\r\n", ReplyError::NoCode),
            ("600 late\r\n", ReplyError::NoCode),
            ("2500 ok\r\n", ReplyError::NoCode),
            ("250-a\r\n251 b\r\n", ReplyError::CodesDiffer),
            (&long, ReplyError::LineTooLong),
            (&many, ReplyError::TooManyLines),
        ] {
            assert_eq!(read(input.as_bytes(), input.len()), Err(error), "{:.20}", input);
            assert_eq!(read(input.as_bytes(), 7), Err(error), "{:.20}", input);
        }
    }

    #[test]
    fn the_text_that_is_kept_is_limited() {
        let reply = format!("550-{}\r\n", "x".repeat(4000)).repeat(200) + "550 end\r\n";
        assert!(read(reply.as_bytes(), 1000).unwrap()[0].text.len() <= MAX_TEXT);
    }

    proptest! {
        #[test]
        fn any_octets_are_read_without_a_panic(input in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&input, 7);
        }
    }
}
