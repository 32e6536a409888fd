//! sender.dat (spec.md 4.3): the rules of one sender, or of everybody, become lines of `sender-rules`.

use super::{
    File,
    merge::Drafts,
    report::{FileProblem, of_file},
};
use crate::{
    document::DocumentName,
    problem::Findings,
    rules::parse::{data_lines, sender_rules::recipients_of},
};

const EVERYBODY: &str = "*";

pub(super) fn import(file: &File, text: &str, whose: Option<&str>, drafts: &mut Drafts) -> Vec<FileProblem> {
    let whose = whose.unwrap_or(EVERYBODY).to_ascii_lowercase();
    // The file is all that is said of this sender.
    drafts.retain(DocumentName::SenderRules, |line| {
        !line.split_whitespace().next().is_some_and(|first| first.eq_ignore_ascii_case(&whose))
    });
    let mut findings = Findings::new(DocumentName::SenderRules);
    let (mut last, mut has_last_word) = (None, false);
    for line in data_lines(text) {
        if !line.is_clean(&mut findings) {
            continue;
        }
        let fields: Vec<&str> = line.text.split(',').map(str::trim).collect();
        let [pattern, option] = fields[..] else {
            findings.error(line.number, "E-SND-FIELDS", format!("{} field(s), want 2", fields.len()));
            continue;
        };
        let recipients = recipients_of(pattern);
        if recipients.is_none() {
            let reason = format!("{pattern:?} is not *, *@domain or user@domain");
            findings.error(line.number, "E-SND-PATTERN", reason);
        }
        let permission = match option {
            "0" => Some("allow"),
            "-1" => Some("deny"),
            _ => {
                findings.error(line.number, "E-SND-OPTION", format!("{option:?} is not 0 or -1"));
                None
            }
        };
        if let (Some(_), Some(permission)) = (recipients, permission) {
            last = Some(line.number);
            has_last_word |= pattern == EVERYBODY;
            drafts.append(
                DocumentName::SenderRules,
                file,
                line.number,
                format!("{whose} {pattern} {permission}"),
            );
        }
    }
    if let Some(line) = last.filter(|_| !has_last_word) {
        findings.warning(line, "W-SND-DEFAULTDENY", "no \"*\" line: every other recipient is refused");
    }
    of_file(file, findings.into_problems())
}
