//! What the sender is told after an attempt: who hears of what. Pure.

use std::time::{SystemTime, UNIX_EPOCH};

use hikyaku_mail::dsn::{Fate, Kind, Reported, WHOLE_ORIGINAL_LIMIT};
use hikyaku_types::{
    address::{Mailbox, ReversePath},
    envelope::{BodyKind, Envelope},
    ids::QueueId,
    reporting::Return,
};

use crate::outcome::plan::{Bounced, Deferred, Delivered, Plan};

/// One report; each kind has its own.
#[derive(Debug)]
pub(crate) struct DueReport<'a> {
    pub(crate) kind: Kind,
    pub(crate) to: &'a Mailbox,
    pub(crate) recipients: Vec<Reported<'a>>,
}

/// Nothing for the null reverse-path (SEED-191), and nothing that NOTIFY leaves out.
pub(crate) fn due<'a>(envelope: &'a Envelope, plan: &'a Plan, now: SystemTime) -> Vec<DueReport<'a>> {
    let ReversePath::Mailbox(to) = &envelope.reverse_path else { return Vec::new() };
    let failed =
        plan.bounced.iter().filter(|bounced| bounced.recipient.reporting.wants().failure).map(failed);
    let late = if plan.is_late { plan.again.as_slice() } else { &[] };
    let delayed = late.iter().filter(|deferred| deferred.recipient.reporting.wants().delay).map(delayed);
    // RFC 3461 5.2.2: a host that does not report will never say that it delivered.
    let unseen =
        |delivered: &&Delivered| !delivered.hop_reports && delivered.recipient.reporting.wants().success;
    let relayed = plan.delivered.iter().filter(unseen).map(|delivered| Reported {
        recipient: &delivered.recipient,
        fate: Fate::Relayed { reply: &delivered.reply, at: now },
    });
    [(Kind::Failed, failed.collect()), (Kind::Delayed, delayed.collect()), (Kind::Relayed, relayed.collect())]
        .into_iter()
        .filter(|(_, recipients): &(Kind, Vec<Reported<'_>>)| !recipients.is_empty())
        .map(|(kind, recipients)| DueReport { kind, to, recipients })
        .collect()
}

fn failed(bounced: &Bounced) -> Reported<'_> {
    let Bounced { recipient, failure, last_attempt, expired } = bounced;
    Reported { recipient, fate: Fate::Failed { failure, last_attempt: *last_attempt, expired: *expired } }
}

fn delayed(deferred: &Deferred) -> Reported<'_> {
    let Deferred { recipient, failure } = deferred;
    let fate = Fate::Delayed {
        failure: recipient.last_failure.as_ref().unwrap_or(failure),
        last_attempt: failure.at,
        until: recipient.granted_until,
    };
    Reported { recipient, fate }
}

impl DueReport<'_> {
    /// The same for each repeat of the same attempt, so that a crash between the report and the
    /// acknowledgement of the original does not report twice.
    pub(crate) fn id(&self, about: &Envelope) -> QueueId {
        let millis = about.accepted_at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let mut text = format!("{}/{}", about.entry, about.attempt);
        text += match self.kind {
            Kind::Failed => "",
            Kind::Delayed => "/delayed",
            Kind::Relayed => "/relayed",
        };
        for reported in &self.recipients {
            text += "/";
            text += &reported.recipient.address.to_string();
        }
        // FNV-1a, 128 bit.
        let hash = text.bytes().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128, |hash, byte| {
            (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
        });
        QueueId::new(u64::try_from(millis).unwrap_or(u64::MAX), hash)
    }

    /// RFC 3461 4.3: RET is about failures, other reports bring back the header. A large original
    /// is returned as its header whatever was asked for (SEED-193), and so is a binary one: a report
    /// travels by DATA, which its body cannot.
    pub(crate) fn returns_whole(&self, about: &Envelope) -> bool {
        let is_asked_for = about.transfer.ret != Some(Return::Headers);
        let fits = about.body.size() <= WHOLE_ORIGINAL_LIMIT && about.transfer.body != BodyKind::BinaryMime;
        self.kind == Kind::Failed && is_asked_for && fits
    }
}

#[cfg(test)]
mod tests;
