//! The relay list of PMail Server (spec.md 4.6) and its list of unconditional connections.

use std::net::IpAddr;

use super::{
    File,
    merge::Drafts,
    report::{FileProblem, of_file},
};
use crate::{document::DocumentName, problem::Findings, rules::parse};

pub(super) fn import(file: &File, text: &str, drafts: &mut Drafts) -> Vec<FileProblem> {
    let findings = parsed(text);
    drafts.replace(DocumentName::RelayNetworks, file, text);
    of_file(file, findings.into_problems())
}

/// Being greeted without conditions is no right to relay (SEED-095).
pub(super) fn import_connections(file: &File, text: &str, drafts: &mut Drafts) -> Vec<FileProblem> {
    let findings = parsed(text);
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let network = line.replace(' ', "");
        drafts.append(DocumentName::Connections, file, number, format!("{} accept", network.trim()));
    }
    of_file(file, findings.into_problems())
}

/// The document takes single addresses and comments; the file has neither.
fn parsed(text: &str) -> Findings {
    let mut findings = Findings::new(DocumentName::RelayNetworks);
    let mut rest = String::with_capacity(text.len());
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.parse::<IpAddr>().is_ok() {
            findings.error(number, "E-PM-FORMAT", format!("{line:?} has neither mask nor prefix length"));
        } else if line.starts_with([';', '\'']) {
            findings.error(number, "E-PM-FORMAT", format!("{line:?}"));
        } else {
            rest.push_str(line);
        }
        rest.push('\n');
    }
    parse::relay_networks::parse(&rest, &mut findings);
    findings
}
