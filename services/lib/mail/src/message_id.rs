//! The Message-ID of a message (RFC 5322 3.6.4), by which its sender knows it.

use crate::header::{Fields, value_of};

/// An id is one line.
const LONGEST: usize = 998;

/// As it stands there, comments and folding apart; `None`: there is none that anybody could look for.
pub fn of(content: &[u8]) -> Option<String> {
    let value = Fields::of(content).find_map(|field| value_of(field, "message-id"))?;
    let value = str::from_utf8(value).ok()?;
    let begin = value.find('<')?;
    let end = begin + value[begin..].find('>')?;
    let id: String = value[begin..=end].chars().filter(|c| !c.is_whitespace()).collect();
    (id.len() > 2 && id.len() <= LONGEST).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids() {
        for (header, expected) in [
            ("Message-ID: <1@a.example>\r\n", Some("<1@a.example>")),
            ("message-id:\r\n <1@\r\n\ta.example> (again)\r\n", Some("<1@a.example>")),
            ("Message-ID: 1@a.example\r\n", None),
            ("Message-ID: <>\r\n", None),
            ("Message-ID: >1<\r\n", None),
            ("X-Message-ID: <1@a.example>\r\n", None),
            ("Message-ID: <1@a.example>\r\nMessage-ID: <2@a.example>\r\n", Some("<1@a.example>")),
        ] {
            let content = format!("{header}\r\nMessage-ID: <body@a.example>\r\n");
            assert_eq!(of(content.as_bytes()).as_deref(), expected, "{header:?}");
        }
        assert_eq!(of(b"Message-ID: <\xff@a.example>\r\n\r\n"), None);
        let long = format!("Message-ID: <{}@a.example>\r\n\r\n", "x".repeat(1_000));
        assert_eq!(of(long.as_bytes()), None);
    }
}
