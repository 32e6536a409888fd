//! Which texts make a version of the directory.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::document::DocumentName;

/// A reader refuses a format that it does not know: a document that it ignores might be the
/// one that forbids something.
const FORMAT: u32 = 1;

#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("manifest is not valid JSON")]
    Json(#[from] serde_json::Error),
    #[error("manifest has format {0}, this program reads up to {FORMAT}")]
    Format(u32),
    #[error("manifest names the document {0:?}, which this program does not know")]
    Document(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    format: u32,
    /// 0: nothing was ever committed.
    pub(super) version: u64,
    documents: BTreeMap<String, Stored>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stored {
    #[serde(flatten)]
    text: TextRef,
    /// The text before this one. A reader may still be busy with it, so it is removed one change later.
    #[serde(skip_serializing_if = "Option::is_none")]
    retired: Option<TextRef>,
}

/// Where a text is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TextRef {
    /// Version that brought it.
    pub(super) version: u64,
    /// Key without the chunk number.
    pub(super) key: String,
    pub(super) chunks: u32,
    pub(super) bytes: usize,
}

impl Default for Manifest {
    fn default() -> Self {
        Self { format: FORMAT, version: 0, documents: BTreeMap::new() }
    }
}

impl Manifest {
    pub(super) fn decode(json: &[u8]) -> Result<Self, ManifestError> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        // The format first: a later one may not have the other fields.
        let Head { format } = serde_json::from_slice(json)?;
        if format > FORMAT {
            return Err(ManifestError::Format(format));
        }
        let manifest: Self = serde_json::from_slice(json)?;
        match manifest.documents.keys().find(|name| name.parse::<DocumentName>().is_err()) {
            Some(unknown) => Err(ManifestError::Document(unknown.clone())),
            None => Ok(manifest),
        }
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, ManifestError> {
        Ok(serde_json::to_vec(self)?)
    }

    pub(super) fn known_documents(&self) -> impl Iterator<Item = (DocumentName, &TextRef)> {
        self.documents.iter().filter_map(|(name, stored)| Some((name.parse().ok()?, &stored.text)))
    }

    pub(super) fn text_of(&self, document: DocumentName) -> Option<&TextRef> {
        self.documents.get(document.name()).map(|stored| &stored.text)
    }

    /// The next version, with `text` in place of what was there. Gives back what nobody can need any more.
    pub(super) fn replace(&mut self, document: DocumentName, text: TextRef) -> Option<TextRef> {
        let earlier = self.documents.remove(document.name());
        let (retired, removable) = earlier.map_or((None, None), |it| (Some(it.text), it.retired));
        self.documents.insert(document.name().to_owned(), Stored { text, retired });
        removable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(version: u64) -> TextRef {
        TextRef { version, key: format!("doc.routes.{version}.x"), chunks: 1, bytes: 3 }
    }

    #[test]
    fn round_trip() {
        let mut manifest = Manifest { version: 2, ..Manifest::default() };
        manifest.replace(DocumentName::Routes, text(1));
        manifest.replace(DocumentName::Routes, text(2));
        let json = manifest.encode().unwrap();
        assert_eq!(Manifest::decode(&json).unwrap(), manifest);
        assert_eq!(
            String::from_utf8(json).unwrap(),
            r#"{"format":1,"version":2,"documents":{"routes":{"version":2,"key":"doc.routes.2.x","chunks":1,"bytes":3,"retired":{"version":1,"key":"doc.routes.1.x","chunks":1,"bytes":3}}}}"#
        );
    }

    #[test]
    fn what_a_later_program_wrote_is_refused() {
        for json in [
            r#"{"format":2,"other":1}"#,
            r#"{"format":1,"version":1,"documents":{"unheard-of":{"version":1,"key":"k","chunks":1,"bytes":3}}}"#,
            "{}",
            "",
        ] {
            assert!(Manifest::decode(json.as_bytes()).is_err(), "{json}");
        }
    }

    #[test]
    fn a_text_is_removed_one_change_after_it_was_replaced() {
        let mut manifest = Manifest::default();
        assert_eq!(manifest.replace(DocumentName::Routes, text(1)), None);
        assert_eq!(manifest.replace(DocumentName::Routes, text(2)), None);
        assert_eq!(manifest.replace(DocumentName::Routes, text(3)), Some(text(1)));
        assert_eq!(manifest.text_of(DocumentName::Routes), Some(&text(3)));
    }
}
