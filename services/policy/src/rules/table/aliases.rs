//! Address rewriting and the list of valid recipients: one table, because an
//! entry that maps an address to itself says that it exists (SEED-042).
//!
//! Local parts are compared without regard to ASCII case and needless quotes;
//! what is delivered keeps the spelling of the client.

use std::collections::HashMap;

use hikyaku_types::{
    address::{MailHost, Mailbox, canonical_local_part},
    domain::Domain,
};

use super::address::is_same;

#[derive(Debug, Default)]
pub(crate) struct Aliases {
    domains: HashMap<Domain, DomainAliases>,
}

#[derive(Debug, Default)]
struct DomainAliases {
    wildcard: Option<Entry>,
    /// By [`canonical`] local part.
    exact: HashMap<Box<str>, Entry>,
}

#[derive(Debug)]
struct Entry {
    line: u32,
    target: Target,
}

/// The left side of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// `*@domain`.
    Wildcard(Domain),
    Address(AliasAddress),
}

/// An address that has a domain and not an address literal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AliasAddress {
    pub(crate) mailbox: Mailbox,
    pub(crate) domain: Domain,
}

impl Source {
    fn domain(&self) -> &Domain {
        match self {
            Self::Wildcard(domain) | Self::Address(AliasAddress { domain, .. }) => domain,
        }
    }
}

/// The right side of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// The same as the left side: the address is valid.
    Itself,
    /// The same local part in another domain.
    Domain(Domain),
    Address(Box<Mailbox>),
}

/// An entry for this source exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Occupied {
    pub(crate) line: u32,
    pub(crate) same_target: bool,
}

/// The entry that fits an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) line: u32,
    /// `None`: the address stays as it is, and is valid.
    pub(crate) next: Option<Mailbox>,
}

/// What is known of a domain as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DomainRule {
    /// No entry at all.
    Unlisted,
    /// Only `*@domain` to itself: every address is valid and unchanged.
    EveryAddress { line: u32 },
    /// It depends on the address.
    ByAddress,
}

impl Aliases {
    pub(crate) fn insert(&mut self, source: &Source, target: Target, line: u32) -> Result<(), Occupied> {
        if let Some(occupied) = self.occupied(source, &target) {
            return Err(occupied);
        }
        let aliases = self.domains.entry(source.domain().clone()).or_default();
        let entry = Entry { line, target };
        match source {
            Source::Wildcard(_) => aliases.wildcard = Some(entry),
            Source::Address(AliasAddress { mailbox, .. }) => {
                aliases.exact.insert(canonical_local_part(mailbox.local_part()), entry);
            }
        }
        Ok(())
    }

    /// What there is for this source.
    pub(crate) fn occupied(&self, source: &Source, target: &Target) -> Option<Occupied> {
        let aliases = self.domains.get(source.domain())?;
        let earlier = match source {
            Source::Wildcard(_) => aliases.wildcard.as_ref(),
            Source::Address(AliasAddress { mailbox, .. }) => {
                aliases.exact.get(&canonical_local_part(mailbox.local_part()))
            }
        }?;
        Some(Occupied { line: earlier.line, same_target: earlier.target == *target })
    }

    /// The entry for `address`; an exact one beats the wildcard (SEED-046).
    pub(crate) fn step(&self, address: &Mailbox) -> Option<Step> {
        let aliases = self.domains.get(address.domain()?)?;
        let exact = aliases.exact.get(&canonical_local_part(address.local_part()));
        let entry = exact.or(aliases.wildcard.as_ref())?;
        let next = match &entry.target {
            Target::Itself => None,
            Target::Domain(domain) => {
                // A local part that was legal once is legal in another domain.
                Mailbox::new(address.local_part(), MailHost::Domain(domain.clone())).ok()
            }
            Target::Address(mailbox) => Some(Mailbox::clone(mailbox)),
        };
        Some(Step { line: entry.line, next: next.filter(|next| !is_same(next, address)) })
    }

    /// Whether an entry is for this very address.
    pub(crate) fn has_exact(&self, address: &Mailbox) -> bool {
        let aliases = address.domain().and_then(|domain| self.domains.get(domain));
        aliases.is_some_and(|aliases| aliases.exact.contains_key(&canonical_local_part(address.local_part())))
    }

    /// Target of `*@domain`.
    pub(crate) fn wildcard(&self, domain: &Domain) -> Option<(u32, &Target)> {
        let entry = self.domains.get(domain)?.wildcard.as_ref()?;
        Some((entry.line, &entry.target))
    }

    pub(crate) fn domain_rule(&self, domain: &Domain) -> DomainRule {
        let Some(aliases) = self.domains.get(domain) else { return DomainRule::Unlisted };
        match &aliases.wildcard {
            Some(Entry { line, target: Target::Itself }) if aliases.exact.is_empty() => {
                DomainRule::EveryAddress { line: *line }
            }
            Some(_) | None => DomainRule::ByAddress,
        }
    }

    /// The domains that have entries, each with the line of one of them.
    pub(crate) fn domains(&self) -> impl Iterator<Item = (&Domain, u32)> {
        self.domains.iter().filter_map(|(domain, aliases)| {
            let exact = aliases.exact.values().map(|entry| entry.line).min();
            let wildcard = aliases.wildcard.as_ref().map(|entry| entry.line);
            Some((domain, exact.into_iter().chain(wildcard).min()?))
        })
    }
}
