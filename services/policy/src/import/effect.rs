//! effect.dat (spec.md 4.2): its grammar is that of `access`, so the file is the document. Whatever this
//! import or the directory has a route, an alias or an account for counts as an own domain.

use super::{
    File, Kind,
    merge::Drafts,
    report::{FileProblem, of_file},
};
use crate::{
    document::DocumentName,
    problem::Findings,
    rules::{
        Surroundings,
        parse::{self, ignoring},
        table::own_domains::OwnDomains,
    },
};

pub(super) fn import(
    file: &File,
    text: &str,
    drafts: &mut Drafts,
    files: &[(&File, String)],
) -> Vec<FileProblem> {
    let mut own = OwnDomains::default();
    for domain in drafts.own_domains() {
        own.insert(domain, 0);
    }
    let of_files = files.iter().filter(|(file, _)| file.kind == Kind::Gateway).map(|(_, text)| text.clone());
    for routes in of_files.chain([drafts.current(DocumentName::Routes)]) {
        let table = ignoring(DocumentName::Routes, |findings| {
            parse::routes::parse(&routes, &Surroundings::default(), findings)
        });
        for domain in table.domains() {
            own.insert(domain, 0);
        }
    }
    let mut findings = Findings::new(DocumentName::Access);
    parse::access::parse(text, &own, &mut findings);
    drafts.replace(DocumentName::Access, file, text);
    of_file(file, findings.into_problems())
}
