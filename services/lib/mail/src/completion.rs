//! What a submitted message lacks and must have (RFC 6409 8, SEED-097). Nothing that it has is
//! touched.

use std::time::SystemTime;

use hikyaku_types::{domain::Domain, ids::QueueId};

use crate::{
    date::rfc5322,
    header::{Fields, value_of},
};

/// Fields to put above the header, or nothing.
pub fn missing_fields(content: &[u8], id: QueueId, by: &Domain, at: SystemTime) -> String {
    let has = |name| Fields::of(content).any(|field| value_of(field, name).is_some());
    let mut fields = String::new();
    if !has("date") {
        fields += &format!("Date: {}\r\n", rfc5322(at));
    }
    if !has("message-id") {
        fields += &format!("Message-ID: <{id}@{by}>\r\n");
    }
    fields
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_what_is_not_there() {
        let date = "Date: Thu, 13 Nov 2025 02:13:20 +0000\r\n";
        let id = "Message-ID: <00000000000000000000000000@gw.example>\r\n";
        for (content, expected) in [
            ("Subject: x\r\n\r\nDate: x\r\n", format!("{date}{id}")),
            ("\r\nbody\r\n", format!("{date}{id}")),
            ("date: x\r\n\r\n", id.to_owned()),
            ("X-Date: x\r\nMESSAGE-ID:\r\n <1@c.example>\r\n\r\n", date.to_owned()),
            ("Message-Id: <1@c.example>\r\nDate : x\r\n\r\n", String::new()),
            ("Resent-Date: x\r\nDate: x\r\n Message-ID: folded\r\n\r\n", id.to_owned()),
        ] {
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_763_000_000);
            let by = "gw.example".parse().unwrap();
            let found = missing_fields(content.as_bytes(), QueueId::new(0, 0), &by, at);
            assert_eq!(found, expected, "{content:?}");
        }
    }
}
