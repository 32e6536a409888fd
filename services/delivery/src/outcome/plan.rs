//! The outcomes of all recipients of an attempt -> what is to be written. Pure.

use std::time::SystemTime;

use hikyaku_types::{
    envelope::{Envelope, Recipient},
    outcome::{Cause, Failure, RecipientOutcome, RemoteReply},
    schedule::{Next, RetrySchedule},
};

#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) delivered: Vec<(Recipient, RemoteReply)>,
    pub(crate) bounced: Vec<Bounced>,
    /// Recipients that are tried again, with what happened to them, and when.
    pub(crate) again: Vec<(Recipient, Failure)>,
    pub(crate) at: Option<SystemTime>,
}

#[derive(Debug)]
pub(crate) struct Bounced {
    pub(crate) recipient: Recipient,
    pub(crate) failure: Failure,
    /// Its time was over; the failure itself would have been tried again.
    pub(crate) expired: bool,
}

/// `outcomes` has one item for each recipient, in order. `jitter` is drawn by the caller.
pub(crate) fn plan(
    envelope: &Envelope,
    outcomes: Vec<RecipientOutcome>,
    schedule: &RetrySchedule,
    now: SystemTime,
    jitter: f64,
) -> Plan {
    let finished = envelope.attempt + 1;
    let mut plan = Plan::default();
    for (recipient, outcome) in envelope.recipients.iter().cloned().zip(outcomes) {
        let failure = match outcome {
            RecipientOutcome::Delivered(reply) => {
                plan.delivered.push((recipient, reply));
                continue;
            }
            RecipientOutcome::Failed(failure) => failure,
        };
        match schedule.next(failure.class, finished, envelope.accepted_at, now, jitter) {
            Next::GiveUp => {
                let expired = failure.class != hikyaku_types::outcome::FailureClass::Perm;
                let failure = most_telling(&recipient, failure);
                plan.bounced.push(Bounced { recipient, failure, expired });
            }
            Next::RetryAt(at) => {
                plan.at = Some(plan.at.map_or(at, |earliest| earliest.min(at)));
                plan.again.push((recipient, failure));
            }
        }
    }
    plan
}

/// A later event of ours never replaces what a remote server really said (SEED-196).
pub(crate) fn most_telling(recipient: &Recipient, failure: Failure) -> Failure {
    match (&failure.cause, &recipient.last_failure) {
        (Cause::Local(_), Some(before)) if matches!(before.cause, Cause::Remote(_)) => before.clone(),
        (Cause::Local(_) | Cause::Remote(_), _) => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use hikyaku_types::{
        body::Body,
        envelope::{Lane, Transfer},
        ids::QueueId,
        outcome::{FailureClass, Phase},
        reply::EnhancedCode,
    };
    use std::time::{Duration, UNIX_EPOCH};

    fn envelope(recipients: &[&str], attempt: u32) -> Envelope {
        Envelope {
            entry: QueueId::new(0, 0).entry(0),
            destination: "example.org".parse().unwrap(),
            reverse_path: "a@example.net".parse().unwrap(),
            recipients: recipients
                .iter()
                .map(|address| Recipient {
                    address: address.parse().unwrap(),
                    original: None,
                    last_failure: None,
                })
                .collect(),
            body: Body::Inline(Bytes::new()),
            transfer: Transfer::default(),
            accepted_at: UNIX_EPOCH,
            attempt,
            client: None,
            lane: Lane::Fresh,
        }
    }

    fn remote(code: u16) -> Cause {
        Cause::Remote(RemoteReply {
            host: "mx.example.org".to_owned(),
            address: "192.0.2.1:25".parse().unwrap(),
            code,
            enhanced: None,
            text: "text".to_owned(),
        })
    }

    fn failed(class: FailureClass, cause: Cause) -> RecipientOutcome {
        let status = EnhancedCode(4, 0, 0);
        RecipientOutcome::Failed(Failure { at: UNIX_EPOCH, phase: Phase::Rcpt, class, cause, status })
    }

    #[test]
    fn each_recipient_has_its_own_end() {
        let envelope = envelope(&["a@example.org", "b@example.org", "c@example.org"], 0);
        let Cause::Remote(accepted) = remote(250) else { unreachable!() };
        let outcomes = vec![
            RecipientOutcome::Delivered(accepted),
            failed(FailureClass::Perm, remote(550)),
            failed(FailureClass::Temp, remote(451)),
        ];
        let plan = plan(&envelope, outcomes, &RetrySchedule::INTERNET, UNIX_EPOCH, 0.0);
        assert_eq!(plan.delivered[0].0.address.local_part(), "a");
        assert_eq!(plan.bounced[0].recipient.address.local_part(), "b");
        assert!(!plan.bounced[0].expired);
        assert_eq!(plan.again[0].0.address.local_part(), "c");
        assert_eq!(plan.at, Some(UNIX_EPOCH + Duration::from_secs(120)));
    }

    #[test]
    fn expiry_reports_the_remote_reply_not_the_last_silence() {
        let mut envelope = envelope(&["a@example.org"], 12);
        let RecipientOutcome::Failed(said) = failed(FailureClass::Temp, remote(451)) else { unreachable!() };
        envelope.recipients[0].last_failure = Some(said.clone());
        let silence = failed(FailureClass::NoReply, Cause::Local("connection refused".to_owned()));
        let late = UNIX_EPOCH + Duration::from_secs(24 * 3600);
        let plan = plan(&envelope, vec![silence], &RetrySchedule::INTERNET, late, 0.0);
        assert!(plan.bounced[0].expired);
        assert_eq!(plan.bounced[0].failure, said);
    }
}
