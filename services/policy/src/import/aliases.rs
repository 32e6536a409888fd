//! The alias export (spec.md 4.4): its grammar is that of `aliases`. Entries that are there already are
//! not added again, and one that says something else refuses the import.

use std::collections::HashSet;

use hikyaku_types::domain::Domain;

use super::{
    File, Options,
    merge::Drafts,
    report::{FileProblem, of_file},
};
use crate::{
    document::DocumentName,
    problem::{Findings, Severity},
    rules::parse::{self, data_lines, ignoring},
};

pub(super) fn import(file: &File, text: &str, options: &Options, drafts: &mut Drafts) -> Vec<FileProblem> {
    let mut findings = Findings::new(DocumentName::Aliases);
    let table = parse::aliases::parse(text, &mut findings);
    let mut problems = of_file(file, findings.into_problems());
    let domains: Vec<Domain> = table.domains().map(|(domain, _)| domain.clone()).collect();
    for domain in &domains {
        drafts.own_domain(domain);
    }
    if options.sync {
        drafts.replace(DocumentName::Aliases, file, text);
        return problems;
    }
    let there = drafts.text(DocumentName::Aliases);
    let known = ignoring(DocumentName::Aliases, |findings| parse::aliases::parse(&there, findings));
    let bad: HashSet<u32> = problems
        .iter()
        .filter(|it| it.severity != Severity::Note && it.code != "W-AL-MODEA")
        .map(|it| it.line)
        .collect();
    for line in data_lines(text).filter(|line| !bad.contains(&line.number)) {
        match parse::aliases::known(&known, line.text) {
            parse::aliases::Known::New => {
                drafts.append(DocumentName::Aliases, file, line.number, line.text.to_owned());
            }
            parse::aliases::Known::Same(at) => problems.push(FileProblem {
                file: file.name.clone(),
                line: line.number,
                severity: Severity::Warning,
                code: "W-DUP",
                reason: format!("same entry as aliases:{at}"),
            }),
            parse::aliases::Known::Other(at) => {
                let alias = line.text.split('\t').next().unwrap_or_default().trim();
                problems.push(FileProblem {
                    file: file.name.clone(),
                    line: line.number,
                    severity: Severity::Error,
                    code: "E-AL-CONFLICT",
                    reason: format!("{alias:?} has another target in aliases:{at}"),
                });
            }
        }
    }
    problems
}
