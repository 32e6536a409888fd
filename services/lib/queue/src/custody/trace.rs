//! The acceptance of one transaction, found by the time that is in its id.

use std::time::{Duration, SystemTime};

use hikyaku_types::ids::QueueId;

use super::{Admission, Event, Origin, codec};
use crate::{
    Nats,
    stream::{self, From, Reading},
    subject,
    topology::CUSTODY_STREAM,
};

/// Clocks of machines differ, and an event is written a little after it happened. What is read for an id that
/// somebody has made up is bounded by twice this time.
const MARGIN: Duration = Duration::from_secs(60);
const EVENTS: Reading<'static> =
    Reading { stream: CUSTODY_STREAM, filter: subject::ALL_CUSTODY, messages: 100 };

#[derive(Debug, thiserror::Error)]
#[error("failed to read custody")]
pub struct TraceError(#[source] async_nats::Error);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acceptance {
    pub accepted_at: SystemTime,
    pub origin: Origin,
    /// Final addresses.
    pub recipients: Vec<String>,
    /// Somebody was told that it was taken.
    pub is_promised: bool,
    /// Absent for mail of our own, and for what an earlier version took.
    pub admission: Option<Admission>,
}

/// `None`: nothing is known of it; it is of another cluster, made up, or older than custody is kept.
pub async fn find(nats: &Nats, queue_id: QueueId) -> Result<Option<Acceptance>, TraceError> {
    let made_at = queue_id.made_at();
    // An id has room for times that no clock has.
    if made_at > SystemTime::now() + MARGIN {
        return Ok(None);
    }
    let extent = stream::extent(nats, CUSTODY_STREAM).await.map_err(TraceError)?;
    let mut search = Search { queue_id, until: made_at + MARGIN, found: None, is_over: false };
    let mut from = From::Time(made_at.checked_sub(MARGIN).unwrap_or(made_at));
    while !search.is_over && extent.reaches(from) {
        let batch = EVENTS.next_of(nats, from, &extent).await.map_err(TraceError)?;
        from = From::Sequence(batch.messages.last().map_or(extent.last, |it| it.sequence) + 1);
        for message in batch.messages {
            match codec::decode(message.payload) {
                Ok(events) => events.flatten().for_each(|event| search.read(event)),
                Err(error) => {
                    tracing::error!(sequence = message.sequence, %error, "custody cannot be read");
                }
            }
        }
    }
    Ok(search.found)
}

struct Search {
    queue_id: QueueId,
    until: SystemTime,
    found: Option<Acceptance>,
    is_over: bool,
}

impl Search {
    fn read(&mut self, event: Event) {
        match event {
            Event::Accepted { entry, recipients, at, origin } if entry.queue_id == self.queue_id => {
                let found = self.found.get_or_insert_with(|| Acceptance {
                    accepted_at: at,
                    origin,
                    recipients: Vec::new(),
                    is_promised: false,
                    admission: None,
                });
                found.recipients.extend(recipients);
            }
            Event::Stored { queue_id, admission } if queue_id == self.queue_id => {
                if let Some(found) = &mut self.found {
                    (found.is_promised, found.admission) = (true, admission);
                }
                // It follows all of its acceptances.
                self.is_over = true;
            }
            Event::Accepted { at, .. } => self.is_over |= at > self.until,
            Event::Stored { .. } | Event::Ended { .. } | Event::Moved { .. } | Event::Removed { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(queue_id: QueueId, hop: u16, recipient: &str) -> Event {
        Event::Accepted {
            entry: queue_id.entry(hop),
            recipients: vec![recipient.to_owned()],
            at: queue_id.made_at(),
            origin: Origin::Client,
        }
    }

    #[test]
    fn seed_102_all_next_hops_of_one_transaction() {
        let (wanted, other) = (QueueId::new(1_000_000, 1), QueueId::new(1_000_001, 1));
        let mut search =
            Search { queue_id: wanted, until: wanted.made_at() + MARGIN, found: None, is_over: false };
        let admission =
            Admission { client: [192, 0, 2, 1].into(), identity: None, admitted_by: "access:3".into() };
        let stored = |queue_id, admission| Event::Stored { queue_id, admission };
        for event in [
            accepted(other, 0, "x@other.example"),
            stored(other, None),
            accepted(wanted, 0, "a@one.example"),
            accepted(wanted, 1, "b@two.example"),
        ] {
            search.read(event);
        }
        assert!(!search.is_over && !search.found.as_ref().unwrap().is_promised);
        search.read(stored(wanted, Some(admission.clone())));
        let found = search.found.unwrap();
        assert!(search.is_over && found.is_promised);
        assert_eq!(found.recipients, ["a@one.example", "b@two.example"]);
        assert_eq!(found.admission, Some(admission));
    }

    #[test]
    fn an_id_that_was_made_up_is_not_looked_for_for_ever() {
        let (wanted, late) = (QueueId::new(1_000_000, 1), QueueId::new(1_060_001, 1));
        let until = wanted.made_at() + MARGIN;
        let mut search = Search { queue_id: wanted, until, found: None, is_over: false };
        search.read(accepted(late, 0, "x@other.example"));
        assert!(search.is_over && search.found.is_none());
    }
}
