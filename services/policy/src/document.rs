//! The texts that the policy is made of, by name. What they mean is in [`crate::rules`].

use std::{collections::BTreeMap, fmt, str::FromStr, sync::Arc};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DocumentName {
    OwnDomains,
    Connections,
    Access,
    RelayNetworks,
    Aliases,
    Accounts,
    Sources,
    Credentials,
    SenderRules,
    Routes,
    SmartHost,
    Hosts,
    Traffic,
    Settings,
}

impl DocumentName {
    /// In the order in which a message meets them.
    pub const ALL: [Self; 14] = [
        Self::OwnDomains,
        Self::Connections,
        Self::Access,
        Self::RelayNetworks,
        Self::Aliases,
        Self::Accounts,
        Self::Sources,
        Self::Credentials,
        Self::SenderRules,
        Self::Routes,
        Self::SmartHost,
        Self::Hosts,
        Self::Traffic,
        Self::Settings,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::OwnDomains => "own-domains",
            Self::Connections => "connections",
            Self::Access => "access",
            Self::RelayNetworks => "relay-networks",
            Self::Aliases => "aliases",
            Self::Accounts => "accounts",
            Self::Sources => "sources",
            Self::Credentials => "credentials",
            Self::SenderRules => "sender-rules",
            Self::Routes => "routes",
            Self::SmartHost => "smart-host",
            Self::Hosts => "hosts",
            Self::Traffic => "traffic",
            Self::Settings => "settings",
        }
    }
}

impl fmt::Display for DocumentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a document; there are {names}", names = DocumentName::ALL.map(DocumentName::name).join(", "))]
pub struct UnknownDocument(pub String);

impl FromStr for DocumentName {
    type Err = UnknownDocument;

    fn from_str(text: &str) -> Result<Self, UnknownDocument> {
        Self::ALL
            .into_iter()
            .find(|document| document.name() == text)
            .ok_or_else(|| UnknownDocument(text.to_owned()))
    }
}

/// A whole set of texts. A document that was never written is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Documents(BTreeMap<DocumentName, Arc<str>>);

impl Documents {
    pub fn text(&self, document: DocumentName) -> Arc<str> {
        self.0.get(&document).cloned().unwrap_or_default()
    }

    pub fn set(&mut self, document: DocumentName, text: impl Into<Arc<str>>) {
        self.0.insert(document, text.into());
    }

    /// With `changes` put over it.
    #[must_use]
    pub fn with(mut self, changes: &Self) -> Self {
        self.0.extend(changes.0.iter().map(|(document, text)| (*document, Arc::clone(text))));
        self
    }

    pub fn iter(&self) -> impl Iterator<Item = (DocumentName, &Arc<str>)> {
        self.0.iter().map(|(document, text)| (*document, text))
    }
}

impl<T: Into<Arc<str>>> FromIterator<(DocumentName, T)> for Documents {
    fn from_iter<I: IntoIterator<Item = (DocumentName, T)>>(documents: I) -> Self {
        Self(documents.into_iter().map(|(document, text)| (document, text.into())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for document in DocumentName::ALL {
            assert_eq!(document.name().parse(), Ok(document));
        }
        assert!("gateway.dat".parse::<DocumentName>().is_err());
    }
}
