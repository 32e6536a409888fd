//! The Received fields that this relay may have written, for who asks where a message came from (SEED-102). All
//! of it is a claim: whoever hands a message in writes what he likes below our field.

use std::{net::IpAddr, time::SystemTime};

use hikyaku_types::ids::QueueId;

use crate::{
    date,
    header::{Fields, value_of},
};

/// One field, as far as it looks like ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    /// Which of the Received fields it is, from the top, from 1.
    pub place: usize,
    /// The name of the relay.
    pub by: String,
    pub id: QueueId,
    /// The client, where the field tells of it.
    pub client: Option<IpAddr>,
    /// The date of the field is the time that is in the id, as it is in every field of ours.
    pub fits_its_date: bool,
}

/// From the top: the last passage first. Fields that do not have the form of ours are left out.
pub fn of(content: &[u8]) -> Vec<Passage> {
    let fields = Fields::of(content).filter_map(|field| value_of(field, "received"));
    let passage = |(place, value): (usize, &[u8])| of_field(place, &String::from_utf8_lossy(value));
    (1..).zip(fields).filter_map(passage).collect()
}

/// Word by word as [`crate::received`] writes it: a client may call itself `id`, and a recipient may contain
/// anything.
fn of_field(place: usize, value: &str) -> Option<Passage> {
    let (clauses, date) = value.rsplit_once(';').unwrap_or((value, ""));
    let words: Vec<&str> = clauses.split_ascii_whitespace().collect();
    let ["from", _name, words @ ..] = &words[..] else { return None };
    let (client, words) = match words {
        ["(client", "not", "shown)", words @ ..] => (None, words),
        [client, words @ ..] => (Some(address(client)?), words),
        [] => return None,
    };
    let ["by", by, "with", _protocol, "id", id, ..] = words else { return None };
    let id: QueueId = id.parse().ok()?;
    let at = date::read(&date.split_ascii_whitespace().collect::<Vec<_>>().join(" "));
    let fits_its_date = at.is_some_and(|at| seconds(at) == seconds(id.made_at()));
    Some(Passage { place, by: (*by).to_owned(), id, client, fits_its_date })
}

/// `([192.0.2.1])` or `([IPv6:2001:db8::1])`.
fn address(word: &str) -> Option<IpAddr> {
    let address = word.strip_prefix("([")?.strip_suffix("])")?;
    address.strip_prefix("IPv6:").unwrap_or(address).parse().ok()
}

fn seconds(at: SystemTime) -> Option<u64> {
    at.duration_since(SystemTime::UNIX_EPOCH).ok().map(|age| age.as_secs())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::received::{Received, Security, With};

    fn ours(client: Option<&str>, by: &str, id: QueueId, at: SystemTime) -> String {
        named("client.example", "user@example.org", client, by, id, at)
    }

    fn named(
        name: &str,
        recipient: &str,
        client: Option<&str>,
        by: &str,
        id: QueueId,
        at: SystemTime,
    ) -> String {
        let recipient = recipient.parse().unwrap();
        let field = Received {
            client_name: name,
            client: client.map(|client| client.parse().unwrap()),
            by: &by.parse().unwrap(),
            with: With::Esmtp(Security::default()),
            id,
            sole_recipient: Some(&recipient),
            at,
        };
        field.to_string()
    }

    #[test]
    fn seed_102_our_fields_are_read_back() {
        let id = QueueId::new(1_795_000_000_123, 7);
        let at = id.made_at() + Duration::from_millis(40);
        for (client, by) in [
            (Some("192.0.2.1"), "gw.example"),
            (Some("2001:db8::1"), "a.rather.long.name.of.a.relay.gw.example"),
            (None, "gw.example"),
        ] {
            let other =
                "Received: from x by mx.example with ESMTP id 4fZ;\r\n\tThu, 13 Nov 2025 02:13:20 +0000\r\n";
            let content = format!("{other}{}Subject: x\r\n\r\nbody", ours(client, by, id, at));
            let client = client.map(|client| client.parse().unwrap());
            let passage = Passage { place: 2, by: by.to_owned(), id, client, fits_its_date: true };
            assert_eq!(of(content.as_bytes()), [passage]);
        }
    }

    #[test]
    fn seed_102_a_field_with_another_date_is_not_ours() {
        let id = QueueId::new(1_795_000_000_123, 7);
        let forged = ours(Some("192.0.2.1"), "gw.example", id, id.made_at() + Duration::from_secs(60));
        assert!(!of(forged.as_bytes())[0].fits_its_date);
        let undated = format!("Received: from x ([192.0.2.1]) by gw.example with SMTP id {id}\r\n\r\n");
        assert!(!of(undated.as_bytes())[0].fits_its_date);
        // The body says nothing.
        assert_eq!(of(format!("Subject: x\r\n\r\n{undated}").as_bytes()), []);
    }

    #[test]
    fn seed_102_what_others_call_themselves_hides_nothing() {
        let id = QueueId::new(1_795_000_000_123, 7);
        for name in ["id", "by", "from", ""] {
            let recipient = "\"a; id 01ARZ3NDEKTSV4RRFFQ69G5FAV\"@example.org";
            let field = named(name, recipient, Some("192.0.2.1"), "gw.example", id, id.made_at());
            let found = of(field.as_bytes());
            assert_eq!(found.len(), 1, "{field}");
            assert!(found[0].id == id && found[0].by == "gw.example" && found[0].fits_its_date, "{found:?}");
        }
    }

    #[test]
    fn odd_fields_do_no_harm() {
        for field in [
            "Received:",
            "Received: from",
            "Received: from a",
            "Received: ;;;",
            "Received: from a b by c with d id e; f",
        ] {
            assert_eq!(of(format!("{field}\r\n").as_bytes()), [], "{field:?}");
        }
    }
}
