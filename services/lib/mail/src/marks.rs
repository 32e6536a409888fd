//! Does a message say of itself that it is bulk mail (SEED-182)?

use crate::header::{Fields, value_of};

/// Values of Precedence (RFC 2076 3.9) that mean: not before other mail.
const LOW: [&[u8]; 3] = [b"bulk", b"list", b"junk"];

/// RFC 2919 2 (List-Id), RFC 2369 3.2 (List-Unsubscribe).
const LIST_FIELDS: [&str; 2] = ["list-id", "list-unsubscribe"];

pub fn is_bulk(content: &[u8]) -> bool {
    Fields::of(content).any(|field| {
        let precedence = value_of(field, "precedence").map(<[u8]>::trim_ascii);
        precedence.is_some_and(|value| LOW.iter().any(|low| value.eq_ignore_ascii_case(low)))
            || LIST_FIELDS.iter().any(|name| value_of(field, name).is_some())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks() {
        for (header, bulk) in [
            ("Precedence: bulk\r\n", true),
            ("precedence:\r\n LIST\r\n", true),
            ("Precedence: first-class\r\n", false),
            ("List-Id: <a.example>\r\n", true),
            ("List-Unsubscribe: <mailto:a@example.org>\r\n", true),
            ("X-List-Id: <a.example>\r\n", false),
            ("Subject: Precedence: bulk\r\n", false),
        ] {
            let content = format!("From: a@example.org\r\n{header}\r\nPrecedence: bulk\r\n");
            assert_eq!(is_bulk(content.as_bytes()), bulk, "{header:?}");
        }
    }
}
