//! Files of the old products (spec.md 4) to documents. Pure: files and the documents in force go in, the
//! documents that would be come out, with every problem at its place in its file. Secrets stay aside until
//! everything is right.

mod text; // octets -> text
mod merge; // into the documents in force, line by line
mod gateway; // gateway.dat
mod effect; // effect.dat
mod sender; // sender.dat
mod aliases; // alias export
mod accounts; // account file, apop.dat
mod pmail; // PMail relay list and connection list
mod scalars; // single settings
pub(crate) mod report; // file:line: severity CODE: reason

use std::collections::HashSet;

use hikyaku_types::domain::Domain;
use secrecy::SecretString;

use crate::{
    document::{DocumentName, Documents},
    problem::Severity,
    rules::{Rejected, Rules, Surroundings},
};
use merge::Drafts;
use report::{FileProblem, sorted};

/// What a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Gateway,
    Effect,
    /// For one sender, or for everybody.
    Sender(Option<String>),
    Aliases,
    Accounts,
    Pmail,
    PmailConnect,
    /// The secret of one account.
    Apop(String),
    Scalars,
    Usetime,
}

#[derive(Debug, Clone)]
pub(crate) struct File {
    pub(crate) kind: Kind,
    /// As the operator knows it.
    pub(crate) name: String,
    pub(crate) octets: Vec<u8>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    /// Domain that the account file is for.
    pub(crate) domain: Option<Domain>,
    /// Accounts of another domain are taken into it.
    pub(crate) force_domain: bool,
    /// Accounts that are there get what the file says.
    pub(crate) replace: bool,
    /// Aliases that are missing in the file are removed.
    pub(crate) sync: bool,
    /// Domains may be written as U-labels.
    pub(crate) idn: bool,
    pub(crate) wildcard_includes_apex: bool,
    /// Warnings refuse too.
    pub(crate) strict: bool,
    /// Host of the mailboxes, when the old gateway had some (SEED-031).
    pub(crate) mailbox_host: Option<String>,
    /// CRAM-MD5 is wanted: its keys are as good as the secret.
    pub(crate) cram_md5: bool,
}

/// A secret that becomes a verifier when everything else is right.
#[derive(Debug, Clone)]
pub(crate) struct NewSecret {
    pub(crate) address: String,
    pub(crate) secret: SecretString,
    pub(crate) must_change: bool,
}

/// What would be.
#[derive(Debug)]
pub(crate) struct Imported {
    /// The whole set, without the new verifiers.
    pub(crate) documents: Documents,
    pub(crate) secrets: Vec<NewSecret>,
    pub(crate) problems: Vec<FileProblem>,
    /// What the inner server must hold (SEED-002, SEED-034).
    pub(crate) migration: Vec<String>,
}

impl Imported {
    pub(crate) fn has_errors(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == Severity::Error)
    }
}

/// Reads all files and puts them over `current`. Nothing of it is applied here.
pub(crate) fn import(
    files: &[File],
    options: &Options,
    current: &Documents,
    surroundings: &Surroundings,
) -> Imported {
    let mut drafts = Drafts::new(current);
    let mut problems = Vec::new();
    let mut texts = Vec::new();
    for file in files {
        match text::decoded(file, options.idn) {
            Ok(text) => texts.push((file, text)),
            Err(problem) => problems.push(problem),
        }
    }
    // Aliases and accounts first: they say which domains are ours.
    let of = |wanted: fn(&Kind) -> bool| texts.iter().filter(move |(file, _)| wanted(&file.kind));
    for (file, text) in of(|kind| *kind == Kind::Aliases) {
        problems.extend(aliases::import(file, text, options, &mut drafts));
    }
    for (file, text) in of(|kind| *kind == Kind::Accounts) {
        problems.extend(accounts::import(file, text, options, &mut drafts));
    }
    for (file, text) in of(|kind| matches!(kind, Kind::Apop(_))) {
        problems.extend(accounts::import_secret(file, text, &mut drafts));
    }
    for (file, text) in &texts {
        problems.extend(match &file.kind {
            Kind::Gateway => gateway::import(file, text, options, surroundings, &mut drafts),
            Kind::Effect => effect::import(file, text, &mut drafts, &texts),
            Kind::Sender(whose) => sender::import(file, text, whose.as_deref(), &mut drafts),
            Kind::Pmail => pmail::import(file, text, &mut drafts),
            Kind::PmailConnect => pmail::import_connections(file, text, &mut drafts),
            Kind::Usetime => vec![FileProblem {
                file: file.name.clone(),
                line: 1,
                severity: Severity::Error,
                code: "E-UT-UNSUPPORTED",
                reason: "the format of usetime.dat is not known; enter its times by hand".to_owned(),
            }],
            Kind::Aliases | Kind::Accounts | Kind::Apop(_) | Kind::Scalars => Vec::new(),
        });
    }
    for (file, text) in of(|kind| *kind == Kind::Scalars) {
        problems.extend(scalars::import(file, text, options, &mut drafts));
    }
    drafts.add_domains();
    let is_clean = problems.iter().all(|problem| problem.severity != Severity::Error);
    let (documents, secrets, origins) = drafts.finish();
    if is_clean {
        let found = match Rules::build(0, &documents, surroundings, None) {
            Ok(accepted) => accepted.problems,
            Err(Rejected { problems }) => problems,
        };
        // What the parsers of the files have said is not said again.
        let said: HashSet<(String, u32, &str)> =
            problems.iter().map(|it| (it.file.clone(), it.line, it.code)).collect();
        let across = found.into_iter().map(|problem| origins.at_file(problem));
        problems.extend(across.filter(|it| !said.contains(&(it.file.clone(), it.line, it.code))));
    }
    let migration = report::migration(&documents, &surroundings.hostname);
    Imported { documents, secrets, problems: sorted(problems, files, options.strict), migration }
}

/// The text of one document.
fn text_of(documents: &Documents, document: DocumentName) -> String {
    documents.text(document).to_string()
}

#[cfg(test)]
mod tests;
