//! From the address that was named to the one that it stands for.

use hikyaku_types::address::{MailHost, Mailbox};

use super::{POSTMASTER, Rules};
use crate::rules::parse::aliases::MAX_CHAIN;

/// The end of an alias chain.
pub(super) struct Resolved {
    pub(super) address: Mailbox,
    /// The first entry of an own domain that took part; with one the mail is ours to accept.
    pub(super) own_entry: Option<u32>,
    /// That entry was for the whole domain, and the address asks to be sent on (SEED-228).
    pub(super) is_hop: bool,
}

impl Rules {
    /// Where `<Postmaster>` goes (RFC 5321 4.5.1).
    pub(super) fn postmaster(&self) -> Option<Mailbox> {
        let domain = self.own_domains.table.first()?;
        Mailbox::new(POSTMASTER, MailHost::Domain(domain.clone())).ok()
    }

    /// Whether mail for this address has a place to go, as far as is known here.
    pub(in crate::rules) fn is_deliverable(&self, mailbox: &Mailbox) -> bool {
        let resolved = self.resolve_aliases(mailbox.clone());
        resolved.is_ok_and(|resolved| {
            let address = &resolved.address;
            let account = self.accounts.table.of(address).is_some_and(|account| account.may_receive);
            let is_asked = self.asked_elsewhere(address).is_some();
            resolved.own_entry.is_some()
                || !self.is_own(address)
                || account
                || is_asked
                || is_postmaster(address)
        })
    }

    pub(super) fn resolve_aliases(&self, mailbox: Mailbox) -> Result<Resolved, u32> {
        let mut resolved = Resolved { address: mailbox, own_entry: None, is_hop: false };
        // One more than a chain may have, for the entry that maps its end to itself.
        for _ in 0..=MAX_CHAIN {
            let Some(step) = self.aliases.table.step(&resolved.address) else { return Ok(resolved) };
            if resolved.own_entry.is_none() && self.is_own(&resolved.address) {
                resolved.own_entry = Some(step.line);
                resolved.is_hop =
                    resolved.address.asks_to_be_routed() && !self.aliases.table.has_exact(&resolved.address);
            }
            match step.next {
                Some(next) => resolved.address = next,
                None => return Ok(resolved),
            }
        }
        // Only a chain that changes from wildcards to exact entries half-way can get here: the
        // parts were checked, the sum was not.
        Err(self.aliases.table.step(&resolved.address).map_or(0, |step| step.line))
    }
}

pub(super) fn is_postmaster(mailbox: &Mailbox) -> bool {
    mailbox.local_part().eq_ignore_ascii_case(POSTMASTER)
}
