//! Recipients by when their mail may be delivered (SEED-118).

use std::time::SystemTime;

use hikyaku_policy_client::hours::MailHours;
use hikyaku_types::envelope::{Envelope, Recipient};

/// `None`: now. A group for each time, in the order of their first recipients.
pub(super) fn by_opening(
    envelope: &Envelope,
    hours: &MailHours,
    now: SystemTime,
) -> Vec<(Option<SystemTime>, Vec<Recipient>)> {
    let mut groups: Vec<(Option<SystemTime>, Vec<Recipient>)> = Vec::new();
    for recipient in &envelope.recipients {
        let opens_at = hours.opens_at(&recipient.address, now);
        match groups.iter_mut().find(|(known, _)| *known == opens_at) {
            Some((_, group)) => group.push(recipient.clone()),
            None => groups.push((opens_at, vec![recipient.clone()])),
        }
    }
    groups
}
