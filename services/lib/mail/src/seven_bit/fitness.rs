//! Which octets are 7bit data (RFC 2045 2.7). Entities inside each other ask for the same ones again and again, so
//! what was found is kept.

use std::ops::Range;

/// RFC 5322 2.1.1, without the line end.
pub(super) const MAX_LINE: usize = 998;

pub(super) struct Fitness<'a> {
    content: &'a [u8],
    /// From here to there everything is fit; what is there is not, or is the end.
    known: Range<usize>,
}

impl<'a> Fitness<'a> {
    pub(super) fn of(content: &'a [u8]) -> Self {
        Self { content, known: 0..first_unfit(content) }
    }

    /// `range` begins a line and does not end between CR and LF.
    pub(super) fn holds(&mut self, range: &Range<usize>) -> bool {
        if range.start < self.known.start || range.start > self.known.end {
            let rest = self.content.get(range.start..).unwrap_or_default();
            self.known = range.start..range.start + first_unfit(rest);
        }
        range.end <= self.known.end
    }
}

/// The length, when there is none.
fn first_unfit(octets: &[u8]) -> usize {
    let mut begin = 0;
    while let Some(rest) = octets.get(begin..)
        && !rest.is_empty()
    {
        let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        let line = rest.get(..end).unwrap_or(rest);
        let text = line.strip_suffix(b"\r\n").unwrap_or(line);
        let looked_at = text.get(..MAX_LINE).unwrap_or(text);
        let is_unfit = |octet: &u8| !octet.is_ascii() || matches!(octet, b'\0' | b'\r' | b'\n');
        if !looked_at.is_ascii() || memchr::memchr3(0, b'\r', b'\n', looked_at).is_some() {
            return begin + looked_at.iter().position(is_unfit).unwrap_or_default();
        }
        if text.len() > MAX_LINE {
            return begin + MAX_LINE;
        }
        begin += end;
    }
    octets.len()
}
