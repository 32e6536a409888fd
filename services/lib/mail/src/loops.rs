//! Is a message going in circles? Counts the Received fields of its header (RFC 5321 6.3), and
//! among them those that this cluster wrote (SEED-004, SEED-137).
//!
//! Reads the header only; a body that quotes Received fields counts for nothing.

use hikyaku_types::domain::Domain;

use crate::header::{Fields, value_of};

/// Passages of one message through this cluster before it is taken for a loop. Two are
/// legitimate: in to an inner server, and out again when that forwards it.
const MAX_PASSAGES: usize = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Loop {
    #[error("message has {0} Received fields")]
    TooManyReceived(usize),
    #[error("message has passed through this relay {0} times")]
    TooManyPassages(usize),
}

/// `max_received` is the highest number of Received fields that is let through.
pub fn check(content: &[u8], own_name: &Domain, max_received: usize) -> Result<(), Loop> {
    let (mut received, mut passages) = (0, 0);
    for value in Fields::of(content).filter_map(|field| value_of(field, "received")) {
        received += 1;
        passages += usize::from(is_by(value, own_name));
    }
    // The guard against our own loops holds whatever the limit is (SEED-137).
    if passages >= MAX_PASSAGES {
        return Err(Loop::TooManyPassages(passages));
    }
    if received > max_received {
        return Err(Loop::TooManyReceived(received));
    }
    Ok(())
}

/// Does the `by` clause name us? What stands in comments is not looked at.
fn is_by(value: &[u8], own_name: &Domain) -> bool {
    let (mut depth, mut follows_by) = (0_usize, false);
    for word in words(value) {
        match word {
            b"(" => depth += 1,
            b")" => depth = depth.saturating_sub(1),
            _ if depth > 0 => {}
            word if follows_by => {
                let name = word.strip_suffix(b";").unwrap_or(word);
                let name = name.strip_suffix(b".").unwrap_or(name);
                return name.eq_ignore_ascii_case(own_name.as_str().as_bytes());
            }
            word => follows_by = word.eq_ignore_ascii_case(b"by"),
        }
    }
    false
}

/// Words and parentheses.
fn words(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let is_parenthesis = |octet: &u8| matches!(octet, b'(' | b')');
    value
        .split(u8::is_ascii_whitespace)
        .flat_map(move |word| word.chunk_by(move |a, b| !is_parenthesis(a) && !is_parenthesis(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(content: &str, max_received: usize) -> Result<(), Loop> {
        check(content.as_bytes(), &"gw.example".parse().unwrap(), max_received)
    }

    const OTHER: &str =
        "Received: from a.example ([192.0.2.1])\r\n\tby mx.example with ESMTP id 1;\r\n\tnever\r\n";
    const OURS: &str =
        "Received: from a.example ([192.0.2.1])\r\n\tby gw.example with ESMTP id 1;\r\n\tnever\r\n";

    /// SEED-137: with the limit 20, a message with 20 fields passes and one with 21 does not.
    #[test]
    fn the_limit_itself_passes() {
        let message = |count| format!("{}Subject: x\r\n\r\nbody\r\n", OTHER.repeat(count));
        assert_eq!(judge(&message(20), 20), Ok(()));
        assert_eq!(judge(&message(21), 20), Err(Loop::TooManyReceived(21)));
    }

    /// SEED-137: the third passage, at any limit.
    #[test]
    fn our_own_field_passes_once() {
        let message = |count| format!("{OTHER}{}\r\n", OURS.repeat(count));
        assert_eq!(judge(&message(1), 100), Ok(()));
        assert_eq!(judge(&message(2), 100), Err(Loop::TooManyPassages(2)));
    }

    #[test]
    fn only_the_header_counts() {
        for content in [
            format!("\r\n{}", OURS.repeat(5)),
            format!("Subject: x\r\n\r\n{}", OURS.repeat(5)),
            format!("X-Note: y\r\n {}\r\n", OURS.replace("\r\n\t", " ")),
            String::new(),
            "Subject: no line end".to_owned(),
        ] {
            assert_eq!(judge(&content, 0), Ok(()), "{content:?}");
        }
    }

    #[test]
    fn shapes_of_the_by_clause() {
        for (value, ours) in [
            ("from x by gw.example with ESMTP", true),
            ("from x BY GW.Example. id 1", true),
            ("by gw.example; date", true),
            ("from x\r\n by\r\n\tgw.example", true),
            ("from x (y)by gw.example(z)", true),
            ("from x (a (nested) by mx.example) by gw.example", true),
            ("from x (by gw.example) by mx.example", false),
            ("from gw.example by mx.example", false),
            ("from x by gw.example.org", false),
            ("from x by notgw.example", false),
            ("from x via by", false),
            ("", false),
        ] {
            assert_eq!(is_by(value.as_bytes(), &"gw.example".parse().unwrap()), ours, "{value:?}");
        }
    }

    #[test]
    fn shapes_of_the_field_name() {
        for (field, counts) in [
            ("RECEIVED: by x\r\n", true),
            ("received :by x\r\n", true),
            ("Received-SPF: pass\r\n", false),
            ("X-Received: by x\r\n", false),
            ("Received\r\n", false),
        ] {
            assert_eq!(judge(field, 0).is_err(), counts, "{field:?}");
        }
    }
}
