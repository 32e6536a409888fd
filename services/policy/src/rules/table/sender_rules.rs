//! Who may write to whom (SEED-117): the rules for everybody and those of the sender must both allow.

use std::{collections::HashMap, fmt};

use hikyaku_types::{address::Mailbox, domain::Domain};

use super::address::{AddressKey, address_key};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Permission {
    Allow,
    Deny,
}

/// Whose rule it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Whose {
    Everybody,
    Sender(Box<Mailbox>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Recipients {
    All,
    Domain(Domain),
    Address(Box<Mailbox>),
}

#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) line: u32,
    pub(crate) recipients: Recipients,
    pub(crate) permission: Permission,
}

/// Rules of one sender, found by hash: the least line that fits decides.
#[derive(Debug, Default)]
struct RuleList {
    all: Option<(u32, Permission)>,
    domains: HashMap<Domain, (u32, Permission)>,
    addresses: HashMap<AddressKey, (u32, Permission)>,
    last: u32,
}

#[derive(Debug, Default)]
pub(crate) struct SenderRules {
    everybody: Option<RuleList>,
    senders: HashMap<AddressKey, (Mailbox, RuleList)>,
}

impl SenderRules {
    pub(crate) fn insert(&mut self, whose: Whose, rule: Rule) {
        match whose {
            Whose::Everybody => self.everybody.get_or_insert_default().insert(rule),
            Whose::Sender(mailbox) => {
                if let Some(key) = address_key(&mailbox) {
                    self.senders.entry(key).or_insert_with(|| (*mailbox, RuleList::default())).1.insert(rule);
                }
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.everybody.is_none() && self.senders.is_empty()
    }

    /// The line that decided; none: rules, but none that fits.
    pub(crate) fn decide(&self, sender: &Mailbox, recipient: &Mailbox) -> (Permission, Option<u32>) {
        let decide = |rules: Option<&RuleList>| match rules {
            None => (Permission::Allow, None),
            Some(rules) => match rules.first(&Recipients::Address(Box::new(recipient.clone()))) {
                Some((line, permission)) => (permission, Some(line)),
                None => (Permission::Deny, None),
            },
        };
        match (decide(self.everybody.as_ref()), decide(self.rules_of(sender))) {
            ((Permission::Deny, line), _) => (Permission::Deny, line),
            ((Permission::Allow, line), (Permission::Allow, None)) => (Permission::Allow, line),
            ((Permission::Allow, _), (permission, line)) => (permission, line),
        }
    }

    /// The line of the same sender that takes these recipients already.
    pub(crate) fn covering(&self, whose: &Whose, recipients: &Recipients) -> Option<u32> {
        let rules = match whose {
            Whose::Everybody => self.everybody.as_ref(),
            Whose::Sender(mailbox) => self.rules_of(mailbox),
        };
        rules?.first(recipients).map(|(line, _)| line)
    }

    fn rules_of(&self, sender: &Mailbox) -> Option<&RuleList> {
        self.senders.get(&address_key(sender)?).map(|(_, rules)| rules)
    }

    /// Whose rules do not end in `*`, with their last line.
    pub(crate) fn without_last_word(&self) -> Vec<(Whose, u32)> {
        let everybody = self.everybody.iter().map(|rules| (Whose::Everybody, rules));
        let senders =
            self.senders.values().map(|(sender, rules)| (Whose::Sender(Box::new(sender.clone())), rules));
        let mut found: Vec<(Whose, u32)> = everybody
            .chain(senders)
            .filter(|(_, rules)| rules.all.is_none())
            .map(|(whose, rules)| (whose, rules.last))
            .collect();
        found.sort_by_key(|(_, line)| *line);
        found
    }
}

impl RuleList {
    fn insert(&mut self, rule: Rule) {
        let Rule { line, recipients, permission } = rule;
        self.last = line;
        match recipients {
            Recipients::All => {
                self.all.get_or_insert((line, permission));
            }
            Recipients::Domain(domain) => {
                self.domains.entry(domain).or_insert((line, permission));
            }
            Recipients::Address(mailbox) => {
                if let Some(key) = address_key(&mailbox) {
                    self.addresses.entry(key).or_insert((line, permission));
                }
            }
        }
    }

    /// The first line that takes all of these.
    fn first(&self, recipients: &Recipients) -> Option<(u32, Permission)> {
        let (domain, address) = match recipients {
            Recipients::All => (None, None),
            Recipients::Domain(domain) => (Some(domain), None),
            Recipients::Address(mailbox) => (mailbox.domain(), address_key(mailbox)),
        };
        let domain = domain.and_then(|domain| self.domains.get(domain));
        let address = address.and_then(|key| self.addresses.get(&key));
        [self.all.as_ref(), domain, address].into_iter().flatten().copied().min_by_key(|(line, _)| *line)
    }
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everybody => f.write_str("everybody"),
            Self::Sender(mailbox) => mailbox.fmt(f),
        }
    }
}
