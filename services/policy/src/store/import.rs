//! An import: files of the old products in one commit, or nothing of them (spec.md 4.0).

use super::{
    Store, StoreError,
    commit::{Author, CommitError, Mode},
    secret::verifiers,
};
use crate::{
    document::{DocumentName, Documents},
    import::{File, Imported, Options, import, report::FileProblem},
    problem::Severity,
};

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
        let snapshot = self.snapshot().await?;
        let (base, current) = (snapshot.version(), snapshot.documents);
        let surroundings = std::sync::Arc::clone(&self.surroundings);
        let (with_cram_md5, earlier) = (options.cram_md5, current.clone());
        let read = move || import(&files, &options, &earlier, &surroundings);
        let imported = tokio::task::spawn_blocking(read).await.map_err(|_| StoreError::Check)?;
        let accepted = !imported.has_errors();
        let Imported { mut documents, secrets, problems, migration } = imported;
        if !accepted || mode == Mode::ValidateOnly {
            return Ok(ImportOutcome { version: base, accepted, problems, migration });
        }
        let lines = tokio::task::spawn_blocking(move || verifiers(&secrets, with_cram_md5));
        let lines = lines.await.map_err(|_| StoreError::Check)?;
        let credentials = format!("{}{lines}", documents.text(DocumentName::Credentials));
        documents.set(DocumentName::Credentials, credentials);
        let changes: Documents = DocumentName::ALL
            .into_iter()
            .map(|document| (document, documents.text(document)))
            .filter(|(document, text)| current.text(*document) != *text)
            .collect();
        let outcome = self.commit(base, &changes, Mode::Store, author).await?;
        // It was checked with everything but the verifiers.
        let late = outcome
            .problems
            .iter()
            .filter(|problem| !outcome.accepted && problem.severity == Severity::Error);
        let late = late.map(|problem| FileProblem {
            file: problem.document.to_string(),
            line: problem.line,
            severity: problem.severity,
            code: problem.code,
            reason: problem.reason.clone(),
        });
        let problems = problems.into_iter().chain(late).collect();
        Ok(ImportOutcome { version: outcome.version, accepted: outcome.accepted, problems, migration })
    }
}
