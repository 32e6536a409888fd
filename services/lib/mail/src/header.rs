//! The fields of a header (RFC 5322 2.2), as octets.

/// The fields of a header, folded lines included, without the final line end.
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) fn of(content: &'a [u8]) -> Self {
        Self { rest: content }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() || self.rest.starts_with(b"\r\n") {
            return None;
        }
        // RFC 5322 2.2.3: a line that begins with a blank continues the field.
        let end = memchr::memchr_iter(b'\n', self.rest)
            .find(|at| !matches!(self.rest.get(at + 1), Some(b' ' | b'\t')))
            .map_or(self.rest.len(), |at| at + 1);
        let (field, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(field)
    }
}

/// The value of a field that has this name.
pub(crate) fn value_of<'a>(field: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let (found, rest) = field.split_at_checked(name.len())?;
    // RFC 5322 4.5.3: blanks before the colon are obsolete, not impossible.
    let value = rest.trim_ascii_start().strip_prefix(b":")?;
    found.eq_ignore_ascii_case(name.as_bytes()).then_some(value)
}
