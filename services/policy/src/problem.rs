//! What is wrong with a document, in the words of the operator:
//! `document:line: severity CODE: reason` (spec.md 4.0).

use std::fmt;

use hikyaku_types::text::is_unprintable;

use crate::document::DocumentName;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Note,
    Warning,
    /// Refuses the commit.
    Error,
}

impl Severity {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub document: DocumentName,
    /// From 1.
    pub line: u32,
    pub severity: Severity,
    /// Stable, for example E-GW-PORT.
    pub code: &'static str,
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { document, line, severity, code, reason } = self;
        write!(f, "{document}:{line}: {} {code}: {reason}", severity.name())
    }
}

pub fn has_errors(problems: &[Problem]) -> bool {
    problems.iter().any(|problem| problem.severity == Severity::Error)
}

/// Collects the problems of one document.
#[derive(Debug)]
pub(crate) struct Findings {
    document: DocumentName,
    problems: Vec<Problem>,
}

impl Findings {
    pub(crate) fn new(document: DocumentName) -> Self {
        Self { document, problems: Vec::new() }
    }

    pub(crate) fn error(&mut self, line: u32, code: &'static str, reason: impl Into<String>) {
        self.add(line, Severity::Error, code, reason.into());
    }

    pub(crate) fn warning(&mut self, line: u32, code: &'static str, reason: impl Into<String>) {
        self.add(line, Severity::Warning, code, reason.into());
    }

    pub(crate) fn note(&mut self, line: u32, code: &'static str, reason: impl Into<String>) {
        self.add(line, Severity::Note, code, reason.into());
    }

    /// How many there are so far.
    pub(crate) fn errors(&self) -> usize {
        self.problems.iter().filter(|problem| problem.severity == Severity::Error).count()
    }

    /// A reason may quote the document, and what shows it is a terminal.
    fn add(&mut self, line: u32, severity: Severity, code: &'static str, mut reason: String) {
        if reason.contains(is_unprintable) {
            let shown = |letter: char| {
                if is_unprintable(letter) { letter.escape_unicode().collect() } else { letter.to_string() }
            };
            reason = reason.chars().map(shown).collect();
        }
        self.problems.push(Problem { document: self.document, line, severity, code, reason });
    }

    /// Sorted by line; the problems of one line stay in the order in which they were found.
    pub(crate) fn into_problems(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|problem| problem.line);
        self.problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_document_does_nothing_to_a_terminal() {
        let mut findings = Findings::new(DocumentName::Traffic);
        findings.error(2, "E-TR-VALUE", "backoff=\u{1b}[31mfixed: want doubling or fixed");
        let shown = findings.into_problems()[0].to_string();
        assert_eq!(shown, "traffic:2: error E-TR-VALUE: backoff=\\u{1b}[31mfixed: want doubling or fixed");
    }
}
