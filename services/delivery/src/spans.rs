//! Spans of attempts and of the sessions that they are made in.

use hikyaku_mail::dsn::Kind;
use hikyaku_queue::Lease;
use hikyaku_spans::{
    Origin, Span,
    declared::{ATTEMPT, REPORT, SESSION, TRANSFER},
    is_enabled,
};
use hikyaku_types::{
    destination::Destination,
    ids::QueueId,
    outcome::{Cause, Failure, RecipientOutcome},
};

use crate::{connection::host::Host, outcome::plan::Plan};

pub(crate) fn session(destination: &Destination) -> Span {
    let span = Span::root(&SESSION, SESSION.name, []);
    span.show("mail.destination", destination);
    span
}

/// Days may lie between an acceptance and an attempt, and a message may have many: so each is a trace of its own,
/// and is linked.
pub(crate) fn attempt(lease: &Lease, session: &Span) -> Span {
    if !is_enabled() {
        return Span::none();
    }
    let links =
        [lease.origin().span().clone()].into_iter().chain(Some(session.origin()).filter(Origin::is_sampled));
    let span = Span::root(&ATTEMPT, ATTEMPT.name, links);
    if !span.is_recorded() {
        return span;
    }
    let envelope = lease.envelope();
    span.set("messaging.system", "nats");
    span.set("messaging.operation.name", "process");
    span.set("messaging.operation.type", "process");
    span.set("messaging.destination.template", "queue");
    span.show("messaging.destination.name", &lease.stream());
    span.show("messaging.message.id", &envelope.entry);
    span.show("mail.queue_id", &envelope.entry.queue_id);
    span.set("mail.attempt", i64::from(envelope.attempt) + 1);
    span.set("mail.lane", lease.lane().name());
    span.show("mail.destination", &envelope.destination);
    span
}

/// What a remote host says is no error of the attempt; what else went wrong is.
pub(crate) fn planned(span: &Span, plan: &Plan) {
    if !span.is_recorded() {
        return;
    }
    let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    span.set("mail.recipients.delivered", count(plan.delivered.len()));
    span.set("mail.recipients.deferred", count(plan.again.len()));
    span.set("mail.recipients.bounced", count(plan.bounced.len()));
    let failures = plan.again.iter().map(|deferred| &deferred.failure);
    let failures: Vec<&Failure> =
        failures.chain(plan.bounced.iter().map(|bounced| &bounced.failure)).collect();
    let local = failures.iter().find(|failure| matches!(failure.cause, Cause::Local(_)));
    if let Some(failure) = local.or(failures.first()) {
        failed(span, failure);
    }
}

pub(crate) fn failed(span: &Span, failure: &Failure) {
    span.set("mail.failure.phase", failure.phase.name());
    match failure.cause {
        Cause::Remote(_) => {}
        Cause::Local(_) => span.fail(failure.cause.error_type()),
    }
}

pub(crate) fn local_error(outcome: &RecipientOutcome) -> Option<&'static str> {
    match outcome {
        RecipientOutcome::Failed(failure) if matches!(failure.cause, Cause::Local(_)) => {
            Some(failure.cause.error_type())
        }
        RecipientOutcome::Failed(_) | RecipientOutcome::Delivered { .. } => None,
    }
}

pub(crate) fn peer(span: &Span, host: &Host) {
    span.show("server.address", &host.name);
    span.set("server.port", i64::from(host.address.port()));
    span.show("network.peer.address", &host.address.ip());
}

pub(crate) fn transfer(host: &Host, recipients: usize) -> Span {
    let span = Span::child(&TRANSFER, TRANSFER.name);
    peer(&span, host);
    span.set("smtp.recipients", i64::try_from(recipients).unwrap_or(i64::MAX));
    span
}

pub(crate) fn report(kind: Kind, id: QueueId) -> Span {
    let span = Span::child(&REPORT, REPORT.name);
    span.set("mail.report.kind", kind.name());
    span.show("mail.queue_id", &id);
    span
}
