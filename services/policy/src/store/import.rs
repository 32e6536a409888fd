//! An import: files of the old products in one commit, or nothing of them (spec.md 4.0).

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Store, StoreError,
    commit::{Author, CommitError, Mode, Outcome},
    secret::verifiers,
};
use crate::{
    document::{DocumentName, Documents},
    import::{File, Imported, NewSecret, Options, import, report::FileProblem},
    problem::Severity,
};

/// Somebody else may commit at the same moment, but not for ever.
const TRIES: u32 = 20;

#[derive(Debug)]
pub(crate) struct ImportOutcome {
    pub(crate) version: u64,
    pub(crate) accepted: bool,
    pub(crate) problems: Vec<FileProblem>,
    pub(crate) migration: Vec<String>,
}

impl Store {
    pub(crate) async fn import(
        &self,
        files: Vec<File>,
        options: Options,
        mode: Mode,
        author: &Author,
    ) -> Result<ImportOutcome, CommitError> {
        let files: Arc<[File]> = files.into();
        // Verifiers take their time, and somebody may commit meanwhile; they are made once.
        let mut made: BTreeMap<String, String> = BTreeMap::new();
        for _ in 0..TRIES {
            let snapshot = self.snapshot().await?;
            let (base, current) = (snapshot.version(), snapshot.documents);
            let imported = self.read(&files, &options, current.clone()).await?;
            let accepted = !imported.has_errors();
            let Imported { mut documents, secrets, problems, migration } = imported;
            if !accepted || mode == Mode::ValidateOnly {
                return Ok(ImportOutcome { version: base, accepted, problems, migration });
            }
            let new: Vec<NewSecret> =
                secrets.iter().filter(|secret| !made.contains_key(&secret.address)).cloned().collect();
            let with_cram_md5 = options.cram_md5;
            let lines = tokio::task::spawn_blocking(move || verifiers(&new, with_cram_md5));
            made.extend(lines.await.map_err(|_| StoreError::Check)??);
            let lines: String =
                secrets.iter().filter_map(|secret| made.get(&secret.address).cloned()).collect();
            let credentials = format!("{}{lines}", documents.text(DocumentName::Credentials));
            documents.set(DocumentName::Credentials, credentials);
            let changes: Documents = DocumentName::ALL
                .into_iter()
                .map(|document| (document, documents.text(document)))
                .filter(|(document, text)| current.text(*document) != *text)
                .collect();
            match self.commit(base, &changes, Mode::Store, author).await {
                Err(CommitError::Stale { .. } | CommitError::Raced) => {}
                Err(error) => return Err(error),
                Ok(outcome) => return Ok(told(outcome, problems, migration)),
            }
        }
        Err(CommitError::Raced)
    }

    async fn read(
        &self,
        files: &Arc<[File]>,
        options: &Options,
        current: Documents,
    ) -> Result<Imported, StoreError> {
        let (files, options) = (Arc::clone(files), options.clone());
        let surroundings = Arc::clone(&self.surroundings);
        let read = move || import(&files, &options, &current, &surroundings);
        tokio::task::spawn_blocking(read).await.map_err(|_| StoreError::Check)
    }
}

/// It was checked with everything but the verifiers.
fn told(outcome: Outcome, problems: Vec<FileProblem>, migration: Vec<String>) -> ImportOutcome {
    let Outcome { version, accepted, problems: found } = outcome;
    let late = found.into_iter().filter(|problem| !accepted && problem.severity == Severity::Error);
    let late = late.map(|problem| FileProblem {
        file: problem.document.to_string(),
        line: problem.line,
        severity: problem.severity,
        code: problem.code,
        reason: problem.reason,
    });
    ImportOutcome { version, accepted, problems: problems.into_iter().chain(late).collect(), migration }
}
