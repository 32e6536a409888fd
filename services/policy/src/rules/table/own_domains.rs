//! The domains whose mail is ours to accept.

use std::collections::HashMap;

use hikyaku_types::domain::Domain;

#[derive(Debug, Default)]
pub(crate) struct OwnDomains {
    lines: HashMap<Domain, u32>,
    first: Option<Domain>,
}

impl OwnDomains {
    /// The line that names `domain` already, if there is one.
    pub(crate) fn insert(&mut self, domain: Domain, line: u32) -> Option<u32> {
        if let Some(earlier) = self.lines.get(&domain) {
            return Some(*earlier);
        }
        self.first.get_or_insert_with(|| domain.clone());
        self.lines.insert(domain, line);
        None
    }

    pub(crate) fn contains(&self, domain: &Domain) -> bool {
        self.lines.contains_key(domain)
    }

    /// The domain of `<Postmaster>` (RFC 5321 4.5.1).
    pub(crate) fn first(&self) -> Option<&Domain> {
        self.first.as_ref()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Domain, u32)> {
        self.lines.iter().map(|(domain, line)| (domain, *line))
    }
}
