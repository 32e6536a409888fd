//! `traffic`: `destination PATTERN key=value...`, `site PATTERN key=value...`,
//! `source PATTERN key=value...`, `egress POOL ADDRESS [via HOST:PORT] [name NAME]`,
//! `defaults off`. The shipped rules are a text of the same kind.

mod fields; // key=value, with ranges
mod line; // one line -> one rule
mod check; // what only shows when the lines are read together

use hikyaku_types::traffic::{DestinationRule, EgressRule, RuleLine, SiteRule, SourceRule, TrafficRules};

use super::lines::{Line, data_lines};
use crate::{document::DocumentName, problem::Findings, rules::table::traffic::Traffic};

/// What the program ships; evaluated after the document.
const DEFAULTS: &str = include_str!("../../../../config/traffic-defaults");

/// The lines of one text.
#[derive(Debug, Default)]
struct Draft {
    destinations: Vec<DestinationRule>,
    sites: Vec<SiteRule>,
    sources: Vec<SourceRule>,
    egress: Vec<EgressRule>,
    defaults_off: Option<u32>,
}

pub(crate) fn parse(text: &str, findings: &mut Findings) -> Traffic {
    let own = read(text, false, findings);
    // A test keeps them free of problems.
    let mut of_defaults = Findings::new(DocumentName::Traffic);
    let shipped = match own.defaults_off {
        Some(_) => Draft::default(),
        None => read(DEFAULTS, true, &mut of_defaults),
    };
    check::pools(&own, findings);
    check::sites(&own, findings);
    check::hidden(&own, &shipped, findings);
    let rules = TrafficRules::new(
        joined(own.destinations, shipped.destinations),
        joined(own.sites, shipped.sites),
        joined(own.sources, shipped.sources),
        joined(own.egress, shipped.egress),
    );
    Traffic::new(rules, &[text, DEFAULTS].join("\n"))
}

fn joined<T>(mut own: Vec<T>, shipped: Vec<T>) -> Vec<T> {
    own.extend(shipped);
    own
}

fn read(text: &str, shipped: bool, findings: &mut Findings) -> Draft {
    let mut draft = Draft::default();
    for line in data_lines(text) {
        let line = Line { text: without_comment(line.text), ..line };
        if line.text.is_empty() || !line.is_clean(findings) {
            continue;
        }
        let at = RuleLine { shipped, line: line.number };
        line::read(line.text, at, &mut draft, findings);
    }
    draft
}

/// `#` at the beginning or after a blank; an address may have one inside.
fn without_comment(text: &str) -> &str {
    let starts = text.match_indices('#').map(|(at, _)| at);
    let comment = starts
        .filter_map(|at| text.get(..at))
        .find(|before| before.is_empty() || before.ends_with([' ', '\t']));
    comment.unwrap_or(text).trim_end()
}

#[cfg(test)]
mod tests;
