//! What only shows when the lines are read together.

use std::collections::HashSet;

use hikyaku_types::traffic::{DestinationPattern, EgressRule, Rule, Settings, SiteRule, settings::key};

use super::Draft;
use crate::problem::Findings;

/// A pool that is named must exist, and one that exists should be named.
pub(super) fn pools(own: &Draft, findings: &mut Findings) {
    let mut unused: HashSet<_> = own.egress.iter().map(|rule| &rule.pool).collect();
    let pools = unused.clone();
    for rule in &own.destinations {
        let Some(pool) = &rule.settings.egress else { continue };
        unused.remove(pool);
        if !pools.contains(pool) {
            findings.error(rule.line.line, "E-TR-POOL", format!("there is no egress line for {pool}"));
        }
    }
    for (index, rule) in own.egress.iter().enumerate() {
        let is_v4 = |rule: &EgressRule| rule.address.address.is_ipv4();
        let before = own.egress.iter().take(index).find(|earlier| earlier.pool == rule.pool);
        // A sender has one address of a pool, which reaches hosts of its family only.
        if before.is_some_and(|earlier| is_v4(earlier) != is_v4(rule)) {
            let reason = format!("{} has addresses of the other family; make two pools", rule.pool);
            findings.error(rule.line.line, "E-TR-FAMILY", reason);
        }
        if unused.remove(&rule.pool) {
            let reason = format!("no destination line says {}={}", key::EGRESS, rule.pool);
            findings.warning(rule.line.line, "W-TR-UNUSED", reason);
        }
    }
}

/// The first line that fits names a site.
pub(super) fn sites(own: &Draft, findings: &mut Findings) {
    let named: Vec<&SiteRule> = own.sites.iter().filter(|rule| !rule.pattern.is_everything()).collect();
    for (index, rule) in named.iter().enumerate() {
        let before = named.iter().take(index).find(|earlier| earlier.pattern.covers(&rule.pattern));
        if let Some(earlier) = before {
            let reason = format!("names no site: line {} fits first", earlier.line.line);
            findings.warning(rule.line.line, "W-TR-SHADOW", reason);
        }
    }
}

/// The administrator's `*` comes before what is shipped for one provider, which is not seen at once.
pub(super) fn hidden(own: &Draft, shipped: &Draft, findings: &mut Findings) {
    let wide = own.destinations.iter().find(|rule| rule.pattern == DestinationPattern::Everything);
    note(wide, &shipped.destinations, findings);
    let wide = own.sites.iter().find(|rule| rule.pattern.is_everything());
    let narrow: Vec<&SiteRule> = shipped.sites.iter().filter(|rule| !rule.pattern.is_everything()).collect();
    note(wide, narrow, findings);
}

fn note<'a, P: 'a, S: Settings + 'a>(
    wide: Option<&Rule<P, S>>,
    shipped: impl IntoIterator<Item = &'a Rule<P, S>>,
    findings: &mut Findings,
) {
    let Some(wide) = wide else { return };
    let said: HashSet<&str> =
        shipped.into_iter().flat_map(|rule| rule.settings.written()).map(|(key, _)| key).collect();
    let hidden: Vec<&str> =
        wide.settings.written().into_iter().map(|(key, _)| key).filter(|key| said.contains(key)).collect();
    if !hidden.is_empty() {
        let reason = format!("holds also where a shipped line says another {}", hidden.join(" and "));
        findings.note(wide.line.line, "N-TR-HIDES", reason);
    }
}
