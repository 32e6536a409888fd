//! Writes the end of an attempt. The order is what keeps mail: first the report, then the ends,
//! then the retry, and last the acknowledgement of the original. A crash in between repeats, it never
//! loses; when a write fails the entry comes again.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use futures::StreamExt as _;
use hikyaku_queue::{Lease, custody::Event, lease::RENEW_EVERY, publish::PublishError, reschedule::Aside};
use hikyaku_runtime::error_chain::chain;
use hikyaku_spans::Span;
use hikyaku_types::{
    destination::Destination,
    envelope::Envelope,
    outcome::{Failure, RecipientOutcome},
};

use crate::{
    connection::security::Channel,
    context::Context,
    mail_log,
    metrics::{ATTEMPTS, DEFERRALS, LATENCY, PARKED, REPORTS},
    outcome::{
        bounce::{self, Written},
        digest,
        plan::{Delivered, Plan, plan},
        timing::Terms,
    },
    spans,
};

/// Between two tries to write the end of an attempt; twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Writes of one destination that wait for their acknowledgement.
const RECALLED_AT_ONCE: usize = 32;

/// Settles one attempt, and says whether the broker has recorded it. What a remote server said
/// is not asked again because of a fault of ours: the writing is repeated, under a renewed lease,
/// until it succeeds or the lease is lost. A session waits for it before its next message, so that
/// a crash finds at most one message of each session delivered and not recorded.
///
/// `channel` is the session that it was made over, if there was one.
pub(crate) async fn attempted(
    context: &Context,
    lease: Lease,
    outcomes: Vec<RecipientOutcome>,
    channel: Option<Channel>,
) -> bool {
    let now = context.clock.now();
    let _settling = lease.tenure().settles(lease.envelope().entry);
    let schedule = context.schedule(&lease.envelope().destination);
    let terms = Terms {
        schedule: &schedule,
        learned: context.greylists.learn(lease.envelope(), &outcomes, now, schedule.clock_rate),
        held_for: lease.origin().held_for(),
        delay_notice_after: context.config.delay_notice_after,
        now,
        jitter: rand::random_range(-1.0..=1.0),
    };
    let plan = plan(lease.envelope(), outcomes, &terms);
    spans::planned(&Span::current(), &plan);
    // The next owner makes this attempt; what was delivered is to be recorded all the same.
    if lease.tenure().is_over() && plan.delivered.is_empty() {
        lease.forget();
        return false;
    }
    let mut pause = FIRST_PAUSE;
    let mut steps = Steps { ends: Some(plan.ends(lease.envelope(), now)), written: Written::default() };
    loop {
        match renewed(&lease, write(context, &lease, &plan, &mut steps, now)).await {
            Ok(()) => break,
            // Another worker has gone on with the entry. What this one delivered was delivered.
            Err(PublishError::Superseded) => {
                tracing::warn!(entry = %lease.envelope().entry,
                    "the end of an attempt came too late; the entry is elsewhere");
                record(
                    lease.envelope(),
                    &Plan { again: Vec::new(), ..plan },
                    &steps.written,
                    channel.as_ref(),
                    now,
                );
                context.rescheduler.leave(lease).await;
                return false;
            }
            // To write it again cannot help; it comes again after a pause.
            Err(error @ PublishError::TooLarge { .. }) => {
                tracing::error!(entry = %lease.envelope().entry, error = chain(&error),
                    "the end of an attempt cannot be written; the attempt is repeated");
                lease.give_back().await;
                return false;
            }
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
    }
    record(lease.envelope(), &plan, &steps.written, channel.as_ref(), now);
    digest::collect(context, lease.envelope(), &plan.bounced).await;
    let (body, has_end) = (lease.envelope().body.clone(), plan.again.is_empty());
    let recorded = if has_end { context.rescheduler.end(lease).await } else { lease.done().await };
    // What may come again keeps its content; a dead letter has its own.
    if recorded && has_end {
        context.bodies.free(&body).await;
    }
    recorded
}

/// No host of the destination could be reached: the attempt of every recipient ends so.
pub(crate) fn unreachable(context: &Arc<Context>, lease: Lease, failure: Failure) {
    let outcomes = vec![RecipientOutcome::Failed(failure); lease.envelope().recipients.len()];
    let task_context = Arc::clone(context);
    let span = spans::attempt(&lease, &Span::none());
    lease.tenure().tasks().clone().spawn(async move {
        span.around(attempted(&task_context, lease, outcomes, None)).await;
    });
}

/// Sets an entry aside, unattempted. `known` hears which, when that is written.
pub(crate) fn park(
    context: &Arc<Context>,
    lease: Lease,
    after: Duration,
    known: impl FnOnce(Aside) + Send + 'static,
) {
    let task_context = Arc::clone(context);
    lease.tenure().tasks().clone().spawn(async move {
        let at = task_context.clock.now() + after;
        let _settling = lease.tenure().settles(lease.envelope().entry);
        metrics::counter!(PARKED).increment(1);
        mail_log::parked(lease.envelope(), at);
        let entry = lease.envelope().entry;
        match task_context.rescheduler.park(lease, at).await {
            Ok(aside) => known(aside),
            Err(PublishError::Superseded) => tracing::debug!(%entry, "entry is elsewhere already"),
            Err(error) => {
                tracing::error!(%entry, error = chain(&error), "entry was not set aside; it comes again");
            }
        }
    });
}

/// Brings back what was set aside; the lanes hand it out. Returns what could not be brought back.
pub(crate) async fn recall(context: &Context, destination: &Destination, aside: Vec<Aside>) -> Vec<Aside> {
    let recall = |aside| async move {
        let error = context.rescheduler.recall(destination, aside).await.err()?;
        tracing::warn!(%destination, error = chain(&error), "an entry comes back later");
        Some(aside)
    };
    futures::stream::iter(aside)
        .map(recall)
        .buffer_unordered(RECALLED_AT_ONCE)
        .filter_map(std::future::ready)
        .collect()
        .await
}

/// How far the writing of an end has come. Tries may go on for longer than the broker recognises
/// repeats, so what one of them has written the next one does not write again.
struct Steps {
    /// Taken out when they are written.
    ends: Option<Vec<Event>>,
    written: Written,
}

/// First the report, then the ends, then the retry. The ends stand before the retry, which no longer
/// knows of them: a crash in between repeats the attempt and makes a second end, never none.
async fn write(
    context: &Context,
    lease: &Lease,
    plan: &Plan,
    steps: &mut Steps,
    now: SystemTime,
) -> Result<(), PublishError> {
    let envelope = lease.envelope();
    bounce::write_rest(context, envelope, plan, &mut steps.written, now).await?;
    if let Some(ends) = steps.ends.take() {
        context.nats.custody().record(&ends).await;
    }
    if let Some(at) = plan.at {
        context.rescheduler.retry_at(lease, &plan.next(envelope, now), at).await?;
    }
    Ok(())
}

/// Renews the lease for as long as `work` takes: a stream that does not answer takes longer than a
/// lease lasts.
async fn renewed<T>(lease: &Lease, work: impl Future<Output = T>) -> T {
    let renewal = lease.renewal();
    let keeping = async {
        renewal.keep().await;
        std::future::pending().await // never: it has no end
    };
    tokio::select! {
        done = work => done,
        never = keeping => never,
    }
}

fn attempt_failed(outcome: &'static str, failure: &Failure) {
    let (phase, error) = (failure.phase.name(), failure.cause.error_type());
    metrics::counter!(ATTEMPTS, "outcome" => outcome, "phase" => phase, "error.type" => error).increment(1);
}

fn record(envelope: &Envelope, plan: &Plan, written: &Written, channel: Option<&Channel>, now: SystemTime) {
    let latency = now.duration_since(envelope.accepted_at).unwrap_or_default();
    let lane = envelope.lane.name();
    for Delivered { recipient, reply, .. } in &plan.delivered {
        metrics::counter!(ATTEMPTS, "outcome" => "delivered", "phase" => "content", "error.type" => "none")
            .increment(1);
        metrics::histogram!(LATENCY, "outcome" => "delivered", "lane" => lane).record(latency);
        mail_log::delivered(envelope, recipient, reply, channel, now);
    }
    for bounced in &plan.bounced {
        attempt_failed("bounced", &bounced.failure);
        metrics::histogram!(LATENCY, "outcome" => "bounced", "lane" => lane).record(latency);
        let report = written.of_failure(bounced);
        mail_log::bounced(envelope, &bounced.recipient, &bounced.failure, bounced.expired, &report);
    }
    for deferred in &plan.again {
        metrics::counter!(DEFERRALS, "class" => deferred.failure.class.name()).increment(1);
        attempt_failed("deferred", &deferred.failure);
        mail_log::deferred(envelope, &deferred.recipient, &deferred.failure, plan.at.unwrap_or(now));
    }
    for (kind, report) in &written.reports {
        metrics::counter!(REPORTS, "kind" => kind.name()).increment(1);
        mail_log::reported(envelope, kind.name(), *report);
    }
}
