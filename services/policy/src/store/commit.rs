//! The next version: checked as a whole, then stored, or refused as a whole with
//! every problem (SEED-023).

use std::time::{SystemTime, UNIX_EPOCH};

use hikyaku_mail_log::{Event, event::Directory, record};
use hikyaku_queue::kv::KvError;
use hikyaku_runtime::error_chain::chain;
use tracing::warn;

use super::{MANIFEST_KEY, Snapshot, Store, StoreError, manifest::Made, summary, texts};
use crate::{
    document::Documents,
    problem::Problem,
    rules::grow::{Additions, grow},
};

/// Somebody else may commit at the same moment, but not for ever.
const ENSURE_TRIES: u32 = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Store,
    /// Check, but store nothing.
    ValidateOnly,
}

/// Who changes the directory, and why. It is kept with the version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Author {
    pub name: String,
    pub comment: String,
}

impl Author {
    /// What the relay does by itself.
    pub(crate) fn relay(comment: &str) -> Self {
        Self { name: "relay".to_owned(), comment: comment.to_owned() }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Version in the store after the call.
    pub version: u64,
    /// The set was stored, or would have been.
    pub accepted: bool,
    pub problems: Vec<Problem>,
}

#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    #[error(
        "the change is based on version {base}, but version {current} is in the store; read it and try again"
    )]
    Stale { base: u64, current: u64 },
    #[error("the directory was changed by somebody else meanwhile; read it and try again")]
    Raced,
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Debug, thiserror::Error)]
pub enum EnsureError {
    #[error("the directory in the store has errors; correct it first: {}", summary(problems))]
    Unusable { problems: Vec<Problem> },
    #[error("the directory would have errors with the additions: {}", summary(problems))]
    Refused { problems: Vec<Problem> },
    #[error("the directory kept being changed by somebody else")]
    Busy,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Puts `changes` over version `base`.
    pub async fn commit(
        &self,
        base: u64,
        changes: &Documents,
        mode: Mode,
        author: &Author,
    ) -> Result<Outcome, CommitError> {
        let snapshot = self.snapshot().await?;
        let current = snapshot.version();
        if current != base {
            return Err(CommitError::Stale { base, current });
        }
        let documents = snapshot.documents.clone().with(changes);
        let problems = match self.check(current + 1, documents.clone()).await? {
            Ok(accepted) => accepted.problems,
            Err(rejected) => {
                return Ok(Outcome { version: current, accepted: false, problems: rejected.problems });
            }
        };
        let is_same = documents.iter().all(|(document, text)| snapshot.documents.text(document) == *text);
        let version = match mode {
            Mode::ValidateOnly => current,
            Mode::Store if is_same => current,
            Mode::Store => self.store(snapshot, &documents, author).await?,
        };
        Ok(Outcome { version, accepted: true, problems })
    }

    /// Makes sure that the additions are in the directory. Doing it again changes nothing.
    pub async fn ensure(&self, additions: &Additions) -> Result<Outcome, EnsureError> {
        for _ in 0..ENSURE_TRIES {
            let snapshot = self.snapshot().await?;
            let version = snapshot.version();
            let rules = match self.check(version, snapshot.documents).await? {
                Ok(accepted) => accepted.rules,
                Err(rejected) => return Err(EnsureError::Unusable { problems: rejected.problems }),
            };
            match self.commit(version, &grow(&rules, additions), Mode::Store, &Author::relay("set up")).await
            {
                Ok(outcome) if outcome.accepted => return Ok(outcome),
                Ok(outcome) => return Err(EnsureError::Refused { problems: outcome.problems }),
                Err(CommitError::Stale { .. } | CommitError::Raced) => {}
                Err(CommitError::Store(error)) => return Err(error.into()),
            }
        }
        Err(EnsureError::Busy)
    }

    /// Texts first, manifest last: a crash in between leaves texts that nothing names.
    async fn store(
        &self,
        snapshot: Snapshot,
        documents: &Documents,
        author: &Author,
    ) -> Result<u64, CommitError> {
        let Snapshot { revision, manifest, documents: earlier } = snapshot;
        self.record(&manifest).await?;
        let mut next = manifest.next();
        let mut written = Vec::new();
        let mut changed = Vec::new();
        for (document, text) in documents.iter().filter(|(document, text)| earlier.text(*document) != **text)
        {
            let stored = texts::write(&self.bucket, document, next.version, text).await?;
            written.push(stored.clone());
            changed.push(document.to_string());
            next.replace(document, stored);
        }
        let Author { name, comment } = author.clone();
        let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_millis());
        next.made = Made { at: u64::try_from(at).unwrap_or(u64::MAX), by: name, comment, changed };
        let json = next.encode().map_err(StoreError::from)?;
        match self.bucket.update(MANIFEST_KEY, json.into(), revision).await {
            Ok(_) => {}
            Err(KvError::Conflict) => {
                for stored in &written {
                    texts::remove(&self.bucket, stored).await;
                }
                return Err(CommitError::Raced);
            }
            Err(error @ KvError::Failed { .. }) => {
                warn!("it is not known whether the directory was changed");
                return Err(StoreError::from(error).into());
            }
        }
        // What remains of older versions only takes space.
        if let Err(error) = self.prune(&next).await {
            warn!(error = %chain(&error), "old versions of the directory were not removed");
        }
        record(|| {
            Event::Directory(Directory {
                version: next.version,
                by: next.made.by.clone(),
                changed: next.made.changed.iter().map(ToString::to_string).collect(),
                comment: next.made.comment.clone(),
            })
        });
        Ok(next.version)
    }
}
