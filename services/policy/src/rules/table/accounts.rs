//! The accounts: valid recipients, some of whom may log in.

use std::collections::HashMap;

use hikyaku_types::{
    address::{Mailbox, canonical_local_part},
    domain::Domain,
    hours::Hours,
    shard::fnv1a,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) line: u32,
    /// SEED-119: `smtp=off` takes AUTH away.
    pub(crate) may_send: bool,
    /// `receive=off`: 550 5.2.1.
    pub(crate) may_receive: bool,
    /// When it may send (SEED-118); absent: at all times.
    pub(crate) sending: Option<HoursId>,
    /// When its mail is delivered.
    pub(crate) receiving: Option<HoursId>,
}

/// Many accounts have the same hours, which stand in the table once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HoursId(usize);

#[derive(Debug, Default)]
pub(crate) struct Accounts {
    domains: HashMap<Domain, HashMap<Box<str>, Account>>,
    /// Each once, with the accounts whose mail waits for them.
    hours: Vec<(Hours, Vec<Mailbox>)>,
    any_sending: bool,
    version: u64,
}

impl Accounts {
    /// The line that has this address already, if there is one.
    pub(crate) fn insert(&mut self, mailbox: &Mailbox, account: Account) -> Option<u32> {
        let domain = self.domains.entry(mailbox.domain()?.clone()).or_default();
        let name = canonical_local_part(mailbox.local_part());
        if let Some(earlier) = domain.get(&name) {
            return Some(earlier.line);
        }
        domain.insert(name, account);
        self.any_sending |= account.sending.is_some();
        if let Some(hours) = account.receiving {
            let HoursId(at) = hours;
            let (hours, waiting) = &mut self.hours[at];
            waiting.push(mailbox.clone());
            self.version = fnv1a(&format!("{}\n{mailbox}\n{hours}", self.version));
        }
        None
    }

    pub(crate) fn of(&self, mailbox: &Mailbox) -> Option<&Account> {
        self.domains.get(mailbox.domain()?)?.get(&canonical_local_part(mailbox.local_part()))
    }

    pub(crate) fn keep(&mut self, hours: Hours) -> HoursId {
        let known = self.hours.iter().position(|(known, _)| *known == hours);
        HoursId(known.unwrap_or_else(|| {
            self.hours.push((hours, Vec::new()));
            self.hours.len() - 1
        }))
    }

    pub(crate) fn hours(&self, HoursId(at): HoursId) -> &Hours {
        &self.hours[at].0
    }

    /// Whether the time of day can decide about a sender.
    pub(crate) fn have_sending_hours(&self) -> bool {
        self.any_sending
    }

    /// Hours with the accounts whose mail waits for them, and a number that names all of that.
    pub(crate) fn waiting(&self) -> (impl Iterator<Item = (&Hours, &[Mailbox])>, u64) {
        let groups = self.hours.iter().map(|(hours, waiting)| (hours, waiting.as_slice()));
        // 0 is the version of who knows nothing.
        (groups.filter(|(_, waiting)| !waiting.is_empty()), self.version.max(1))
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
