//! The X-Relay field: says in whose name a message was relayed because of its client's address
//! (SEED-096). It cannot be switched off.

use std::fmt::{self, Write as _};

use hikyaku_types::{address::ReversePath, domain::Domain};

/// `Display` writes the whole field, final CRLF included.
#[derive(Debug)]
pub struct RelayTrace<'a> {
    /// Name of the cluster.
    pub by: &'a Domain,
    pub reverse_path: &'a ReversePath,
}

impl fmt::Display for RelayTrace<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "X-Relay: {} From <", self.by)?;
        for c in self.reverse_path.to_string().chars() {
            match c {
                ' '..='~' => f.write_char(c)?,
                // The form of RFC 6533 3: readable for every server, and nothing is lost.
                _ => write!(f, "\\x{{{:X}}}", u32::from(c))?,
            }
        }
        f.write_str(">\r\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        for (sender, expected) in [
            ("info@example.com", "X-Relay: gw.example From <info@example.com>\r\n"),
            ("", "X-Relay: gw.example From <>\r\n"),
            ("\"a b\"@example.com", "X-Relay: gw.example From <\"a b\"@example.com>\r\n"),
            ("用@example.com", "X-Relay: gw.example From <\\x{7528}@example.com>\r\n"),
        ] {
            let (by, reverse_path) = ("gw.example".parse().unwrap(), sender.parse().unwrap());
            assert_eq!(RelayTrace { by: &by, reverse_path: &reverse_path }.to_string(), expected);
        }
    }

    #[test]
    fn a_sender_that_would_break_the_field_is_no_sender() {
        for sender in ["a\r\nb@example.com", "\"a\r\n b\"@example.com", "\"\u{7f}\"@example.com"] {
            assert!(sender.parse::<ReversePath>().is_err(), "{sender:?}");
        }
    }
}
