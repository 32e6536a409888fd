//! Copies of failures for the administrator, many in one message (SEED-192). Off, unless somebody is
//! named who wants them. They are a service and no record: what a worker that is killed has collected is
//! in the mail log only.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use hikyaku_mail::digest::{Digest, Failed};
use hikyaku_runtime::error_chain::chain;
use hikyaku_types::{
    address::{Mailbox, ReversePath},
    body::Body,
    envelope::{BodyKind, Envelope, Lane, Recipient, Transfer},
    ids::QueueId,
    reporting::{Notify, Reporting},
};

use crate::{
    context::Context,
    outcome::{bounce, plan::Bounced},
};

/// Failures in one message; the others are counted.
const MOST: usize = 200;
/// What is read of a message for its header.
const HEADER_LIMIT: usize = 8 * 1024;

/// What the next digest tells of.
#[derive(Debug, Default)]
pub(crate) struct Failures(Mutex<Collected>);

#[derive(Debug, Default)]
struct Collected {
    failed: Vec<Failed>,
    left_out: u64,
}

/// Notes what an attempt has given up, while its content is there. Failed reports are dead letters, which
/// have an alarm of their own; so a digest is never about a digest.
pub(crate) async fn collect(context: &Context, envelope: &Envelope, bounced: &[Bounced]) {
    if context.config.digest.is_none() || bounced.is_empty() || envelope.reverse_path == ReversePath::Null {
        return;
    }
    if context.failures.is_full() {
        context.failures.lock().left_out += bounced.len() as u64;
        return;
    }
    let original = header(context, envelope).await;
    let mut collected = context.failures.lock();
    collected.failed.extend(bounced.iter().map(|bounced| Failed {
        entry: envelope.entry,
        sender: envelope.reverse_path.clone(),
        recipient: bounced.recipient.address.clone(),
        failure: bounced.failure.clone(),
        original: original.clone(),
    }));
    let beyond = collected.failed.len().saturating_sub(MOST);
    collected.failed.truncate(MOST);
    collected.left_out += beyond as u64;
}

/// Of a message that must stay protected (RFC 8689) nothing is repeated: the digest may go in the clear.
async fn header(context: &Context, envelope: &Envelope) -> Vec<u8> {
    if envelope.transfer.require_tls {
        return Vec::new();
    }
    match context.bodies.load_start(&envelope.body, HEADER_LIMIT).await {
        Ok(start) => start.get(..HEADER_LIMIT).unwrap_or(&start).to_vec(),
        Err(error) => {
            tracing::warn!(entry = %envelope.entry, error = chain(&error), "a digest lacks a header");
            Vec::new()
        }
    }
}

/// For ever, if somebody wants it.
pub(crate) async fn send_now_and_then(context: Arc<Context>) {
    let Some(digest) = &context.config.digest else { return };
    loop {
        tokio::time::sleep(digest.every).await;
        send(&context).await;
    }
}

/// What was collected, as mail in the queue. What cannot be stored is kept for the next time.
pub(crate) async fn send(context: &Context) {
    let Some(digest) = &context.config.digest else { return };
    let Collected { failed, left_out } = mem::take(&mut *context.failures.lock());
    if failed.is_empty() && left_out == 0 {
        return;
    }
    let now = context.clock.now();
    let millis = now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_millis();
    let id = QueueId::new(u64::try_from(millis).unwrap_or(u64::MAX), rand::random());
    let (reporting_mta, to) = (&context.config.hostname, &digest.to);
    let content = Digest { id, reporting_mta, to, now, failed: &failed, left_out }.to_bytes();
    let entry = entry(context, id, to, content).await;
    match context.publisher.store(vec![entry]).await {
        Ok(()) => {
            tracing::info!(queue_id = %id, failed = failed.len(), left_out, "digest of failures was sent")
        }
        Err(error) => {
            tracing::warn!(error = chain(&error), "digest of failures was not stored; it is sent later");
            let mut collected = context.failures.lock();
            collected.left_out += left_out;
            collected.failed.splice(..0, failed);
        }
    }
}

async fn entry(context: &Context, id: QueueId, to: &Mailbox, content: Vec<u8>) -> Envelope {
    let reporting = Reporting { notify: Some(Notify::NEVER), original_recipient: None };
    Envelope {
        entry: id.entry(0),
        destination: bounce::destination(context, to).await,
        reverse_path: ReversePath::Null,
        recipients: vec![Recipient { reporting, ..Recipient::new(to.clone(), None) }],
        body: Body::Inline(content.into()),
        transfer: Transfer { body: BodyKind::EightBitMime, smtputf8: to.needs_smtputf8(), ..Transfer::PLAIN },
        accepted_at: context.clock.now(),
        attempt: 0,
        first_attempt_at: None,
        client: None,
        delay_reported: false,
        lane: Lane::Fresh,
    }
}

impl Failures {
    fn is_full(&self) -> bool {
        self.lock().failed.len() >= MOST
    }

    fn lock(&self) -> MutexGuard<'_, Collected> {
        // Nothing that holds the lock can panic half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
