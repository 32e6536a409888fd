//! By what an event is found: people know the id that a 250 said, a Message-ID or an address.

use crate::Event;

/// What is looked for. Its text is folded: letters are small, angle brackets are gone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    QueueId(String),
    MessageId(String),
    Sender(String),
    Recipient(String),
}

/// As keys are compared. A local part may tell capitals apart; who looks for a message does not.
pub fn fold(text: &str) -> String {
    text.trim().trim_start_matches('<').trim_end_matches('>').to_lowercase()
}

impl Key {
    /// Kinds never fit each other.
    pub fn text(&self) -> String {
        let (kind, text) = match self {
            Self::QueueId(text) => ('q', text),
            Self::MessageId(text) => ('m', text),
            Self::Sender(text) => ('s', text),
            Self::Recipient(text) => ('r', text),
        };
        format!("{kind}{text}")
    }
}

impl Event {
    /// As the field `event` says it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Connected(_) => "connected",
            Self::Disconnected(_) => "disconnected",
            Self::Refused(_) => "refused",
            Self::Authentication(_) => "authentication",
            Self::Accepted(_) => "accepted",
            Self::Attempt(_) => "attempt",
            Self::Delivered(_) => "delivered",
            Self::Deferred(_) => "deferred",
            Self::Bounced(_) => "bounced",
            Self::Reported(_) => "reported",
            Self::Parked(_) => "parked",
            Self::Waits(_) => "waits",
            Self::Held(_) => "held",
            Self::Rerouted(_) => "rerouted",
            Self::Moved(_) => "moved",
            Self::Deleted(_) => "deleted",
            Self::Resent(_) => "resent",
            Self::Operator(_) => "operator",
            Self::Directory(_) => "directory",
            Self::RouteExpired(_) => "route-expired",
        }
    }

    /// The message that it is about.
    pub fn queue_id(&self) -> Option<&str> {
        match self {
            Self::Accepted(event) => Some(&event.queue_id),
            Self::Attempt(event) => Some(&event.queue_id),
            Self::Delivered(event) => Some(&event.queue_id),
            Self::Deferred(event) | Self::Bounced(event) => Some(&event.queue_id),
            Self::Reported(event) => Some(&event.queue_id),
            Self::Parked(event) | Self::Waits(event) | Self::Held(event) => Some(&event.queue_id),
            Self::Rerouted(event) | Self::Moved(event) => Some(&event.queue_id),
            Self::Deleted(event) => Some(&event.queue_id),
            Self::Resent(event) => Some(&event.queue_id),
            Self::Connected(_)
            | Self::Disconnected(_)
            | Self::Refused(_)
            | Self::Authentication(_)
            | Self::Operator(_)
            | Self::Directory(_)
            | Self::RouteExpired(_) => None,
        }
    }

    /// A report about it, or what it was made from: messages whose lives belong to this one's.
    pub fn other_queue_id(&self) -> Option<&str> {
        if let Self::Reported(event) = self {
            return Some(&event.report);
        }
        if let Self::Resent(event) = self {
            return event.dead_letter.split('-').next();
        }
        None
    }

    /// Everything that this event is found by. Addresses count where a message begins, or is refused: from there its
    /// queue id leads on.
    pub fn keys(&self) -> Vec<Key> {
        let mut keys: Vec<Key> = Vec::new();
        keys.extend(self.queue_id().map(|id| Key::QueueId(fold(id))));
        keys.extend(self.other_queue_id().map(|id| Key::QueueId(fold(id))));
        let sender = |address: &String| Key::Sender(fold(address));
        let recipient = |address: &String| Key::Recipient(fold(address));
        if let Self::Accepted(event) = self {
            keys.push(sender(&event.sender));
            keys.extend(event.message_id.iter().map(|id| Key::MessageId(fold(id))));
            keys.extend(event.recipients.iter().chain(&event.original_recipients).map(recipient));
        }
        if let Self::Refused(event) = self {
            keys.extend(event.sender.iter().map(sender));
            keys.extend(event.recipient.iter().map(recipient));
        }
        // A report has no acceptance of its own.
        if let Self::Reported(event) = self {
            keys.push(recipient(&event.sender));
        }
        if let Self::Resent(event) = self {
            keys.push(sender(&event.sender));
            keys.extend(event.recipients.iter().map(recipient));
        }
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Accepted, Refused, Reported};

    #[test]
    fn a_message_is_found_by_what_people_know_of_it() {
        let accepted = Event::Accepted(Box::new(Accepted {
            queue_id: "01ARZ3NDEKTSV4RRFFQ69G5FAV".to_owned(),
            sender: "Ann@Example.org".to_owned(),
            recipients: vec!["bob@there.example".to_owned()],
            original_recipients: vec!["info@own.example".to_owned()],
            message_id: Some("<1@Example.org>".to_owned()),
            ..Accepted::default()
        }));
        assert_eq!(
            accepted.keys(),
            [
                Key::QueueId("01arz3ndektsv4rrffq69g5fav".to_owned()),
                Key::Sender("ann@example.org".to_owned()),
                Key::MessageId("1@example.org".to_owned()),
                Key::Recipient("bob@there.example".to_owned()),
                Key::Recipient("info@own.example".to_owned()),
            ]
        );
    }

    #[test]
    fn a_refusal_is_found_by_its_addresses_and_a_report_by_both_messages() {
        let refused = Event::Refused(Box::new(Refused {
            sender: Some("<>".to_owned()),
            recipient: Some("B@x.example".to_owned()),
            ..Refused::default()
        }));
        assert_eq!(refused.keys(), [Key::Sender(String::new()), Key::Recipient("b@x.example".to_owned())]);
        let reported = Event::Reported(Reported {
            queue_id: "A".to_owned(),
            entry: "A-0".to_owned(),
            sender: "a@x.example".to_owned(),
            kind: "failed".to_owned(),
            report: "B".to_owned(),
        });
        let ids = [Key::QueueId("a".to_owned()), Key::QueueId("b".to_owned())];
        assert_eq!(reported.keys()[..2], ids);
    }
}
