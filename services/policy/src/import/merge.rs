//! The documents as they become, line by line, and from which file each line came.

use std::collections::{BTreeMap, BTreeSet};

use hikyaku_types::domain::Domain;

use super::{File, NewSecret, report::FileProblem, text_of};
use crate::{
    document::{DocumentName, Documents},
    problem::Problem,
    rules::parse,
};

/// A line, and the file and line that it came from; none: it was there.
#[derive(Debug, Clone)]
struct Line {
    text: String,
    origin: Option<(String, u32)>,
}

#[derive(Debug)]
pub(super) struct Drafts {
    current: Documents,
    lines: BTreeMap<DocumentName, Vec<Line>>,
    domains: BTreeSet<Domain>,
    secrets: BTreeMap<String, NewSecret>,
}

/// Where the lines of the documents came from.
#[derive(Debug)]
pub(super) struct Origins(BTreeMap<DocumentName, Vec<Option<(String, u32)>>>);

impl Drafts {
    pub(super) fn new(current: &Documents) -> Self {
        Self {
            current: current.clone(),
            lines: BTreeMap::new(),
            domains: BTreeSet::new(),
            secrets: BTreeMap::new(),
        }
    }

    /// As it was before.
    pub(super) fn current(&self, document: DocumentName) -> String {
        text_of(&self.current, document)
    }

    /// As it is so far.
    pub(super) fn text(&self, document: DocumentName) -> String {
        match self.lines.get(&document) {
            Some(lines) => joined(lines),
            None => self.current(document),
        }
    }

    /// The whole file is the document.
    pub(super) fn replace(&mut self, document: DocumentName, file: &File, text: &str) {
        let lines = (1..)
            .zip(text.lines())
            .map(|(number, line)| Line { text: line.to_owned(), origin: Some((file.name.clone(), number)) });
        self.lines.insert(document, lines.collect());
    }

    /// In front of everything, where nothing hides it.
    pub(super) fn prepend(&mut self, document: DocumentName, file: &File, number: u32, text: String) {
        let origin = Some((file.name.clone(), number));
        self.lines_of(document).insert(0, Line { text, origin });
    }

    pub(super) fn append(&mut self, document: DocumentName, file: &File, number: u32, text: String) {
        let origin = Some((file.name.clone(), number));
        self.lines_of(document).push(Line { text, origin });
    }

    /// The document is this one line.
    pub(super) fn replace_line(&mut self, document: DocumentName, file: &File, number: u32, text: &str) {
        self.lines.insert(document, Vec::new());
        self.append(document, file, number, text.to_owned());
    }

    /// In place of the first line that begins so, or behind everything.
    pub(super) fn replace_first(
        &mut self,
        document: DocumentName,
        file: &File,
        number: u32,
        beginning: &str,
        text: String,
    ) {
        let new = Line { text, origin: Some((file.name.clone(), number)) };
        let lines = self.lines_of(document);
        match lines.iter_mut().find(|line| line.text.trim_start().starts_with(beginning)) {
            Some(line) => *line = new,
            None => lines.push(new),
        }
    }

    /// `key = value` of `settings`.
    pub(super) fn set_key(&mut self, file: &File, number: u32, key: &str, value: &str) {
        self.retain(DocumentName::Settings, |line| {
            line.split_once('=').is_none_or(|(there, _)| there.trim() != key)
        });
        self.append(DocumentName::Settings, file, number, format!("{key} = {value}"));
    }

    /// Keeps the lines for which `keep` is true, of those that were there.
    pub(super) fn retain(&mut self, document: DocumentName, keep: impl Fn(&str) -> bool) {
        self.lines_of(document).retain(|line| line.origin.is_some() || keep(&line.text));
    }

    /// Mail for this domain is ours to accept.
    pub(super) fn own_domain(&mut self, domain: &Domain) {
        self.domains.insert(domain.clone());
    }

    /// The own domains there are and will be.
    pub(super) fn own_domains(&self) -> BTreeSet<Domain> {
        let text = self.text(DocumentName::OwnDomains);
        let there = text.lines().filter_map(|line| line.trim().parse().ok());
        there.chain(self.domains.iter().cloned()).collect()
    }

    pub(super) fn secret(&mut self, secret: NewSecret) {
        self.secrets.insert(secret.address.to_ascii_lowercase(), secret);
    }

    pub(super) fn add_domains(&mut self) {
        let mut findings = crate::problem::Findings::new(DocumentName::OwnDomains);
        let table = parse::own_domains::parse(&self.text(DocumentName::OwnDomains), &mut findings);
        let missing: Vec<Domain> =
            self.domains.iter().filter(|domain| !table.contains(domain)).cloned().collect();
        for domain in missing {
            self.lines_of(DocumentName::OwnDomains).push(Line { text: domain.to_string(), origin: None });
        }
    }

    pub(super) fn finish(self) -> (Documents, Vec<NewSecret>, Origins) {
        let mut documents = self.current;
        let mut origins = BTreeMap::new();
        for (document, lines) in self.lines {
            documents.set(document, joined(&lines));
            origins.insert(document, lines.into_iter().map(|line| line.origin).collect());
        }
        (documents, self.secrets.into_values().collect(), Origins(origins))
    }

    fn lines_of(&mut self, document: DocumentName) -> &mut Vec<Line> {
        let current = &self.current;
        self.lines.entry(document).or_insert_with(|| {
            let there = text_of(current, document);
            there.lines().map(|line| Line { text: line.to_owned(), origin: None }).collect()
        })
    }
}

impl Origins {
    /// The place of a problem in the words of the operator.
    pub(super) fn at_file(&self, problem: Problem) -> FileProblem {
        let place = problem.line.checked_sub(1).and_then(|line| usize::try_from(line).ok());
        let origin = place.and_then(|place| self.0.get(&problem.document)?.get(place)?.clone());
        let (file, line) = origin.unwrap_or_else(|| (problem.document.to_string(), problem.line));
        let Problem { severity, code, reason, .. } = problem;
        FileProblem { file, line, severity, code, reason }
    }
}

fn joined(lines: &[Line]) -> String {
    lines.iter().map(|line| format!("{}\n", line.text)).collect()
}
