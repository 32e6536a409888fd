//! A schedule goes into its lane before its time: by one write that also removes the schedule, under
//! the condition that it has not fired. So nothing comes twice, and nothing is lost.

use std::time::SystemTime;

use async_nats::{HeaderMap, header};

use crate::{holds, stream::Message};

/// Removes the schedule with the write that takes its place.
const PURGE_SCHEDULE: &str = "purge";
const CONDITION_IS_OF: &str = "Nats-Expected-Last-Subject-Sequence-Subject";

/// The subject and the headers that a schedule has in its lane.
pub(crate) fn forwarded(
    message: &Message,
    now: SystemTime,
) -> Result<(String, HeaderMap), async_nats::Error> {
    let Some(target) = message.headers.get(header::NATS_SCHEDULE_TARGET) else {
        return Err(format!("{} is a schedule without a target", message.subject).into());
    };
    let mut headers = own(&message.headers);
    holds::fold(&mut headers, now);
    headers.insert(header::NATS_SCHEDULER, message.subject.as_str());
    headers.insert(header::NATS_SCHEDULE_NEXT, PURGE_SCHEDULE);
    only_behind(&mut headers, &message.subject, message.sequence);
    Ok((target.to_string(), headers))
}

/// The write counts only while this is the last message of that subject, whatever it writes itself.
pub(crate) fn only_behind(headers: &mut HeaderMap, subject: &str, sequence: u64) {
    headers.insert(header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, sequence.to_string());
    headers.insert(CONDITION_IS_OF, subject);
}

/// The headers that are not the broker's.
pub(crate) fn own(headers: &HeaderMap) -> HeaderMap {
    let mut own = HeaderMap::new();
    for (name, values) in headers.iter() {
        let text: &str = name.as_ref();
        if !text.starts_with("Nats-") {
            values.iter().for_each(|value| own.append(name.clone(), value.clone()));
        }
    }
    own
}
