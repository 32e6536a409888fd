//! MAIL FROM. Own-domain senders are protected, postmaster included (SEED-110).

use std::time::SystemTime;

use hikyaku_types::{
    address::{Mailbox, ReversePath},
    reply::Reply,
};

use super::{Asker, Rules, must_authenticate, recipient::Whom, sender_mailbox, standing::Grounds};
use crate::{
    document::DocumentName,
    rules::{
        decision::{DecidedBy, Decision, Reach, Scope, SenderDecision, Verdict, replies},
        table::{
            access::Standing,
            settings::{OwnSenders, SenderTrust},
        },
    },
};

impl Rules {
    pub fn check_sender(&self, asker: &Asker, reverse_path: &ReversePath, now: SystemTime) -> SenderDecision {
        let grounds = self.grounds(asker, Some(reverse_path));
        let trusted = grounds.standing == Standing::Trusted && asker.identity.is_none();
        let rate = grounds.rate;
        let verdict = self
            .sender_verdict(asker, reverse_path, grounds)
            .and_then(|decided_by| self.in_hours(asker, reverse_path, now).map(|()| decided_by));
        let (verdict, decided_by) = match verdict {
            Ok(decided_by) => (Verdict::Accept, decided_by),
            Err((reply, decided_by)) => (Verdict::Refuse(reply), decided_by),
        };
        let has_domain = sender_mailbox(reverse_path).is_some_and(|mailbox| mailbox.domain().is_some());
        // A line of the access table, an account's hours and the binding to an account are about an address.
        let by_address = self.access.table.looks_at_senders() || self.accounts.table.have_sending_hours();
        let by_domain = has_domain && asker.identity.is_none() && !by_address;
        let scope = if by_domain { Scope::Domain } else { Scope::Address };
        SenderDecision {
            decision: Decision { verdict, decided_by, reach: Reach { scope, sender_bound: false } },
            trusted,
            rate,
            check_author: asker.identity.is_some() && self.settings.table.sender_trust == SenderTrust::Author,
        }
    }

    fn sender_verdict(
        &self,
        asker: &Asker,
        reverse_path: &ReversePath,
        grounds: Grounds,
    ) -> Result<DecidedBy, (Reply, DecidedBy)> {
        let sender = sender_mailbox(reverse_path);
        let is_own = sender.is_some_and(|mailbox| self.is_own(mailbox));
        let Grounds { standing, decided_by, rate: _ } = grounds;
        let identity = self.identity(asker);
        if must_authenticate(asker, identity) {
            return Err((replies::authentication_required(), DecidedBy::Submission));
        }
        match (standing, identity) {
            (Standing::Refused, _) => Err((replies::sender_refused(), decided_by)),
            (Standing::Trusted, _) => Ok(decided_by),
            // Their own senders come from inside, not from who may not relay (SEED-076, SEED-082).
            (Standing::NoRelay, _) if is_own => Err((replies::sender_refused(), decided_by)),
            (Standing::NoRelay, _) => Ok(decided_by),
            (Standing::Default | Standing::NoRelayWithoutAuth, Some(identity)) => {
                self.bound_sender(identity, sender).map(|()| decided_by)
            }
            (Standing::NoRelayWithoutAuth, None) => Ok(decided_by),
            (Standing::Default, None) if is_own => match self.settings.table.own_senders {
                OwnSenders::Protect => Err((replies::authentication_required(), DecidedBy::OwnSender)),
                OwnSenders::Accept => Ok(decided_by),
            },
            (Standing::Default, None) => Ok(decided_by),
        }
    }

    /// SEED-118: whose rules hold, holds to the hours of that account.
    fn in_hours(
        &self,
        asker: &Asker,
        reverse_path: &ReversePath,
        now: SystemTime,
    ) -> Result<(), (Reply, DecidedBy)> {
        let whom = match self.restricted_sender(asker) {
            Some(Whom::Identity(identity)) => Some(identity),
            Some(Whom::ReversePath) => sender_mailbox(reverse_path),
            None => None,
        };
        let account = whom.and_then(|whom| self.accounts.table.of(whom));
        let closed = account.filter(|account| {
            let hours = account.sending.map(|hours| self.accounts.table.hours(hours));
            hours.is_some_and(|hours| hours.opens_at(now).is_some())
        });
        match closed {
            Some(account) => {
                Err((replies::outside_hours(), DecidedBy::Line(DocumentName::Accounts, account.line)))
            }
            None => Ok(()),
        }
    }

    /// SEED-115. The null sender is everybody's: read receipts have it (RFC 8098 3).
    fn bound_sender(&self, identity: &Mailbox, sender: Option<&Mailbox>) -> Result<(), (Reply, DecidedBy)> {
        let Some(sender) = sender else { return Ok(()) };
        match self.settings.table.sender_trust {
            SenderTrust::Identity => Ok(()),
            SenderTrust::Sender | SenderTrust::Author if self.may_act_as(identity, sender) => Ok(()),
            SenderTrust::Sender | SenderTrust::Author => {
                Err((replies::not_your_sender(), DecidedBy::SenderTrust))
            }
        }
    }
}
