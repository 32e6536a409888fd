//! The accounts: valid recipients, some of whom may log in.

use std::collections::HashMap;

use hikyaku_types::{address::Mailbox, domain::Domain};

use super::address::canonical;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) line: u32,
    /// SEED-119: `smtp=off` takes AUTH away.
    pub(crate) may_send: bool,
    /// `receive=off`: 550 5.2.1.
    pub(crate) may_receive: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Accounts {
    domains: HashMap<Domain, HashMap<Box<str>, Account>>,
}

impl Accounts {
    /// The line that has this address already, if there is one.
    pub(crate) fn insert(&mut self, mailbox: &Mailbox, account: Account) -> Option<u32> {
        let domain = self.domains.entry(mailbox.domain()?.clone()).or_default();
        let name = canonical(mailbox.local_part());
        if let Some(earlier) = domain.get(&name) {
            return Some(earlier.line);
        }
        domain.insert(name, account);
        None
    }

    pub(crate) fn of(&self, mailbox: &Mailbox) -> Option<&Account> {
        self.domains.get(mailbox.domain()?)?.get(&canonical(mailbox.local_part()))
    }

    pub(crate) fn has_domain(&self, domain: &Domain) -> bool {
        self.domains.contains_key(domain)
    }

    /// The domains that have accounts, each with the line of its first.
    pub(crate) fn domains(&self) -> impl Iterator<Item = (&Domain, u32)> {
        self.domains.iter().filter_map(|(domain, accounts)| {
            Some((domain, accounts.values().map(|account| account.line).min()?))
        })
    }
}
