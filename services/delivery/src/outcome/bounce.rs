//! A report about failed recipients, into the queue like any mail. Never a report about a
//! report: what has no sender is kept as a dead letter (SEED-191).

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hikyaku_mail::dsn::{FailedRecipient, Original, Report, WHOLE_ORIGINAL_LIMIT};
use hikyaku_queue::{body_store::BodyError, publish::PublishError};
use hikyaku_types::{
    address::{MailHost, Mailbox, ReversePath},
    body::Body,
    destination::{Destination, HostName, SMTP_PORT},
    envelope::{Envelope, Lane, Recipient, Transfer},
    ids::QueueId,
};

use crate::{context::Context, metrics::DEAD_LETTERS, outcome::plan::Bounced};

/// Name of the "report" about a message that has no sender.
const DEAD_LETTER: &str = "dead-letter";

/// Enough for every header that is returned alone.
const HEADER_LIMIT: usize = 128 * 1024;

/// Writes the report, or the dead letter, and returns its name for the mail log.
pub(crate) async fn report(
    context: &Context,
    envelope: &Envelope,
    bounced: &[Bounced],
    now: SystemTime,
) -> Result<String, PublishError> {
    let sender = match &envelope.reverse_path {
        ReversePath::Null => {
            metrics::counter!(DEAD_LETTERS).increment(1);
            let recipients = bounced.iter().map(failed_recipient).collect();
            context.publisher.bury(&Envelope { recipients, ..envelope.clone() }).await?;
            return Ok(DEAD_LETTER.to_owned());
        }
        ReversePath::Mailbox(sender) => sender,
    };
    let id = report_id(envelope, bounced);
    let content = content(context, envelope, sender, bounced, id, now).await?;
    let report = Envelope {
        entry: id.entry(0),
        destination: destination(context, sender).await,
        reverse_path: ReversePath::Null,
        recipients: vec![Recipient { address: sender.clone(), original: None, last_failure: None }],
        body: Body::Inline(content),
        transfer: Transfer { eight_bit_mime: true, smtputf8: sender.needs_smtputf8() },
        accepted_at: now,
        attempt: 0,
        client: None,
        lane: Lane::Fresh,
    };
    context.publisher.store(vec![report]).await?;
    Ok(id.to_string())
}

fn failed_recipient(bounced: &Bounced) -> Recipient {
    Recipient { last_failure: Some(bounced.failure.clone()), ..bounced.recipient.clone() }
}

/// The same for each repeat of the same attempt, so that a crash between the report and the
/// acknowledgement of the original does not report twice.
fn report_id(envelope: &Envelope, bounced: &[Bounced]) -> QueueId {
    let millis = envelope.accepted_at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let mut text = format!("{}/{}", envelope.entry, envelope.attempt);
    for bounced in bounced {
        text += "/";
        text += &bounced.recipient.address.to_string();
    }
    // FNV-1a, 128 bit.
    let hash = text.bytes().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128, |hash, byte| {
        (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
    });
    QueueId::new(u64::try_from(millis).unwrap_or(u64::MAX), hash)
}

async fn content(
    context: &Context,
    envelope: &Envelope,
    sender: &Mailbox,
    bounced: &[Bounced],
    id: QueueId,
    now: SystemTime,
) -> Result<Bytes, PublishError> {
    let whole = envelope.body.size() <= WHOLE_ORIGINAL_LIMIT;
    let limit = if whole { usize::MAX } else { HEADER_LIMIT };
    let original = match context.bodies.load_start(&envelope.body, limit).await {
        // Better a report without the original than none.
        Err(error @ BodyError::Gone { .. }) => {
            tracing::error!(entry = %envelope.entry, %error, "content of a failed message is gone");
            Bytes::new()
        }
        loaded => loaded?,
    };
    let recipients: Vec<FailedRecipient<'_>> = bounced
        .iter()
        .map(|bounced| FailedRecipient {
            address: &bounced.recipient.address,
            original: bounced.recipient.original.as_deref(),
            failure: &bounced.failure,
            expired: bounced.expired,
        })
        .collect();
    let report = Report {
        id,
        reporting_mta: &context.config.hostname,
        to: sender,
        about: envelope.entry,
        accepted_at: envelope.accepted_at,
        now,
        recipients: &recipients,
        original: if whole { Original::Whole(&original) } else { Original::Header(&original) },
    };
    Ok(report.to_bytes().into())
}

/// Where the report goes. Without an answer from the policy it goes by MX; the route is looked
/// at again before the first attempt.
async fn destination(context: &Context, sender: &Mailbox) -> Destination {
    match sender.host() {
        MailHost::Domain(domain) => {
            context.policy.resolve_route(domain).await.unwrap_or_else(|_| Destination::Mx(domain.clone()))
        }
        MailHost::Literal(address) => {
            Destination::Host { host: HostName::Address(*address), port: SMTP_PORT }
        }
    }
}
