//! What the documents say: of the parser's remarks those that an operator should go on hearing after the commit.

use crate::{
    code::Code,
    facts::{Directory, OpenDomain, Remark},
    finding::Finding,
};

pub(crate) fn examine(directory: &Directory) -> Vec<Finding> {
    let of_remark =
        |remark: &Remark| Some(Finding::new(code_of(&remark.code)?, &remark.place, &remark.reason));
    let mut findings: Vec<Finding> = directory.remarks.iter().filter_map(of_remark).collect();
    // SEED-041: only somebody who checks the recipients ends this warning.
    findings.extend(directory.open_domains.iter().filter(|it| !it.is_probed).map(open_domain));
    if let Some(domain) = &directory.not_own {
        findings.push(Finding::new(Code::NotOwn, domain, "is not an own domain"));
    }
    findings
}

fn open_domain(open: &OpenDomain) -> Finding {
    let OpenDomain { place, domain, .. } = open;
    Finding::new(Code::ModeA, place, format!("every address of {domain} is accepted, and nobody checks them"))
}

/// Remarks that are not here were about the text as it was committed, such as a line that stands twice.
fn code_of(remark: &str) -> Option<Code> {
    Some(match remark {
        "W-OD-NORCPT" => Code::NoRecipients,
        "W-OD-NOROUTE" => Code::NoRoute,
        "W-LOOPRISK" => Code::SmartHost,
        "W-GW-SHADOW" => Code::RouteHidden,
        "W-EFF-PUBLIC" | "W-EFF-SHADOW" | "W-EFF-UNREACHABLE" | "W-PM-SHADOW" => Code::Access,
        "W-AL-FOREIGN" | "W-AC-FOREIGN" | "W-SRC-FOREIGN" => Code::Unheard,
        _ => return None,
    })
}
