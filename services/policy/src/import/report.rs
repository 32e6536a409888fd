//! What is said of an import: problems at their place in their file, and what the inner server must hold.

use std::fmt;

use super::File;
use crate::{
    document::{DocumentName, Documents},
    problem::{Problem, Severity},
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileProblem {
    /// Name of the file, or of the document when no file has to do with it.
    pub(crate) file: String,
    /// From 1.
    pub(crate) line: u32,
    pub(crate) severity: Severity,
    pub(crate) code: &'static str,
    pub(crate) reason: String,
}

impl fmt::Display for FileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, severity, code, reason } = self;
        write!(f, "{file}:{line}: {} {code}: {reason}", severity.name())
    }
}

/// The problems of a parser, at the lines of the file that it read.
pub(super) fn of_file(file: &File, problems: Vec<Problem>) -> Vec<FileProblem> {
    let at_file = |problem: Problem| {
        let Problem { line, severity, code, reason, .. } = problem;
        FileProblem { file: file.name.clone(), line, severity, code, reason }
    };
    problems.into_iter().map(at_file).collect()
}

/// By file in the order in which they were given, then by line.
pub(super) fn sorted(mut problems: Vec<FileProblem>, files: &[File], strict: bool) -> Vec<FileProblem> {
    let place = |problem: &FileProblem| files.iter().position(|file| file.name == problem.file);
    problems.sort_by_key(|problem| {
        // Documents stand behind the files.
        (place(problem).unwrap_or(usize::MAX), problem.file.clone(), problem.line)
    });
    // Of the files only: what was there before is not what is being imported.
    let is_of_files = |problem: &FileProblem| files.iter().any(|file| file.name == problem.file);
    for problem in
        problems.iter_mut().filter(|it| strict && it.severity == Severity::Warning && is_of_files(it))
    {
        problem.severity = Severity::Error;
    }
    problems
}

/// SEED-002, SEED-003, SEED-034.
pub(super) fn migration(documents: &Documents, hostname: &str) -> Vec<String> {
    let own: Vec<String> = documents
        .text(DocumentName::OwnDomains)
        .lines()
        .map(|line| line.trim().to_owned())
        .filter(|line| !line.is_empty() && !line.starts_with([';', '\'']))
        .collect();
    let mut lines = vec![
        "inner server: forward-all must be off; with it on, nothing is ever stored there".to_owned(),
        format!("inner server: its single gateway field must hold {hostname}, without a port"),
        "inner server: its own table of gateways is not used".to_owned(),
        "inner server: it must take mail from outside only from this relay".to_owned(),
    ];
    for domain in own {
        lines.push(format!("DNS: the MX records of {domain} must name this relay and not the inner server"));
    }
    lines
}
