//! Entries back to their senders, because an operator says so.

use std::{sync::Arc, time::SystemTime};

use hikyaku_queue::{
    browse::{Content, Taken},
    publish::PublishError,
};
use hikyaku_types::{
    envelope::Recipient,
    outcome::{Cause, Failure, FailureClass, LocalError, LocalErrorKind, Phase},
    reply::EnhancedCode,
};

use super::status::CallError;
use crate::{
    context::Context,
    mail_log,
    outcome::{
        self,
        plan::{Bounced, Plan},
    },
};

/// It stands in a line of a report beside the last failure.
const LONGEST: usize = 300;
/// RFC 3463 3.8: delivery not authorized, message refused.
const STATUS: EnhancedCode = EnhancedCode(5, 7, 1);

/// The operator's words, fit for a report.
pub(super) fn reason(text: &str) -> Result<String, CallError> {
    let text = text.trim();
    let is_fit = !text.is_empty() && text.chars().count() <= LONGEST && !text.chars().any(char::is_control);
    let wrong = || CallError::Argument(format!("the reason must be 1 to {LONGEST} printable characters"));
    if is_fit { Ok(text.to_owned()) } else { Err(wrong()) }
}

/// Writes the report, or the dead letter; the entry is removed after that.
pub(super) async fn bounce(
    context: Arc<Context>,
    taken: Taken,
    reason: Arc<str>,
) -> Result<Content, PublishError> {
    let (envelope, now) = (taken.envelope(), SystemTime::now());
    let bounced: Vec<Bounced> = envelope
        .recipients
        .iter()
        .map(|recipient| Bounced {
            recipient: recipient.clone(),
            failure: failure(recipient, &reason, now),
            last_attempt: recipient.last_failure.as_ref().map_or(now, |failure| failure.at),
            expired: false,
        })
        .collect();
    let plan = Plan { bounced, ..Plan::default() };
    let written = outcome::bounce::write(&context, envelope, &plan, now).await?;
    context.nats.custody().record(&plan.ends(envelope, now)).await;
    for bounced in &plan.bounced {
        mail_log::returned(envelope, &bounced.recipient, &bounced.failure, &written.of_failure(bounced));
    }
    Ok(Content::Ends)
}

/// What a remote server said last is told too (SEED-196).
fn failure(recipient: &Recipient, reason: &str, now: SystemTime) -> Failure {
    let before = recipient.last_failure.as_ref();
    let last = before.map(|failure| format!("; last failure: {}", failure.cause)).unwrap_or_default();
    Failure {
        at: now,
        // Nothing was begun.
        phase: Phase::Dns,
        class: FailureClass::Policy,
        cause: Cause::Local(LocalError::new(
            LocalErrorKind::Internal,
            format!("returned by the administrator: {reason}{last}"),
        )),
        status: STATUS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons() {
        assert_eq!(reason(" closed for ever ").unwrap(), "closed for ever");
        for text in ["", "  ", "a\r\nSubject: b", &"x".repeat(301)] {
            assert!(reason(text).is_err(), "{text:?}");
        }
    }
}
