//! The mail log: target `mail`, one line for each change of an entry's state. It is the only
//! place where addresses appear.

use std::time::SystemTime;

use hikyaku_queue::holds::Hold;
use hikyaku_types::{
    destination::Destination,
    envelope::{Envelope, Recipient},
    ids::QueueId,
    outcome::{Cause, Failure, LocalError, RemoteReply},
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
    let egress = egress.map(|egress| egress.address.to_string());
    let (policy, tls) = (channel.policy.name(), channel.secured);
    tracing::info!(target: "mail", event = "attempt", queue_id = %envelope.entry.queue_id,
        entry = %envelope.entry, destination = %envelope.destination, host, %address,
        attempt = envelope.attempt + 1, egress, tls_policy = policy, tls = tls.map_or("none", |tls| tls.version),
        tls_cipher = tls.map(|tls| tls.cipher), tls_verified = tls.is_some_and(|tls| tls.is_verified));
}

pub(crate) fn delivered(
    envelope: &Envelope,
    recipient: &Recipient,
    reply: &RemoteReply,
    channel: Option<&Channel>,
    now: SystemTime,
) {
    let (policy, tls) = (channel.map(|channel| channel.policy.name()), channel.and_then(|it| it.secured));
    tracing::info!(target: "mail", event = "delivered", queue_id = %envelope.entry.queue_id,
        entry = %envelope.entry, sender = %envelope.reverse_path, recipient = %recipient.address,
        destination = %envelope.destination, attempt = envelope.attempt + 1, delay_seconds = age(envelope, now),
        remote = %reply, tls_policy = policy, tls = tls.map_or("none", |tls| tls.version),
        tls_cipher = tls.map(|tls| tls.cipher), tls_verified = tls.is_some_and(|tls| tls.is_verified));
}

/// SEED-210: what a server said and what happened on our side are never in the same field.
struct Told<'a> {
    remote: Option<&'a RemoteReply>,
    local: Option<&'a LocalError>,
}

impl<'a> Told<'a> {
    fn by(failure: &'a Failure) -> Self {
        match &failure.cause {
            Cause::Remote(reply) => Self { remote: Some(reply), local: None },
            Cause::Local(error) => Self { remote: None, local: Some(error) },
        }
    }

    fn reply(&self) -> Option<String> {
        self.remote.map(ToString::to_string)
    }

    fn error(&self) -> Option<&'static str> {
        self.local.map(|error| error.kind.name())
    }

    fn errno(&self) -> Option<i32> {
        self.local.and_then(|error| error.kind.errno())
    }

    fn bytes(&self) -> Option<u64> {
        self.local.map(|error| error.bytes)
    }

    fn after(&self) -> Option<f64> {
        self.local.map(|error| error.elapsed.as_secs_f64())
    }
}

pub(crate) fn deferred(envelope: &Envelope, recipient: &Recipient, failure: &Failure, at: SystemTime) {
    let told = Told::by(failure);
    tracing::info!(target: "mail", event = "deferred", queue_id = %envelope.entry.queue_id,
        entry = %envelope.entry, sender = %envelope.reverse_path, recipient = %recipient.address,
        destination = %envelope.destination, attempt = envelope.attempt + 1, class = failure.class.name(),
        phase = failure.phase.name(), status = %failure.status, cause = %failure.cause, remote = told.reply(),
        local_error = told.error(), errno = told.errno(), bytes = told.bytes(), after_seconds = told.after(),
        next_attempt = hikyaku_mail::date::rfc5322(at));
}

pub(crate) fn bounced(
    envelope: &Envelope,
    recipient: &Recipient,
    failure: &Failure,
    expired: bool,
    report: &str,
) {
    let told = Told::by(failure);
    tracing::info!(target: "mail", event = "bounced", queue_id = %envelope.entry.queue_id,
        entry = %envelope.entry, sender = %envelope.reverse_path, recipient = %recipient.address,
        destination = %envelope.destination, attempt = envelope.attempt + 1, class = failure.class.name(),
        phase = failure.phase.name(), status = %failure.status, cause = %failure.cause, remote = told.reply(),
        local_error = told.error(), errno = told.errno(), bytes = told.bytes(), after_seconds = told.after(),
        expired, report);
}

pub(crate) fn reported(envelope: &Envelope, kind: &str, report: QueueId) {
    tracing::info!(target: "mail", event = "reported", queue_id = %envelope.entry.queue_id,
        entry = %envelope.entry, sender = %envelope.reverse_path, kind, %report);
}

/// An operator has returned it.
pub(crate) fn returned(envelope: &Envelope, recipient: &Recipient, failure: &Failure, report: &str) {
    tracing::info!(target: "mail", event = "bounced", queue_id = %envelope.entry.queue_id,
        entry = %envelope.entry, sender = %envelope.reverse_path, recipient = %recipient.address,
        destination = %envelope.destination, attempt = envelope.attempt, class = failure.class.name(),
        status = %failure.status, cause = %failure.cause, by = "operator", report);
}

pub(crate) fn resent(letter: &Envelope, new: &Envelope) {
    let addresses: Vec<String> =
        new.recipients.iter().map(|recipient| recipient.address.to_string()).collect();
    tracing::info!(target: "mail", event = "resent", queue_id = %new.entry.queue_id, entry = %new.entry,
        dead_letter = %letter.entry, sender = %new.reverse_path, destination = %new.destination,
        recipients = addresses.join(","));
}

/// What an operator did with a dead letter.
pub(crate) fn operator_on_letter(verb: &str, id: &str, who: &str, done: usize) {
    tracing::info!(target: "mail", event = "operator", verb, dead_letter = id, who, done);
}

pub(crate) fn parked(envelope: &Envelope, at: SystemTime) {
    tracing::info!(target: "mail", event = "parked", queue_id = %envelope.entry.queue_id,
        entry = %envelope.entry, destination = %envelope.destination,
        until = hikyaku_mail::date::rfc5322(at));
}

/// Its recipients get no mail before that time (SEED-118).
pub(crate) fn waits(envelope: &Envelope, until: SystemTime) {
    tracing::info!(target: "mail", event = "waits", queue_id = %envelope.entry.queue_id,
        entry = %envelope.entry, destination = %envelope.destination, reason = "hours of the recipients",
        until = hikyaku_mail::date::rfc5322(until));
}

pub(crate) fn held(envelope: &Envelope, hold: &Hold) {
    tracing::info!(target: "mail", event = "held", queue_id = %envelope.entry.queue_id,
        entry = %envelope.entry, destination = %envelope.destination,
        until = hold.until.map(hikyaku_mail::date::rfc5322), reason = hold.reason);
}

pub(crate) fn rerouted(envelope: &Envelope, recipients: &[Recipient], to: &Destination) {
    let addresses: Vec<String> = recipients.iter().map(|recipient| recipient.address.to_string()).collect();
    tracing::info!(target: "mail", event = "rerouted", queue_id = %envelope.entry.queue_id,
        entry = %envelope.entry, from = %envelope.destination, to = %to, recipients = addresses.join(","));
}

fn age(envelope: &Envelope, now: SystemTime) -> f64 {
    now.duration_since(envelope.accepted_at).unwrap_or_default().as_secs_f64()
}
