//! Who knows the recipients and the logins of a domain, beside the documents (SEED-064, SEED-236).

use std::{collections::HashMap, sync::Arc};

use hikyaku_types::domain::Domain;

use crate::rules::decision::{RecipientSource, WhenDown};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DomainSource {
    pub(crate) line: u32,
    /// Of addresses that no document names.
    pub(crate) recipients: Option<RecipientSource>,
    pub(crate) when_down: WhenDown,
    /// Name of the LDAP server that checks passwords of who has none here.
    pub(crate) login: Option<Arc<str>>,
}

#[derive(Debug, Default)]
pub(crate) struct Sources {
    domains: HashMap<Domain, DomainSource>,
}

impl Sources {
    /// The line that has this domain already, if there is one.
    pub(crate) fn insert(&mut self, domain: Domain, source: DomainSource) -> Option<u32> {
        if let Some(earlier) = self.domains.get(&domain) {
            return Some(earlier.line);
        }
        self.domains.insert(domain, source);
        None
    }

    pub(crate) fn of(&self, domain: &Domain) -> Option<&DomainSource> {
        self.domains.get(domain)
    }

    pub(crate) fn has_recipients(&self, domain: &Domain) -> bool {
        self.of(domain).is_some_and(|source| source.recipients.is_some())
    }

    pub(crate) fn domains(&self) -> impl Iterator<Item = (&Domain, u32)> {
        self.domains.iter().map(|(domain, source)| (domain, source.line))
    }
}
