//! Who handed a message in, for fair shares: the client's network, and the sender within it.

use std::net::IpAddr;

use crate::{
    address::{Mailbox, ReversePath},
    origin::limited_as,
    shard::fnv1a,
};

/// Two numbers that stand for a source; equal sources have equal numbers. It is never stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source {
    /// The client: an IPv4 address, an IPv6 network of 64 bits, or ourselves.
    pub client: u64,
    /// The reverse-path, without what mailing programs vary from message to message.
    pub sender: u64,
}

impl Source {
    pub fn new(client: Option<IpAddr>, reverse_path: &ReversePath) -> Self {
        let client = client.map_or_else(String::new, |client| limited_as(client).to_string());
        let sender = match reverse_path {
            ReversePath::Null => String::new(),
            ReversePath::Mailbox(mailbox) => stem(mailbox),
        };
        Self { client: fnv1a(&client), sender: fnv1a(&sender) }
    }
}

/// Mailing programs put the recipient and a number into the local part (VERP:
/// `bounce-123456-b=example.org`), and some servers a tag (BATV: `prvs=0123abcd=name`). What they
/// vary is left out, so one list is one source.
fn stem(mailbox: &Mailbox) -> String {
    let local = mailbox.local_part();
    let local = match (local.strip_prefix("prvs="), local.split_once('=')) {
        (Some(tagged), _) => tagged.split_once('=').map_or(tagged, |(_, name)| name),
        // Before `=` stands the recipient's own local part.
        (None, Some((before, _))) => {
            before.rsplit_once(['-', '_', '.', '+']).map_or(before, |(list, _)| list)
        }
        (None, None) => local.split('+').next().unwrap_or(local),
    };
    let mut stem = String::with_capacity(local.len());
    let mut digits = String::new();
    for c in local.chars() {
        if c.is_ascii_digit() {
            digits.push(c);
            continue;
        }
        push_number(&mut stem, &mut digits);
        stem.push(c.to_ascii_lowercase());
    }
    push_number(&mut stem, &mut digits);
    format!("{stem}@{}", mailbox.host())
}

/// Names of people and devices end in short numbers; message numbers are longer.
const LONGEST_NAME_NUMBER: usize = 4;

fn push_number(stem: &mut String, digits: &mut String) {
    if digits.len() <= LONGEST_NAME_NUMBER {
        stem.push_str(digits);
    }
    digits.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(client: &str, sender: &str) -> Source {
        let sender = if sender.is_empty() { ReversePath::Null } else { sender.parse().unwrap() };
        Source::new(Some(client.parse().unwrap()), &sender)
    }

    #[test]
    fn a_mailing_is_one_source() {
        let first = source("192.0.2.1", "bounce-123456-b=example.org@list.example");
        assert_eq!(first, source("192.0.2.1", "bounce-654321-c=example.net@LIST.example"));
        assert_eq!(source("192.0.2.1", "a+1@x.example"), source("192.0.2.1", "A@x.example"));
        assert_eq!(source("192.0.2.1", "prvs=0123abcd=a@x.example"), source("192.0.2.1", "a@x.example"));
    }

    #[test]
    fn people_are_not() {
        assert_ne!(source("192.0.2.1", "printer1@x.example"), source("192.0.2.1", "printer2@x.example"));
        assert_ne!(source("192.0.2.1", "a@x.example").client, source("192.0.2.2", "a@x.example").client);
        assert_ne!(source("192.0.2.1", "a@x.example"), source("192.0.2.1", ""));
    }

    #[test]
    fn an_ipv6_client_is_its_network() {
        assert_eq!(source("2001:db8::1", "").client, source("2001:db8::ffff", "").client);
        assert_ne!(source("2001:db8::1", "").client, source("2001:db8:0:1::1", "").client);
        assert_eq!(source("::ffff:192.0.2.1", "").client, source("192.0.2.1", "").client);
    }
}
