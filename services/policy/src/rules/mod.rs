//! The rules in force: documents in, answers out. Pure: no I/O, no clock.

pub(crate) mod parse; // text -> tables, with every problem
pub(crate) mod table; // tables, ordered for being asked
mod check; // what only shows when documents are read together
pub mod decision; // what an answer says
mod eval; // question -> answer
pub mod grow; // texts with what a new installation needs

use std::sync::Arc;

use crate::{
    document::{DocumentName, Documents},
    problem::{Findings, Problem, has_errors},
};

pub use parse::Surroundings;
use table::{
    aliases::Aliases, hosts::Hosts, own_domains::OwnDomains, relay_networks::RelayNetworks, routes::Route,
    routes::Routes, traffic::Traffic,
};

/// One version of the directory, ready to be asked.
#[derive(Debug)]
pub struct Rules {
    version: u64,
    own_domains: Arc<Parsed<OwnDomains>>,
    relay_networks: Arc<Parsed<RelayNetworks>>,
    aliases: Arc<Parsed<Aliases>>,
    routes: Arc<Parsed<Routes>>,
    smart_host: Arc<Parsed<Option<Route>>>,
    hosts: Arc<Parsed<Hosts>>,
    traffic: Arc<Parsed<Traffic>>,
}

/// A document that was read; kept as long as its text stays the same.
#[derive(Debug)]
struct Parsed<T> {
    text: Arc<str>,
    table: T,
    problems: Vec<Problem>,
}

/// Rules that may come into force, and what the operator should know of them.
#[derive(Debug)]
pub struct Accepted {
    pub rules: Rules,
    /// Warnings and notes.
    pub problems: Vec<Problem>,
}

/// A set of documents with at least one error; none of it comes into force (SEED-023).
#[derive(Debug, thiserror::Error)]
#[error("the documents have errors")]
pub struct Rejected {
    /// Errors, warnings and notes.
    pub problems: Vec<Problem>,
}

impl Rules {
    /// Reads and checks a whole set. What is unchanged since `previous` is not read again.
    pub fn build(
        version: u64,
        documents: &Documents,
        surroundings: &Surroundings,
        previous: Option<&Self>,
    ) -> Result<Accepted, Rejected> {
        let rules = Self {
            version,
            own_domains: read(
                documents,
                DocumentName::OwnDomains,
                previous.map(|rules| &rules.own_domains),
                parse::own_domains::parse,
            ),
            relay_networks: read(
                documents,
                DocumentName::RelayNetworks,
                previous.map(|rules| &rules.relay_networks),
                parse::relay_networks::parse,
            ),
            aliases: read(
                documents,
                DocumentName::Aliases,
                previous.map(|rules| &rules.aliases),
                parse::aliases::parse,
            ),
            routes: read(
                documents,
                DocumentName::Routes,
                previous.map(|rules| &rules.routes),
                |text, findings| parse::routes::parse(text, surroundings, findings),
            ),
            smart_host: read(
                documents,
                DocumentName::SmartHost,
                previous.map(|rules| &rules.smart_host),
                |text, findings| parse::smart_host::parse(text, surroundings, findings),
            ),
            hosts: read(
                documents,
                DocumentName::Hosts,
                previous.map(|rules| &rules.hosts),
                parse::hosts::parse,
            ),
            traffic: read(
                documents,
                DocumentName::Traffic,
                previous.map(|rules| &rules.traffic),
                parse::traffic::parse,
            ),
        };
        let problems = rules.problems();
        if has_errors(&problems) { Err(Rejected { problems }) } else { Ok(Accepted { rules, problems }) }
    }

    pub fn version(&self) -> u64 {
        self.version
    }

    pub fn documents(&self) -> Documents {
        let texts = [
            (DocumentName::OwnDomains, &self.own_domains.text),
            (DocumentName::RelayNetworks, &self.relay_networks.text),
            (DocumentName::Aliases, &self.aliases.text),
            (DocumentName::Routes, &self.routes.text),
            (DocumentName::SmartHost, &self.smart_host.text),
            (DocumentName::Hosts, &self.hosts.text),
            (DocumentName::Traffic, &self.traffic.text),
        ];
        texts.into_iter().map(|(document, text)| (document, Arc::clone(text))).collect()
    }

    fn problems(&self) -> Vec<Problem> {
        let of_each = [
            &self.own_domains.problems,
            &self.relay_networks.problems,
            &self.aliases.problems,
            &self.routes.problems,
            &self.smart_host.problems,
            &self.hosts.problems,
            &self.traffic.problems,
        ];
        let mut problems: Vec<Problem> = of_each.into_iter().flatten().cloned().collect();
        problems.extend(check::across_documents(self));
        problems.sort_by_key(|problem| (problem.document, problem.line));
        problems
    }
}

fn read<T>(
    documents: &Documents,
    document: DocumentName,
    previous: Option<&Arc<Parsed<T>>>,
    parse: impl FnOnce(&str, &mut Findings) -> T,
) -> Arc<Parsed<T>> {
    let text = documents.text(document);
    if let Some(unchanged) = previous.filter(|previous| previous.text == text) {
        return Arc::clone(unchanged);
    }
    let mut findings = Findings::new(document);
    let table = parse(&text, &mut findings);
    Arc::new(Parsed { text, table, problems: findings.into_problems() })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// What `parse` makes, and the problems in the operator's words.
    pub(crate) fn report<T>(document: &str, parse: impl FnOnce(&mut Findings) -> T) -> (T, Vec<String>) {
        let mut findings = Findings::new(document.parse().unwrap());
        let table = parse(&mut findings);
        (table, findings.into_problems().iter().map(ToString::to_string).collect())
    }

    /// Rules of texts that must be free of errors.
    pub(crate) fn rules(texts: &[(DocumentName, &str)]) -> Rules {
        let documents = texts.iter().map(|(document, text)| (*document, *text)).collect();
        match Rules::build(1, &documents, &Surroundings::default(), None) {
            Ok(accepted) => accepted.rules,
            Err(rejected) => panic!("{:?}", rejected.problems),
        }
    }

    #[test]
    fn one_error_among_many_lines_refuses_everything() {
        let lines: String =
            (0..500).map(|n| format!("d{n}.jp,192.168.0.20,{}\n", if n == 250 { 0 } else { 25 })).collect();
        let documents = Documents::from_iter([
            (DocumentName::Routes, lines),
            (DocumentName::OwnDomains, "a b".to_owned()),
        ]);
        let rejected = Rules::build(1, &documents, &Surroundings::default(), None).unwrap_err();
        let shown: Vec<String> = rejected.problems.iter().map(ToString::to_string).collect();
        assert_eq!(shown.len(), 2, "all problems at once");
        assert_eq!(shown[1], "routes:251: error E-GW-PORT: \"0\" is not 1-65535");
    }

    #[test]
    fn an_unchanged_document_is_not_read_again() {
        let first = rules(&[(DocumentName::Aliases, "a@d.jp\ta@d.jp"), (DocumentName::OwnDomains, "d.jp")]);
        let mut documents = first.documents();
        documents.set(DocumentName::OwnDomains, "d.jp\ne.jp");
        let second = Rules::build(2, &documents, &Surroundings::default(), Some(&first)).unwrap().rules;
        assert!(Arc::ptr_eq(&first.aliases, &second.aliases));
        assert!(!Arc::ptr_eq(&first.own_domains, &second.own_domains));
        assert_eq!((second.version(), second.documents()), (2, documents));
    }
}
