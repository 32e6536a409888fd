//! What those see who watch a destination (SEED-203): commands and replies as they went, without content and
//! without what may be secret.

use hikyaku_queue::watch::{Kind, Watched, Watches};
use hikyaku_smtp::client::Part;
use hikyaku_types::destination::Destination;

#[derive(Clone)]
pub(crate) struct Watching {
    watches: Watches,
    destination: Destination,
    watched: Option<Watched>,
}

impl Watching {
    pub(crate) fn new(watches: Watches, destination: Destination) -> Self {
        let watched = watches.destination(&destination, None);
        Self { watches, destination, watched }
    }

    /// A session that goes on already is watched too.
    pub(crate) fn look(&mut self) {
        self.watched = self.watches.destination(&self.destination, self.watched.take());
    }

    pub(crate) fn note(&self, text: impl FnOnce() -> String) {
        if let Some(watched) = &self.watched {
            watched.line(Kind::Note, &text());
        }
    }

    pub(crate) fn said(&self, octets: &[u8], part: Part) {
        let Some(watched) = &self.watched else { return };
        for line in String::from_utf8_lossy(octets).lines() {
            match part {
                Part::Commands => watched.line(Kind::Client, line),
                Part::Login => watched.line(Kind::Client, &masked(line)),
                Part::Content => {}
            }
        }
    }

    /// A server may repeat the secret in its answer to a login; what is told of the failure is without it.
    pub(crate) fn heard(&self, octets: &[u8], is_login: bool) {
        let Some(watched) = &self.watched else { return };
        for line in String::from_utf8_lossy(octets).lines() {
            if is_login {
                watched.line(Kind::Server, &code_of(line));
            } else {
                watched.line(Kind::Server, line);
            }
        }
    }
}

/// The mechanism is no secret.
fn masked(line: &str) -> String {
    let mut words = line.split(' ');
    match (words.next(), words.next()) {
        (Some("AUTH"), Some(mechanism)) => format!("AUTH {mechanism} ***"),
        (_, _) => "***".to_owned(),
    }
}

/// One that was cut has none.
fn code_of(line: &str) -> String {
    let code = line.get(..3).filter(|code| code.bytes().all(|digit| digit.is_ascii_digit()));
    let is_whole = line.get(3..4).is_none_or(|behind| matches!(behind, " " | "-"));
    code.filter(|_| is_whole).map_or_else(|| "***".to_owned(), |code| format!("{code} ***"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        for (line, shown) in [
            ("AUTH PLAIN AGEAYg==", "AUTH PLAIN ***"),
            ("AUTH XOAUTH2 dXNlcj1h", "AUTH XOAUTH2 ***"),
            ("AUTH LOGIN", "AUTH LOGIN ***"),
            ("cGFzc3dvcmQ=", "***"),
            ("*", "***"),
        ] {
            assert_eq!(masked(line), shown);
        }
        for (line, shown) in [
            ("334 VXNlcm5hbWU6", "334 ***"),
            ("535-5.7.8 AGEAYg== is wrong", "535 ***"),
            ("235", "235 ***"),
            ("AGEAYg== is wrong", "***"),
            ("123AGEAYg==", "***"),
            ("12\u{fc}", "***"),
        ] {
            assert_eq!(code_of(line), shown);
        }
    }
}
