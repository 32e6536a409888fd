//! What those see who watch a destination (SEED-203): commands and replies as they went, without content and
//! without what may be secret.

use hikyaku_queue::watch::{Kind, Watched, Watches};
use hikyaku_types::destination::Destination;

#[derive(Clone)]
pub(crate) struct Watching {
    watches: Watches,
    destination: Destination,
    watched: Option<Watched>,
}

/// What the octets are a part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Commands,
    Login,
    Content,
}

impl Watching {
    pub(crate) fn new(watches: Watches, destination: Destination) -> Self {
        let watched = watches.destination(&destination);
        Self { watches, destination, watched }
    }

    /// A session that goes on already is watched too.
    pub(crate) fn look(&mut self) {
        if self.watched.as_ref().is_none_or(Watched::is_over) {
            self.watched = self.watches.destination(&self.destination);
        }
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

    pub(crate) fn heard(&self, octets: &[u8]) {
        let Some(watched) = &self.watched else { return };
        for line in String::from_utf8_lossy(octets).lines() {
            // A challenge, which may come with more lines than one.
            watched.line(Kind::Server, if line.starts_with("334") { "334 ***" } else { line });
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
    }
}
