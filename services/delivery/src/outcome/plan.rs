//! The outcomes of all recipients of an attempt -> what is to be written. Pure.

use std::time::SystemTime;

use hikyaku_queue::custody::{End, Event};
use hikyaku_types::{
    address::ReversePath,
    envelope::{Envelope, Recipient},
    outcome::{Cause, Failure, FailureClass, RecipientOutcome, RemoteReply},
};

use crate::outcome::timing::{self, Terms};

/// So much of what servers said is kept for all recipients of an entry together, because the broker
/// takes no message of more than 1 MiB.
const KEPT_TEXT: usize = 256 * 1024;

#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) delivered: Vec<Delivered>,
    pub(crate) bounced: Vec<Bounced>,
    /// Recipients that are tried again, and when.
    pub(crate) again: Vec<Deferred>,
    pub(crate) at: Option<SystemTime>,
    /// This is the first attempt that failed after the time at which a delay is reported.
    pub(crate) is_late: bool,
}

#[derive(Debug)]
pub(crate) struct Delivered {
    pub(crate) recipient: Recipient,
    pub(crate) reply: RemoteReply,
    pub(crate) hop_reports: bool,
}

#[derive(Debug)]
pub(crate) struct Bounced {
    pub(crate) recipient: Recipient,
    /// The most telling one.
    pub(crate) failure: Failure,
    pub(crate) last_attempt: SystemTime,
    /// Its time was over; the failure itself would have been tried again.
    pub(crate) expired: bool,
}

#[derive(Debug)]
pub(crate) struct Deferred {
    /// As it is written for the next attempt.
    pub(crate) recipient: Recipient,
    /// What happened this time.
    pub(crate) failure: Failure,
}

/// `outcomes` has one item for each recipient, in order.
pub(crate) fn plan(envelope: &Envelope, outcomes: Vec<RecipientOutcome>, terms: &Terms<'_>) -> Plan {
    let mut plan = Plan::default();
    let mut dues = Vec::new();
    for (recipient, outcome) in envelope.recipients.iter().cloned().zip(outcomes) {
        let failure = match outcome {
            RecipientOutcome::Delivered { reply, hop_reports } => {
                plan.delivered.push(Delivered { recipient, reply, hop_reports });
                continue;
            }
            RecipientOutcome::Failed(failure) => failure,
        };
        match timing::due(envelope, &recipient, &failure, terms) {
            None => {
                let expired = failure.class != FailureClass::Perm;
                let last_attempt = failure.at;
                let failure = most_telling(&recipient, failure);
                plan.bounced.push(Bounced { recipient, failure, last_attempt, expired });
            }
            Some(due) => {
                let recipient = Recipient {
                    refusals: timing::refusals(&recipient, &failure).unwrap_or(recipient.refusals),
                    granted_until: due.until.or(recipient.granted_until),
                    last_failure: Some(kept(
                        most_telling(&recipient, failure.clone()),
                        envelope.recipients.len(),
                    )),
                    ..recipient
                };
                plan.again.push(Deferred { recipient, failure });
                dues.push(due);
            }
        }
    }
    plan.at = timing::together(&dues, terms.schedule);
    // Clocks stand still while mail is held (SEED-186).
    let since = envelope.accepted_at + terms.held_for;
    let late_after = terms.delay_notice_after.map(|after| terms.schedule.paced(after));
    plan.is_late = !envelope.delay_reported && late_after.is_some_and(|after| terms.now >= since + after);
    plan
}

impl Plan {
    /// Mail that failed and has no sender to report to is kept (SEED-191).
    pub(crate) fn is_dead_letter(&self, envelope: &Envelope) -> bool {
        envelope.reverse_path == ReversePath::Null && !self.bounced.is_empty()
    }

    /// The recipients that are not tried again, for custody.
    pub(crate) fn ends(&self, envelope: &Envelope, now: SystemTime) -> Vec<Event> {
        let is_dead_letter = self.is_dead_letter(envelope);
        let delivered = self.delivered.iter().map(|delivered| (&delivered.recipient, End::Delivered));
        let bounced = self.bounced.iter().map(|bounced| {
            let end = match bounced.expired {
                _ if is_dead_letter => End::DeadLettered,
                true => End::Expired,
                false => End::Failed,
            };
            (&bounced.recipient, end)
        });
        delivered
            .chain(bounced)
            .map(|(recipient, end)| Event::ended(envelope, &recipient.address, end, now))
            .collect()
    }

    /// The entry as it is for its next attempt.
    pub(crate) fn next(&self, envelope: &Envelope, now: SystemTime) -> Envelope {
        Envelope {
            recipients: self.again.iter().map(|deferred| deferred.recipient.clone()).collect(),
            attempt: envelope.attempt + 1,
            first_attempt_at: envelope.first_attempt_at.or(Some(now)),
            delay_reported: envelope.delay_reported || self.is_late,
            ..envelope.clone()
        }
    }
}

/// A later event of ours never replaces what a remote server really said (SEED-196).
fn most_telling(recipient: &Recipient, failure: Failure) -> Failure {
    match (&failure.cause, &recipient.last_failure) {
        (Cause::Local(_), Some(before)) if matches!(before.cause, Cause::Remote(_)) => before.clone(),
        (Cause::Local(_) | Cause::Remote(_), _) => failure,
    }
}

/// A failure as the entry keeps it: of long replies their start.
pub(crate) fn kept(mut failure: Failure, recipients: usize) -> Failure {
    let text = match &mut failure.cause {
        Cause::Remote(reply) => &mut reply.text,
        Cause::Local(error) => &mut error.what,
    };
    text.truncate(text.floor_char_boundary(KEPT_TEXT / recipients.max(1)));
    failure
}

#[cfg(test)]
pub(crate) mod tests;
