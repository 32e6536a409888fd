//! A NUL passes, like any octet, except where it hides a dot: some servers drop NUL before they look for the
//! end of the content, and to them a line of a dot among NULs is that end (SMTP smuggling). Servers that end
//! a line at its NUL are safe from our content: a dot at the start of a line leaves as two.

/// A line is nothing but NULs and one dot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HiddenDot;

/// How the line began, as far as it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Start,
    Nuls,
    Dot,
    Other,
}

/// Looks at content whose lines end with CRLF, in pieces.
#[derive(Debug)]
pub(super) struct NulGuard {
    line: Line,
}

impl NulGuard {
    pub(super) const fn new() -> Self {
        Self { line: Line::Start }
    }

    pub(super) fn check(&mut self, octets: &[u8]) -> Result<(), HiddenDot> {
        let Some(last) = octets.last() else { return Ok(()) };
        if matches!(self.line, Line::Start | Line::Other) && memchr::memchr(0, octets).is_none() {
            self.line = if *last == b'\n' { Line::Start } else { Line::Other };
            return Ok(());
        }
        for octet in octets {
            self.line = match (self.line, octet) {
                (Line::Dot, b'\n') => return Err(HiddenDot),
                (Line::Start | Line::Nuls | Line::Other, b'\n') => Line::Start,
                (Line::Start | Line::Nuls, 0) => Line::Nuls,
                (Line::Nuls, b'.') => Line::Dot,
                (Line::Dot, 0 | b'\r') => Line::Dot,
                (Line::Start | Line::Nuls | Line::Dot | Line::Other, _) => Line::Other,
            };
        }
        Ok(())
    }

    /// The content is over; on its way out its last line gets a CRLF if it has none.
    pub(super) const fn end(&self) -> Result<(), HiddenDot> {
        match self.line {
            Line::Dot => Err(HiddenDot),
            Line::Start | Line::Nuls | Line::Other => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        for (content, is_good) in [
            (&b"\0.\r\n"[..], false),
            (b"a\r\n\0\0.\0\r\nb\r\n", false),
            (b"a\r\n\0.", false),
            (b"\0..\r\n", true),
            (b"\0.x\r\n", true),
            (b"x\0.\r\n", true),
            (b".\0\r\n", true),
            (b"\0\r\n.\r\n", true),
            (b"\0", true),
            (b"", true),
        ] {
            for cut in 1..=content.len().max(1) {
                let mut guard = NulGuard::new();
                let checked = content.chunks(cut).try_for_each(|piece| guard.check(piece));
                assert_eq!(checked.and_then(|()| guard.end()).is_ok(), is_good, "{content:?} by {cut}");
            }
        }
    }
}
