//! Reports to the sender, into the queue like any mail. Never a report about a report: what has
//! no sender is kept as a dead letter (SEED-191).

use std::time::SystemTime;

use bytes::Bytes;
use hikyaku_mail::dsn::{Kind, Original, Report};
use hikyaku_queue::{body_store::BodyError, publish::PublishError};
use hikyaku_types::{
    address::{MailHost, Mailbox, ReversePath},
    body::Body,
    destination::Destination,
    envelope::{BodyKind, Envelope, Lane, Recipient, Transfer},
    ids::QueueId,
    reporting::{Notify, Reporting},
};

use crate::{
    context::Context,
    metrics::DEAD_LETTERS,
    outcome::{
        plan::{self, Bounced, Plan},
        reports::{self, DueReport},
    },
    spans,
};

/// Enough for every header that is returned alone.
const HEADER_LIMIT: usize = 128 * 1024;

/// What was written about an attempt.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub(crate) reports: Vec<(Kind, QueueId)>,
    pub(crate) is_dead_letter: bool,
}

/// Writes the reports that are due, or the dead letter.
pub(crate) async fn write(
    context: &Context,
    envelope: &Envelope,
    plan: &Plan,
    now: SystemTime,
) -> Result<Written, PublishError> {
    let mut written = Written::default();
    write_rest(context, envelope, plan, &mut written, now).await?;
    Ok(written)
}

/// The same without what earlier tries have `written`.
pub(crate) async fn write_rest(
    context: &Context,
    envelope: &Envelope,
    plan: &Plan,
    written: &mut Written,
    now: SystemTime,
) -> Result<(), PublishError> {
    if plan.is_dead_letter(envelope) && !written.is_dead_letter {
        context.publisher.bury(&dead_letter(envelope, plan)).await?;
        metrics::counter!(DEAD_LETTERS).increment(1);
        written.is_dead_letter = true;
    }
    for report in reports::due(envelope, plan, now) {
        let name = (report.kind, report.id(envelope));
        if !written.reports.contains(&name) {
            let span = spans::report(name.0, name.1);
            let stored = span.around(store(context, envelope, &report, name.1, now)).await;
            stored.inspect_err(|_| span.fail("queue"))?;
            written.reports.push(name);
        }
    }
    Ok(())
}

fn dead_letter(envelope: &Envelope, plan: &Plan) -> Envelope {
    let recipients = plan.bounced.iter().map(|bounced| Recipient {
        last_failure: Some(plan::kept(bounced.failure.clone(), envelope.recipients.len())),
        ..bounced.recipient.clone()
    });
    Envelope { recipients: recipients.collect(), ..envelope.clone() }
}

async fn store(
    context: &Context,
    about: &Envelope,
    report: &DueReport<'_>,
    id: QueueId,
    now: SystemTime,
) -> Result<(), PublishError> {
    let content = content(context, about, report, id, now).await?;
    // RFC 3461 6.1: nobody is told what became of a report.
    let reporting = Reporting { notify: Some(Notify::NEVER), original_recipient: None };
    let entry = Envelope {
        entry: id.entry(0),
        destination: destination(context, report.to).await,
        reverse_path: ReversePath::Null,
        recipients: vec![Recipient { reporting, ..Recipient::new(report.to.clone(), None) }],
        body: Body::Inline(content),
        transfer: Transfer {
            body: BodyKind::EightBitMime,
            smtputf8: report.to.needs_smtputf8(),
            // RFC 8689 5: a report tells as much as the message.
            require_tls: about.transfer.require_tls,
            ..Transfer::PLAIN
        },
        accepted_at: now,
        attempt: 0,
        first_attempt_at: None,
        client: None,
        delay_reported: false,
        lane: Lane::Fresh,
    };
    context.publisher.store(vec![entry]).await
}

async fn content(
    context: &Context,
    about: &Envelope,
    report: &DueReport<'_>,
    id: QueueId,
    now: SystemTime,
) -> Result<Bytes, PublishError> {
    let whole = report.returns_whole(about);
    let limit = if whole { usize::MAX } else { HEADER_LIMIT };
    let original = match context.bodies.load_start(&about.body, limit).await {
        // Better a report without the original than none.
        Err(error @ BodyError::Gone { .. }) => {
            tracing::error!(entry = %about.entry, %error, "content of a reported message is gone");
            Bytes::new()
        }
        loaded => loaded?,
    };
    let report = Report {
        id,
        kind: report.kind,
        reporting_mta: &context.config.hostname,
        to: report.to,
        about,
        now,
        recipients: &report.recipients,
        original: if whole { Original::Whole(&original) } else { Original::Header(&original) },
    };
    Ok(report.to_bytes().into())
}

/// Where the report goes. Without an answer from the policy it goes by MX; the route is looked
/// at again before the first attempt.
pub(crate) async fn destination(context: &Context, sender: &Mailbox) -> Destination {
    match sender.host() {
        MailHost::Domain(domain) => {
            let route = context.policy.resolve_route(domain, &ReversePath::Null).await;
            route.unwrap_or_else(|_| Destination::Mx(domain.clone()))
        }
        MailHost::Literal(address) => Destination::literal(*address),
    }
}

impl Written {
    /// Name of the report of a failure.
    pub(crate) fn of_failure(&self, bounced: &Bounced) -> String {
        let failed = self.reports.iter().find(|(kind, _)| *kind == Kind::Failed);
        match failed {
            _ if self.is_dead_letter => "dead-letter".to_owned(),
            Some((_, id)) if bounced.recipient.reporting.wants().failure => id.to_string(),
            Some(_) | None => "not-wanted".to_owned(),
        }
    }
}
