//! Ours -> generated types, and back.

use std::time::{SystemTime, UNIX_EPOCH};

use hikyaku_proto::admin::v1 as wire;
use hikyaku_queue::{
    browse::{Filter, Found, Selector, State, Waits, count::Counts},
    dead::{DeadLetter, DeadSelector},
    holds::Hold,
};
use hikyaku_types::{
    destination::Destination,
    envelope::{Lane, Recipient},
};

use super::status::CallError;

pub(super) fn required(selector: Option<wire::Selector>) -> Result<Selector, CallError> {
    read_selector(selector.ok_or_else(|| CallError::Argument("selector is missing".to_owned()))?)
}

pub(super) fn optional(selector: Option<wire::Selector>) -> Result<Selector, CallError> {
    selector.map_or(Ok(Selector::All), read_selector)
}

fn read_selector(selector: wire::Selector) -> Result<Selector, CallError> {
    let nothing = || CallError::Argument("selector names neither an id nor a destination nor all".to_owned());
    match selector.by {
        Some(wire::selector::By::Id(id)) => read_id(&id),
        Some(wire::selector::By::Destination(text)) => destination(&text).map(Selector::Destination),
        Some(wire::selector::By::All(true)) => Ok(Selector::All),
        Some(wire::selector::By::All(false)) | None => Err(nothing()),
    }
}

pub(super) fn destination(text: &str) -> Result<Destination, CallError> {
    text.parse().map_err(|error| CallError::Argument(format!("destination {text:?}: {error}")))
}

pub(super) fn read_id(id: &str) -> Result<Selector, CallError> {
    let entry = id.parse().map(Selector::Entry);
    let either = entry.or_else(|_| id.parse().map(Selector::QueueId));
    either.map_err(|error| CallError::Argument(format!("{id:?}: {error}")))
}

pub(super) fn read_dead_id(id: &str) -> Result<DeadSelector, CallError> {
    let entry = id.parse().map(DeadSelector::Entry);
    let either = entry.or_else(|_| id.parse().map(DeadSelector::QueueId));
    either.map_err(|error| CallError::Argument(format!("{id:?}: {error}")))
}

/// How a change is called in the mail log.
pub(super) fn name(selector: &Selector) -> String {
    match selector {
        Selector::All => "all".to_owned(),
        Selector::Destination(destination) => destination.to_string(),
        Selector::QueueId(queue_id) => queue_id.to_string(),
        Selector::Entry(entry) => entry.to_string(),
    }
}

pub(super) fn filter(filter: Option<wire::Filter>) -> Result<Filter, CallError> {
    let Some(filter) = filter else { return Ok(Filter::default()) };
    let state = match wire::State::try_from(filter.state) {
        Ok(wire::State::Unspecified) => None,
        Ok(wire::State::Fresh) => Some(State::Ready(Lane::Fresh)),
        Ok(wire::State::Bulk) => Some(State::Ready(Lane::Bulk)),
        Ok(wire::State::Due) => Some(State::Ready(Lane::Due)),
        Ok(wire::State::Scheduled) => Some(State::Scheduled),
        Ok(wire::State::Held) => Some(State::Held),
        Err(_) => return Err(CallError::Argument(format!("state {} is not known", filter.state))),
    };
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    Ok(Filter {
        sender: some(filter.sender),
        recipient: some(filter.recipient),
        accepted_before: filter.accepted_before.map(time).transpose()?,
        state,
    })
}

pub(super) fn time(stamp: prost_types::Timestamp) -> Result<SystemTime, CallError> {
    SystemTime::try_from(stamp).map_err(|_| CallError::Argument(format!("{stamp:?} is not a time")))
}

pub(super) fn entry(found: Found) -> wire::Entry {
    let Found { envelope, waits, held, is_busy } = found;
    let (state, next_attempt_at) = match waits {
        Waits::Ready(Lane::Fresh) => (wire::State::Fresh, None),
        Waits::Ready(Lane::Bulk) => (wire::State::Bulk, None),
        Waits::Ready(Lane::Due) => (wire::State::Due, None),
        Waits::Until(_) if held.is_some() => (wire::State::Held, None),
        Waits::Until(at) => (wire::State::Scheduled, Some(timestamp(at))),
    };
    wire::Entry {
        id: envelope.entry.to_string(),
        destination: envelope.destination.to_string(),
        state: state.into(),
        reverse_path: envelope.reverse_path.to_string(),
        recipients: envelope.recipients.iter().map(recipient).collect(),
        accepted_at: Some(timestamp(envelope.accepted_at)),
        attempt: envelope.attempt,
        next_attempt_at,
        size: envelope.body.size(),
        held: held.is_some(),
        held_until: held.and_then(|held| held.until).map(timestamp),
        busy: is_busy,
    }
}

fn recipient(recipient: &Recipient) -> wire::EntryRecipient {
    let failure = recipient.last_failure.as_ref();
    wire::EntryRecipient {
        address: recipient.address.to_string(),
        last_failure: failure.map(|failure| failure.cause.to_string()).unwrap_or_default(),
        last_failure_at: failure.map(|failure| timestamp(failure.at)),
    }
}

pub(super) fn counts(counts: Counts) -> wire::Counts {
    let Counts { fresh, bulk, due, scheduled, busy } = counts;
    wire::Counts { fresh, bulk, due, scheduled, busy }
}

pub(super) fn hold(hold: &Hold) -> wire::Hold {
    wire::Hold {
        until: hold.until.map(timestamp),
        since: Some(timestamp(hold.since)),
        reason: hold.reason.clone(),
        who: hold.who.clone(),
    }
}

pub(super) fn letter(letter: &DeadLetter) -> wire::DeadLetter {
    let envelope = &letter.envelope;
    wire::DeadLetter {
        id: envelope.entry.to_string(),
        destination: envelope.destination.to_string(),
        reverse_path: envelope.reverse_path.to_string(),
        recipients: envelope.recipients.iter().map(recipient).collect(),
        accepted_at: Some(timestamp(envelope.accepted_at)),
        died_at: Some(timestamp(letter.died_at)),
        ends_at: Some(timestamp(letter.ends_at())),
        attempt: envelope.attempt,
        size: envelope.body.size(),
    }
}

pub(super) fn timestamp(at: SystemTime) -> prost_types::Timestamp {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    prost_types::Timestamp {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(since.subsec_nanos()).unwrap_or(0), // below 10^9, so it fits
    }
}
