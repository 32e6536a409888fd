//! Whom a message says it is from: the addresses of its From fields (RFC 5322 3.6.2), read so
//! strictly that nobody else can read another address there.

use hikyaku_types::address::Mailbox;

use crate::header::{Fields, value_of};

/// Empty when there is no From field, or one that cannot be read.
pub fn of(content: &[u8]) -> Vec<Mailbox> {
    let mut found = Vec::new();
    for value in Fields::of(content).filter_map(|field| value_of(field, "from")) {
        match str::from_utf8(value).ok().and_then(mailboxes) {
            Some(mailboxes) => found.extend(mailboxes),
            None => return Vec::new(),
        }
    }
    found
}

/// Where in a list of mailboxes a reader is.
#[derive(Default)]
struct Reader {
    found: Vec<Mailbox>,
    /// Of the mailbox that is read: what stands outside of angle brackets, and inside.
    outside: String,
    inside: Option<String>,
    is_in_angle: bool,
    /// A group has a name, which is no address, and an end.
    is_in_group: bool,
}

fn mailboxes(value: &str) -> Option<Vec<Mailbox>> {
    let mut reader = Reader::default();
    let (mut is_quoted, mut is_escaped, mut comments) = (false, false, 0_usize);
    for c in value.chars() {
        let was_escaped = std::mem::take(&mut is_escaped);
        match c {
            '\r' | '\n' => continue,
            _ if was_escaped => {}
            '\\' if is_quoted || comments > 0 => is_escaped = true,
            '(' if !is_quoted => comments += 1,
            ')' if !is_quoted && comments > 0 => {
                comments -= 1;
                // A comment is a blank (RFC 5322 3.2.2).
                reader.put(' ');
                continue;
            }
            '"' if comments == 0 => is_quoted = !is_quoted,
            c if !is_quoted && comments == 0 && reader.is_structure(c) => {
                reader.structure(c)?;
                continue;
            }
            _ => {}
        }
        if comments == 0 {
            reader.put(c);
        }
    }
    let is_whole = !is_quoted && comments == 0 && !reader.is_in_angle && !reader.is_in_group;
    reader.end()?;
    is_whole.then_some(reader.found)
}

impl Reader {
    fn put(&mut self, c: char) {
        match &mut self.inside {
            Some(inside) if self.is_in_angle => inside.push(c),
            Some(_) | None => self.outside.push(c),
        }
    }

    fn is_structure(&self, c: char) -> bool {
        matches!(c, '<' | '>') || (!self.is_in_angle && matches!(c, ',' | ':' | ';'))
    }

    fn structure(&mut self, c: char) -> Option<()> {
        match c {
            '<' if self.inside.is_none() => {
                self.inside = Some(String::new());
                self.is_in_angle = true;
                // What stands behind the bracket must be nothing.
                self.outside.clear();
            }
            '>' if self.is_in_angle => self.is_in_angle = false,
            ',' => self.end()?,
            ':' if !self.is_in_group && self.inside.is_none() => {
                self.is_in_group = true;
                self.outside.clear();
            }
            ';' if self.is_in_group => {
                self.end()?;
                self.is_in_group = false;
            }
            _ => return None,
        }
        Some(())
    }

    fn end(&mut self) -> Option<()> {
        let outside = std::mem::take(&mut self.outside);
        let address = match self.inside.take() {
            Some(inside) if outside.trim().is_empty() => inside,
            Some(_) => return None,
            None => outside,
        };
        // RFC 5322 4.4: an empty member of a list was allowed once.
        if !address.trim().is_empty() {
            self.found.push(address.trim().parse().ok()?);
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(header: &str) -> Vec<String> {
        of(format!("{header}\r\nSubject: x\r\n\r\nFrom: body@x.example\r\n").as_bytes())
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn authors() {
        for (header, expected) in [
            ("From: a@b.example", &["a@b.example"][..]),
            ("from:\r\n Ann <a@b.example>", &["a@b.example"]),
            ("From: \"x@y.example, <z@y.example>\" <a@b.example>", &["a@b.example"]),
            ("From: =?utf-8?q?x@y=2Eexample?= <a@b.example> (c@d.example (x) \\))", &["a@b.example"]),
            ("From: a@b.example, C <c@d.example>", &["a@b.example", "c@d.example"]),
            ("From: Us: a@b.example, <c@d.example>;", &["a@b.example", "c@d.example"]),
            ("From: \"a b\"@b.example", &["\"a b\"@b.example"]),
            ("From: a@b.example\r\nFrom: c@d.example", &["a@b.example", "c@d.example"]),
            ("From: 用户@b.example", &["用户@b.example"]),
            ("X-From: a@b.example", &[]),
            ("From:", &[]),
            ("From: nobody", &[]),
            ("From: a@b.example c@d.example", &[]),
            ("From: <a@b.example> <c@d.example>", &[]),
            ("From: <a@b.example> c@d.example", &[]),
            ("From: <@x.example:a@b.example>", &[]),
            ("From: a@b.example, \"open", &[]),
            ("From: a@b.example (open", &[]),
            ("From: Us: a@b.example", &[]),
            ("From: <a@b.example", &[]),
            ("From: a@b.example>", &[]),
            ("From: a@b.example, not an address", &[]),
            ("From: a@b.example\r\nFrom: <<", &[]),
        ] {
            assert_eq!(shown(header), expected, "{header:?}");
        }
    }
}
