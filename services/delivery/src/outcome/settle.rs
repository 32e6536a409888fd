//! Writes the end of an attempt. The order is what keeps mail: first the report, then the
//! retry, and last the acknowledgement of the original. A crash in between repeats, it never
//! loses; when a write fails the entry comes again.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use hikyaku_queue::{Lease, lease::RENEW_EVERY, publish::PublishError};
use hikyaku_runtime::error_chain::chain;
use hikyaku_types::{
    envelope::{Envelope, Recipient},
    outcome::{Failure, RecipientOutcome},
};

use crate::{
    context::Context,
    mail_log,
    metrics::{ATTEMPTS, LATENCY, PARKED},
    outcome::{
        bounce,
        plan::{Plan, most_telling, plan},
    },
};

/// Between two tries to write the end of an attempt; twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// Settles one attempt, and says whether the broker has recorded it. What a remote server said
/// is not asked again because of a fault of ours: the writing is repeated, under a renewed lease,
/// until it succeeds or the lease is lost. A session waits for it before its next message, so that
/// a crash finds at most one message of each session delivered and not recorded.
pub(crate) async fn attempted(context: &Context, lease: Lease, outcomes: Vec<RecipientOutcome>) -> bool {
    let now = SystemTime::now();
    let schedule = context.config.retry.schedule(&lease.envelope().destination);
    let plan = plan(lease.envelope(), outcomes, schedule, now, rand::random_range(-1.0..=1.0));
    let mut pause = FIRST_PAUSE;
    let report = loop {
        match write(context, &lease, &plan, now).await {
            Ok(report) => break report,
            Err(error) if lease.is_expired(Instant::now()) => {
                tracing::error!(entry = %lease.envelope().entry, error = chain(&error),
                    "the end of an attempt was not written; the attempt is repeated");
                return false;
            }
            Err(error) => {
                tracing::warn!(entry = %lease.envelope().entry, error = chain(&error),
                    "the end of an attempt was not written; writing it again");
            }
        }
        lease.renewal().renew().await;
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(RENEW_EVERY);
    };
    record(lease.envelope(), &plan, &report, now);
    let (body, has_end) = (lease.envelope().body.clone(), plan.again.is_empty());
    let recorded = lease.done().await;
    // What may come again keeps its content; a dead letter has content of its own.
    if recorded && has_end {
        context.bodies.free(&body).await;
    }
    recorded
}

/// No host of the destination could be reached: the attempt of every recipient ends so.
pub(crate) fn unreachable(context: &Arc<Context>, lease: Lease, failure: Failure) {
    let outcomes = vec![RecipientOutcome::Failed(failure); lease.envelope().recipients.len()];
    let task_context = Arc::clone(context);
    context.tasks.spawn(async move {
        attempted(&task_context, lease, outcomes).await;
    });
}

/// Sets an entry aside, unattempted.
pub(crate) fn park(context: &Arc<Context>, lease: Lease, after: Duration) {
    let task_context = Arc::clone(context);
    context.tasks.spawn(async move {
        let at = SystemTime::now() + after;
        metrics::counter!(PARKED).increment(1);
        mail_log::parked(lease.envelope(), at);
        let entry = lease.envelope().entry;
        if let Err(error) = task_context.rescheduler.park(lease, at).await {
            tracing::error!(%entry, error = chain(&error), "entry was not set aside; it comes again");
        }
    });
}

/// First the report, then the retry; each is recognised when it is repeated.
async fn write(
    context: &Context,
    lease: &Lease,
    plan: &Plan,
    now: SystemTime,
) -> Result<String, PublishError> {
    let envelope = lease.envelope();
    let report = match plan.bounced.as_slice() {
        [] => String::new(),
        bounced => bounce::report(context, envelope, bounced, now).await?,
    };
    if let Some(at) = plan.at {
        let recipients = plan.again.iter().map(remember).collect();
        let next = Envelope { recipients, attempt: envelope.attempt + 1, ..envelope.clone() };
        context.rescheduler.retry_at(lease, &next, at).await?;
    }
    Ok(report)
}

fn remember((recipient, failure): &(Recipient, Failure)) -> Recipient {
    Recipient { last_failure: Some(most_telling(recipient, failure.clone())), ..recipient.clone() }
}

fn record(envelope: &Envelope, plan: &Plan, report: &str, now: SystemTime) {
    let latency = now.duration_since(envelope.accepted_at).unwrap_or_default();
    for (recipient, reply) in &plan.delivered {
        metrics::counter!(ATTEMPTS, "outcome" => "delivered", "phase" => "content").increment(1);
        metrics::histogram!(LATENCY, "outcome" => "delivered").record(latency);
        mail_log::delivered(envelope, recipient, reply, now);
    }
    for bounced in &plan.bounced {
        let phase = bounced.failure.phase.name();
        metrics::counter!(ATTEMPTS, "outcome" => "bounced", "phase" => phase).increment(1);
        metrics::histogram!(LATENCY, "outcome" => "bounced").record(latency);
        mail_log::bounced(envelope, &bounced.recipient, &bounced.failure, bounced.expired, report);
    }
    for (recipient, failure) in &plan.again {
        metrics::counter!(ATTEMPTS, "outcome" => "deferred", "phase" => failure.phase.name()).increment(1);
        mail_log::deferred(envelope, recipient, failure, plan.at.unwrap_or(now));
    }
}
