//! Who may write to whom (SEED-117): the rules for everybody and those of the sender must both allow.

use std::{collections::HashMap, fmt};

use hikyaku_types::{address::Mailbox, domain::Domain};

use super::aliases::{canonical, is_same};

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

#[derive(Debug, Default)]
pub(crate) struct SenderRules {
    everybody: Vec<Rule>,
    senders: HashMap<(Box<str>, Domain), (Mailbox, Vec<Rule>)>,
}

impl SenderRules {
    pub(crate) fn insert(&mut self, whose: Whose, rule: Rule) {
        match whose {
            Whose::Everybody => self.everybody.push(rule),
            Whose::Sender(mailbox) => {
                if let Some(key) = key(&mailbox) {
                    self.senders.entry(key).or_insert_with(|| (*mailbox, Vec::new())).1.push(rule);
                }
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.everybody.is_empty() && self.senders.is_empty()
    }

    /// The line that decided; none: rules, but none that fits.
    pub(crate) fn decide(&self, sender: &Mailbox, recipient: &Mailbox) -> (Permission, Option<u32>) {
        let own = key(sender).and_then(|key| self.senders.get(&key)).map(|(_, rules)| rules.as_slice());
        let everybody = decide(&self.everybody, recipient);
        match (everybody, decide(own.unwrap_or_default(), recipient)) {
            ((Permission::Deny, line), _) => (Permission::Deny, line),
            ((Permission::Allow, line), (Permission::Allow, None)) => (Permission::Allow, line),
            ((Permission::Allow, _), (permission, line)) => (permission, line),
        }
    }

    /// The line of the same sender that takes these recipients already.
    pub(crate) fn covering(&self, whose: &Whose, recipients: &Recipients) -> Option<u32> {
        let rules = match whose {
            Whose::Everybody => self.everybody.as_slice(),
            Whose::Sender(mailbox) => {
                key(mailbox).and_then(|key| self.senders.get(&key)).map_or(&[][..], |(_, rules)| rules)
            }
        };
        rules.iter().find(|rule| rule.recipients.covers(recipients)).map(|rule| rule.line)
    }

    /// Whose rules do not end in `*`, with their last line.
    pub(crate) fn without_last_word(&self) -> Vec<(Whose, u32)> {
        let senders =
            self.senders.values().map(|(sender, rules)| (Whose::Sender(Box::new(sender.clone())), rules));
        let mut found: Vec<(Whose, u32)> = [(Whose::Everybody, &self.everybody)]
            .into_iter()
            .chain(senders)
            .filter(|(_, rules)| !rules.iter().any(|rule| rule.recipients == Recipients::All))
            .filter_map(|(whose, rules)| Some((whose, rules.last()?.line)))
            .collect();
        found.sort_by_key(|(_, line)| *line);
        found
    }
}

impl Recipients {
    fn fits(&self, recipient: &Mailbox) -> bool {
        match self {
            Self::All => true,
            Self::Domain(domain) => recipient.domain() == Some(domain),
            Self::Address(mailbox) => is_same(mailbox, recipient),
        }
    }

    fn covers(&self, other: &Self) -> bool {
        match other {
            Self::All => *self == Self::All,
            Self::Domain(domain) => match self {
                Self::All => true,
                Self::Domain(own) => own == domain,
                Self::Address(_) => false,
            },
            Self::Address(mailbox) => self.fits(mailbox),
        }
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

fn decide(rules: &[Rule], recipient: &Mailbox) -> (Permission, Option<u32>) {
    match rules.iter().find(|rule| rule.recipients.fits(recipient)) {
        Some(rule) => (rule.permission, Some(rule.line)),
        None if rules.is_empty() => (Permission::Allow, None),
        None => (Permission::Deny, None),
    }
}

fn key(mailbox: &Mailbox) -> Option<(Box<str>, Domain)> {
    Some((canonical(mailbox.local_part()), mailbox.domain()?.clone()))
}
