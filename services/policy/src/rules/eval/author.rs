//! Which addresses an account may act as: its own, and those whose aliases lead to it (SEED-115).

use hikyaku_types::address::Mailbox;

use super::Rules;
use crate::rules::{
    decision::{DecidedBy, Decision, Reach, Verdict, replies},
    table::{address::is_same, settings::SenderTrust},
};

impl Rules {
    /// Level 3 of SEED-115: the From field of a message. One that names nobody is nobody's.
    pub fn check_author(&self, identity: &Mailbox, authors: &[Mailbox]) -> Decision {
        let is_bound = self.settings.table.sender_trust == SenderTrust::Author;
        let is_allowed =
            !authors.is_empty() && authors.iter().all(|author| self.may_act_as(identity, author));
        let verdict = if is_allowed || !is_bound {
            Verdict::Accept
        } else {
            Verdict::Refuse(replies::not_your_author())
        };
        Decision { verdict, decided_by: DecidedBy::SenderTrust, reach: Reach::ADDRESS }
    }

    pub(super) fn may_act_as(&self, identity: &Mailbox, address: &Mailbox) -> bool {
        if is_same(identity, address) {
            return true;
        }
        // Only an entry for this very address: `*@domain` to one account would make it everybody.
        self.aliases.table.has_exact(address)
            && self
                .resolve_aliases(address.clone())
                .is_ok_and(|resolved| is_same(&resolved.address, identity))
    }
}
