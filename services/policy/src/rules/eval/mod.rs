//! Question to answer, in the order of SEED-032. The sender address never grants anything
//! (SEED-082), nor does a route (SEED-028), nor an alias outside the own domains (SEED-041).

mod standing; // access table and relay list: what the client may do
mod connection; // greeted or not
mod sender; // MAIL FROM
mod resolve; // aliases, and postmaster
mod recipient; // RCPT TO: alias, own domain, right to relay, sender rules
mod route; // next hop
mod author; // the From field of an authenticated client
pub(crate) mod trace; // the steps of an answer, for people

use std::{net::IpAddr, time::SystemTime};

use hikyaku_types::{
    address::{Mailbox, ReversePath},
    domain::Domain,
    hours::Hours,
    origin::{Asker, Listener},
    traffic::TrafficRules,
};

use super::{Rules, table::settings::Lock};
use crate::rules::table::{accounts::Account, credentials::Credentials};

const POSTMASTER: &str = "postmaster";

impl Rules {
    /// Names with their addresses, before DNS (SEED-152).
    pub fn hosts(&self) -> impl Iterator<Item = (&Domain, &[IpAddr])> {
        self.hosts.table.iter()
    }

    /// Hours with the recipients whose mail is delivered within them only, and the version of all that.
    pub(crate) fn hours_of_mail(&self) -> (impl Iterator<Item = (&Hours, &[Mailbox])>, u64) {
        self.accounts.table.waiting()
    }

    /// How much goes where, and by which version a worker knows it.
    pub(crate) fn traffic(&self) -> (&TrafficRules, u64) {
        (&self.traffic.table.rules, self.traffic.table.version)
    }

    /// The account that a login names, with what proves it. Absent: it does not exist, has nothing to
    /// prove it with, or may not send (SEED-119).
    pub(crate) fn account_for_login(&self, login: &Mailbox) -> Option<(&Account, &Credentials)> {
        let account = self.accounts.table.of(login).filter(|account| account.may_send)?;
        Some((account, self.credentials.table.of(login)?))
    }

    /// The LDAP server that knows this login's password, when there is none for it here.
    pub(crate) fn login_elsewhere(&self, login: &Mailbox) -> Option<&str> {
        if !self.is_own(login) {
            return None;
        }
        let is_off = self.accounts.table.of(login).is_some_and(|account| !account.may_send);
        if is_off || self.credentials.table.of(login).is_some() {
            return None;
        }
        self.sources.table.of(login.domain()?)?.login.as_deref()
    }

    pub(crate) fn has_account(&self, account: &Mailbox) -> bool {
        self.accounts.table.of(account).is_some()
    }

    /// Who the client is, as long as that account may send: a session may be older than the change that
    /// took the right away.
    fn identity<'a>(&self, asker: &'a Asker) -> Option<&'a Mailbox> {
        let identity = asker.identity.as_ref()?;
        match self.accounts.table.of(identity) {
            Some(account) => account.may_send.then_some(identity),
            None => self.login_elsewhere(identity).map(|_| identity),
        }
    }

    pub(crate) fn lock(&self) -> Lock {
        self.settings.table.lock
    }

    /// Lines of routes that have run out.
    pub(crate) fn expired_routes(&self, now: SystemTime) -> Vec<u32> {
        self.routes.table.expired(now)
    }

    fn is_own(&self, mailbox: &Mailbox) -> bool {
        // An address literal is never an own domain.
        mailbox.domain().is_some_and(|domain| self.own_domains.table.contains(domain))
    }
}

/// Whether a client hears nothing but that it has to authenticate: at a listener for submission, or when its
/// account has lost the right since it did. `identity` is who it still is.
fn must_authenticate(asker: &Asker, identity: Option<&Mailbox>) -> bool {
    identity.is_none() && (asker.identity.is_some() || asker.listener == Listener::Submission)
}

fn sender_mailbox(reverse_path: &ReversePath) -> Option<&Mailbox> {
    match reverse_path {
        ReversePath::Null => None,
        ReversePath::Mailbox(mailbox) => Some(mailbox),
    }
}

#[cfg(test)]
mod seed_tests;
#[cfg(test)]
mod source_tests;
#[cfg(test)]
mod tests;
