//! What delivery has to say in the mail log: one event for each change of an entry's state.

use std::time::SystemTime;

use hikyaku_mail_log::{
    Event,
    event::{Attempt, Delivered, Failed, Moved, Operator, Protection, Reported, Resent, Waiting},
    record,
};
use hikyaku_queue::holds::Hold;
use hikyaku_types::{
    destination::Destination,
    envelope::{Envelope, Recipient},
    ids::QueueId,
    outcome::{Cause, Failure, RemoteReply},
    text::rfc3339,
    traffic::EgressAddress,
};

use crate::connection::security::Channel;

pub(crate) fn attempt(
    envelope: &Envelope,
    host: &str,
    address: std::net::SocketAddr,
    channel: Channel,
    egress: Option<&EgressAddress>,
) {
    record(|| {
        Event::Attempt(Box::new(Attempt {
            queue_id: envelope.entry.queue_id.to_string(),
            entry: envelope.entry.to_string(),
            destination: envelope.destination.to_string(),
            host: host.to_owned(),
            address: address.to_string(),
            attempt: envelope.attempt + 1,
            egress: egress.map(|egress| egress.address.to_string()),
            protection: protection(Some(&channel)),
        }))
    });
}

fn protection(channel: Option<&Channel>) -> Protection {
    let tls = channel.and_then(|channel| channel.secured);
    Protection {
        tls_policy: channel.map(|channel| channel.policy.name().to_owned()),
        tls: tls.map_or("none", |tls| tls.version).to_owned(),
        tls_cipher: tls.map(|tls| tls.cipher.to_owned()),
        tls_verified: tls.is_some_and(|tls| tls.is_verified),
    }
}

pub(crate) fn delivered(
    envelope: &Envelope,
    recipient: &Recipient,
    reply: &RemoteReply,
    channel: Option<&Channel>,
    now: SystemTime,
) {
    record(|| {
        Event::Delivered(Box::new(Delivered {
            queue_id: envelope.entry.queue_id.to_string(),
            entry: envelope.entry.to_string(),
            sender: envelope.reverse_path.to_string(),
            recipient: recipient.address.to_string(),
            destination: envelope.destination.to_string(),
            attempt: envelope.attempt + 1,
            delay_seconds: now.duration_since(envelope.accepted_at).unwrap_or_default().as_secs_f64(),
            remote: reply.to_string(),
            protection: protection(channel),
        }))
    });
}

/// SEED-210: what a server said and what happened on our side are never in the same field.
fn failed(envelope: &Envelope, recipient: &Recipient, failure: &Failure) -> Failed {
    let (remote, local) = match &failure.cause {
        Cause::Remote(reply) => (Some(reply), None),
        Cause::Local(error) => (None, Some(error)),
    };
    Failed {
        queue_id: envelope.entry.queue_id.to_string(),
        entry: envelope.entry.to_string(),
        sender: envelope.reverse_path.to_string(),
        recipient: recipient.address.to_string(),
        destination: envelope.destination.to_string(),
        attempt: envelope.attempt + 1,
        class: failure.class.name().to_owned(),
        phase: Some(failure.phase.name().to_owned()),
        status: failure.status.to_string(),
        cause: failure.cause.to_string(),
        remote: remote.map(ToString::to_string),
        local_error: local.map(|error| error.kind.name().to_owned()),
        errno: local.and_then(|error| error.kind.errno()),
        bytes: local.map(|error| error.bytes),
        after_seconds: local.map(|error| error.elapsed.as_secs_f64()),
        ..Failed::default()
    }
}

pub(crate) fn deferred(envelope: &Envelope, recipient: &Recipient, failure: &Failure, at: SystemTime) {
    record(|| {
        let next_attempt = Some(rfc3339(at));
        Event::Deferred(Box::new(Failed { next_attempt, ..failed(envelope, recipient, failure) }))
    });
}

pub(crate) fn bounced(
    envelope: &Envelope,
    recipient: &Recipient,
    failure: &Failure,
    expired: bool,
    report: &str,
) {
    record(|| {
        let (expired, report) = (Some(expired), Some(report.to_owned()));
        Event::Bounced(Box::new(Failed { expired, report, ..failed(envelope, recipient, failure) }))
    });
}

pub(crate) fn reported(envelope: &Envelope, kind: &str, report: QueueId) {
    record(|| {
        Event::Reported(Reported {
            queue_id: envelope.entry.queue_id.to_string(),
            entry: envelope.entry.to_string(),
            sender: envelope.reverse_path.to_string(),
            kind: kind.to_owned(),
            report: report.to_string(),
        })
    });
}

/// An operator has returned it: nothing was tried for that.
pub(crate) fn returned(envelope: &Envelope, recipient: &Recipient, failure: &Failure, report: &str) {
    record(|| {
        Event::Bounced(Box::new(Failed {
            attempt: envelope.attempt,
            phase: None,
            remote: None,
            local_error: None,
            errno: None,
            bytes: None,
            after_seconds: None,
            report: Some(report.to_owned()),
            by: Some("operator".to_owned()),
            ..failed(envelope, recipient, failure)
        }))
    });
}

pub(crate) fn resent(letter: &Envelope, new: &Envelope) {
    record(|| {
        Event::Resent(Resent {
            queue_id: new.entry.queue_id.to_string(),
            entry: new.entry.to_string(),
            dead_letter: letter.entry.to_string(),
            sender: new.reverse_path.to_string(),
            recipients: addresses(&new.recipients),
            destination: new.destination.to_string(),
        })
    });
}

/// What an operator did with a dead letter.
pub(crate) fn operator_on_letter(verb: &str, id: &str, who: &str, done: usize) {
    record(|| {
        Event::Operator(Operator {
            verb: verb.to_owned(),
            what: format!("dead letter {id}"),
            who: who.to_owned(),
            done: u64::try_from(done).unwrap_or(u64::MAX),
            ..Operator::default()
        })
    });
}

pub(crate) fn parked(envelope: &Envelope, at: SystemTime) {
    record(|| Event::Parked(waiting(envelope, Some(at), None)));
}

/// Its recipients get no mail before that time (SEED-118).
pub(crate) fn waits(envelope: &Envelope, until: SystemTime) {
    record(|| Event::Waits(waiting(envelope, Some(until), Some("hours of the recipients"))));
}

pub(crate) fn held(envelope: &Envelope, hold: &Hold) {
    record(|| Event::Held(waiting(envelope, hold.until, Some(&hold.reason))));
}

fn waiting(envelope: &Envelope, until: Option<SystemTime>, reason: Option<&str>) -> Waiting {
    Waiting {
        queue_id: envelope.entry.queue_id.to_string(),
        entry: envelope.entry.to_string(),
        destination: envelope.destination.to_string(),
        until: until.map(rfc3339),
        reason: reason.map(str::to_owned),
    }
}

pub(crate) fn rerouted(envelope: &Envelope, recipients: &[Recipient], to: &Destination) {
    record(|| {
        Event::Rerouted(Moved {
            queue_id: envelope.entry.queue_id.to_string(),
            entry: envelope.entry.to_string(),
            from: envelope.destination.to_string(),
            to: to.to_string(),
            recipients: addresses(recipients),
        })
    });
}

fn addresses(recipients: &[Recipient]) -> Vec<String> {
    recipients.iter().map(|recipient| recipient.address.to_string()).collect()
}
