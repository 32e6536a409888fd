//! gateway.dat (spec.md 4.1): its grammar is that of `routes`, so the file is the document.

use super::{
    File, Options,
    merge::Drafts,
    report::{FileProblem, of_file},
};
use crate::{
    document::DocumentName,
    problem::Findings,
    rules::{Surroundings, parse, table::routes::NextHop},
};

pub(super) fn import(
    file: &File,
    text: &str,
    options: &Options,
    surroundings: &Surroundings,
    drafts: &mut Drafts,
) -> Vec<FileProblem> {
    let mut findings = Findings::new(DocumentName::Routes);
    let table = parse::routes::parse(text, surroundings, &mut findings);
    drafts.replace(DocumentName::Routes, file, text);
    let mut problems = of_file(file, findings.into_problems());
    // SEED-014: said explicitly, behind everything, where it can hide nothing.
    if options.wildcard_includes_apex {
        problems.retain(|problem| problem.code != "W-GW-APEX");
        for (line, domain, NextHop { host, port }) in table.wildcards_without_apex() {
            drafts.append(DocumentName::Routes, file, line, format!("{domain},{host},{port}"));
        }
    }
    problems
}
