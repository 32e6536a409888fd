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
pub(crate) struct Manifest {
    format: u32,
    /// 0: nothing was ever committed.
    pub(crate) version: u64,
    #[serde(default)]
    pub(crate) made: Made,
    documents: BTreeMap<String, TextRef>,
}

/// How a version came to be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Made {
    /// Milliseconds since 1970.
    pub(crate) at: u64,
    /// Who asked for it.
    pub(crate) by: String,
    /// What it is for, in the words of who asked.
    pub(crate) comment: String,
    /// The documents that it changed.
    pub(crate) changed: Vec<String>,
}

/// Where a text is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TextRef {
    /// Version that brought it.
    pub(super) version: u64,
    /// Key without the chunk number.
    pub(super) key: String,
    pub(super) chunks: u32,
    pub(crate) bytes: usize,
}

impl Default for Manifest {
    fn default() -> Self {
        Self { format: FORMAT, version: 0, made: Made::default(), documents: BTreeMap::new() }
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

    /// The next version, with the same texts.
    pub(super) fn next(self) -> Self {
        Self { version: self.version + 1, ..self }
    }

    pub(super) fn known_documents(&self) -> impl Iterator<Item = (DocumentName, &TextRef)> {
        self.documents.iter().filter_map(|(name, text)| Some((name.parse().ok()?, text)))
    }

    pub(super) fn text_of(&self, document: DocumentName) -> Option<&TextRef> {
        self.documents.get(document.name())
    }

    pub(super) fn replace(&mut self, document: DocumentName, text: TextRef) {
        self.documents.insert(document.name().to_owned(), text);
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
        let made =
            Made { at: 7, by: "ann".to_owned(), changed: vec!["routes".to_owned()], ..Made::default() };
        let mut manifest = Manifest { version: 2, made, ..Manifest::default() };
        manifest.replace(DocumentName::Routes, text(1));
        manifest.replace(DocumentName::Routes, text(2));
        let json = manifest.encode().unwrap();
        assert_eq!(Manifest::decode(&json).unwrap(), manifest);
        assert_eq!(
            String::from_utf8(json).unwrap(),
            r#"{"format":1,"version":2,"made":{"at":7,"by":"ann","comment":"","changed":["routes"]},"documents":{"routes":{"version":2,"key":"doc.routes.2.x","chunks":1,"bytes":3}}}"#
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
}
