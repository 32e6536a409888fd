//! `aliases`: `alias TAB target` (spec.md 4.4). Each source has one target; chains
//! have an end and at most ten steps (SEED-046).

use hikyaku_types::{address::Mailbox, domain::Domain};

use super::{
    ignoring,
    lines::{Line, clean_lines},
};
use crate::{
    document::DocumentName,
    problem::Findings,
    rules::table::{
        address::is_same,
        aliases::{AliasAddress, Aliases, Occupied, Source, Target},
    },
};

/// SEED-046: chains are followed so far.
pub(crate) const MAX_CHAIN: usize = 10;

pub(crate) fn parse(text: &str, findings: &mut Findings) -> Aliases {
    let mut table = Aliases::default();
    let mut rewrites = Vec::new();
    for line in clean_lines(text, findings) {
        let Some((source, target)) = entry(line, findings) else { continue };
        match table.insert(&source, target.clone(), line.number) {
            Ok(()) => note_mode_a(&source, &target, line.number, findings),
            Err(occupied) if occupied.same_target => {
                findings.warning(line.number, "W-DUP", format!("same entry as line {}", occupied.line));
                continue;
            }
            Err(occupied) => {
                let reason = format!("\"{}\" already on line {}", show(&source), occupied.line);
                findings.error(line.number, "E-AL-CONFLICT", reason);
                continue;
            }
        }
        if target != Target::Itself {
            rewrites.push((line.number, source));
        }
    }
    for (line, source) in rewrites {
        check_chain(&table, line, source, findings);
    }
    table
}

/// What a table says of an entry that may be put to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    New,
    /// The same is on this line.
    Same(u32),
    /// Another target is on this line.
    Other(u32),
}

pub(crate) fn known(table: &Aliases, text: &str) -> Known {
    let entry = ignoring(DocumentName::Aliases, |findings| entry(Line { number: 0, text }, findings));
    let Some((source, target)) = entry else { return Known::New };
    match table.occupied(&source, &target) {
        None => Known::New,
        Some(Occupied { line, same_target: true }) => Known::Same(line),
        Some(Occupied { line, same_target: false }) => Known::Other(line),
    }
}

/// SEED-041: the second hazard of mode A stays visible.
fn note_mode_a(source: &Source, target: &Target, line: u32, findings: &mut Findings) {
    if let (Source::Wildcard(domain), Target::Itself) = (source, target) {
        findings.warning(line, "W-AL-MODEA", format!("every address of {domain} is accepted"));
    }
}

fn entry(line: Line<'_>, findings: &mut Findings) -> Option<(Source, Target)> {
    let fields: Vec<&str> = line.text.split('\t').map(str::trim).collect();
    let [alias, target] = fields[..] else {
        let reason = format!("{} field(s), want 2 separated by TAB", fields.len());
        findings.error(line.number, "E-AL-FIELDS", reason);
        return None;
    };
    match (source(alias), source(target)) {
        (Ok(source), Ok(meant)) => match right_side(&source, meant) {
            Some(target) => Some((source, target)),
            None => {
                findings.error(line.number, "E-AL-PATTERN", format!("{alias:?} -> {target:?}"));
                None
            }
        },
        (Err(Fault::NoDomain), _) | (_, Err(Fault::NoDomain)) => {
            findings.error(line.number, "E-AL-NODOMAIN", "both sides need a domain");
            None
        }
        (Err(Fault::Pattern), _) | (_, Err(Fault::Pattern)) => {
            findings.error(line.number, "E-AL-PATTERN", format!("{alias:?} -> {target:?}"));
            None
        }
        (Err(Fault::Address(reason)), _) | (_, Err(Fault::Address(reason))) => {
            findings.error(line.number, "E-AL-ADDRESS", reason);
            None
        }
    }
}

enum Fault {
    NoDomain,
    Pattern,
    Address(String),
}

/// One side: `*@domain` or an address.
fn source(text: &str) -> Result<Source, Fault> {
    let (local_part, domain) = text.rsplit_once('@').ok_or(Fault::NoDomain)?;
    if domain.is_empty() || domain.starts_with('[') {
        return Err(Fault::NoDomain);
    }
    if domain.contains('*') || (local_part.contains('*') && local_part != "*" && !local_part.starts_with('"'))
    {
        return Err(Fault::Pattern);
    }
    if local_part == "*" {
        let domain = domain.parse().map_err(|error| Fault::Address(format!("{text:?}: {error}")))?;
        return Ok(Source::Wildcard(domain));
    }
    let mailbox: Mailbox = text.parse().map_err(|error| Fault::Address(format!("{text:?}: {error}")))?;
    let domain = mailbox.domain().cloned().ok_or(Fault::NoDomain)?;
    Ok(Source::Address(AliasAddress { mailbox, domain }))
}

/// A wildcard target is allowed only right of a wildcard.
fn right_side(source: &Source, meant: Source) -> Option<Target> {
    match (source, meant) {
        (Source::Wildcard(from), Source::Wildcard(to)) if *from == to => Some(Target::Itself),
        (Source::Wildcard(_), Source::Wildcard(to)) => Some(Target::Domain(to)),
        (Source::Address(_), Source::Wildcard(_)) => None,
        (Source::Address(from), Source::Address(to)) if is_same(&from.mailbox, &to.mailbox) => {
            Some(Target::Itself)
        }
        (Source::Address(_) | Source::Wildcard(_), Source::Address(to)) => {
            Some(Target::Address(Box::new(to.mailbox)))
        }
    }
}

/// Follows the entries from `source` as the mail would go. The addresses of a wildcard are followed
/// together, by wildcards only: one that meets an exact entry on its way is followed from that entry.
fn check_chain(table: &Aliases, line: u32, source: Source, findings: &mut Findings) {
    let mut chain = vec![source];
    while let Some(next) = chain.last().and_then(|last| follow(table, last)) {
        let is_loop = chain.iter().any(|earlier| is_same_source(earlier, &next));
        chain.push(next);
        if is_loop {
            let shown: Vec<String> = chain.iter().map(show).collect();
            findings.error(line, "E-AL-LOOP", shown.join(" -> "));
            return;
        }
        if chain.len() > MAX_CHAIN + 1 {
            findings.error(line, "E-AL-CHAIN", format!("more than {MAX_CHAIN} steps"));
            return;
        }
    }
}

fn follow(table: &Aliases, source: &Source) -> Option<Source> {
    let address = |mailbox: Mailbox| {
        let domain = mailbox.domain()?.clone();
        Some(Source::Address(AliasAddress { mailbox, domain }))
    };
    match source {
        Source::Address(AliasAddress { mailbox, .. }) => table.step(mailbox)?.next.and_then(address),
        Source::Wildcard(domain) => match table.wildcard(domain)?.1 {
            Target::Itself => None,
            Target::Domain(to) => Some(Source::Wildcard(Domain::clone(to))),
            Target::Address(mailbox) => address(Mailbox::clone(mailbox)),
        },
    }
}

fn is_same_source(a: &Source, b: &Source) -> bool {
    match (a, b) {
        (Source::Address(a), Source::Address(b)) => is_same(&a.mailbox, &b.mailbox),
        (Source::Wildcard(a), Source::Wildcard(b)) => a == b,
        (Source::Address(_), Source::Wildcard(_)) | (Source::Wildcard(_), Source::Address(_)) => false,
    }
}

fn show(source: &Source) -> String {
    match source {
        Source::Wildcard(domain) => format!("*@{domain}"),
        Source::Address(AliasAddress { mailbox, .. }) => mailbox.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{table::aliases::DomainRule, tests::report};

    fn parsed(text: &str) -> (Aliases, Vec<String>) {
        report("aliases", |findings| parse(&text.replace("->", "\t"), findings))
    }

    fn next(table: &Aliases, address: &str) -> Option<String> {
        let address: Mailbox = address.parse().unwrap();
        let step = table.step(&address)?;
        Some(step.next.unwrap_or(address).to_string())
    }

    #[test]
    fn the_three_modes_of_the_specification() {
        let (table, problems) = parsed(
            "*@domain.jp -> *@domain.jp\nuser1@domain.co.jp->user1@domain.co.jp\n\
             vip1@hogehoge.jp->vip1@intra.hogehoge.jp\n",
        );
        assert_eq!(problems, ["aliases:1: warning W-AL-MODEA: every address of domain.jp is accepted"]);
        assert_eq!(next(&table, "Any.Thing@domain.jp").unwrap(), "Any.Thing@domain.jp");
        assert_eq!(next(&table, "USER1@domain.co.jp").unwrap(), "USER1@domain.co.jp");
        assert_eq!(next(&table, "\"user1\"@domain.co.jp").unwrap(), "\"user1\"@domain.co.jp");
        assert_eq!(next(&table, "user3@domain.co.jp"), None);
        assert_eq!(next(&table, "vip1@hogehoge.jp").unwrap(), "vip1@intra.hogehoge.jp");
        let rule = |domain: &str| table.domain_rule(&domain.parse().unwrap());
        assert_eq!(rule("domain.jp"), DomainRule::EveryAddress { line: 1 });
        assert_eq!(rule("domain.co.jp"), DomainRule::ByAddress);
        assert_eq!(rule("z.example"), DomainRule::Unlisted);
    }

    /// Spec.md 4.4 example 4.
    #[test]
    fn the_bad_example_of_the_specification() {
        let (_, problems) = parsed(
            "info -> info@domain.jp\nuser1@domain.jp user1@domain.jp\nuser1@domain.jp -> a@domain.jp\n\
             user1@domain.jp -> b@domain.jp\n*@a.jp -> fixed@*\nx@loop.jp -> y@loop.jp\ny@loop.jp -> x@loop.jp\n",
        );
        assert_eq!(
            problems,
            [
                "aliases:1: error E-AL-NODOMAIN: both sides need a domain",
                "aliases:2: error E-AL-FIELDS: 1 field(s), want 2 separated by TAB",
                "aliases:4: error E-AL-CONFLICT: \"user1@domain.jp\" already on line 3",
                "aliases:5: error E-AL-PATTERN: \"*@a.jp\" -> \"fixed@*\"",
                "aliases:6: error E-AL-LOOP: x@loop.jp -> y@loop.jp -> x@loop.jp",
                "aliases:7: error E-AL-LOOP: y@loop.jp -> x@loop.jp -> y@loop.jp",
            ]
        );
    }

    #[test]
    fn more_that_is_refused() {
        let (_, problems) = parsed(
            "a@d.jp -> *@d.jp\na*@d.jp -> b@d.jp\n*@d.jp -> x@[192.0.2.1]\na b@d.jp -> c@d.jp\na@-d.jp \
            -> c@d.jp\n\
             a@d.jp -> b@d.jp -> c@d.jp\n-> b@d.jp",
        );
        let codes: Vec<&str> = problems.iter().map(|problem| problem.split(": ").nth(1).unwrap()).collect();
        assert_eq!(
            codes,
            [
                "error E-AL-PATTERN",
                "error E-AL-PATTERN",
                "error E-AL-NODOMAIN",
                "error E-AL-ADDRESS",
                "error E-AL-ADDRESS",
                "error E-AL-FIELDS",
                "error E-AL-NODOMAIN",
            ]
        );
    }

    #[test]
    fn loops_through_wildcards() {
        let (_, problems) = parsed(
            "*@a.jp->*@b.jp\n*@b.jp->*@a.jp\n*@c.jp->u@d.jp\nu@d.jp->u@c.jp\n*@e.jp->x@e.jp\n*@f.jp->*@g.jp\nu@g.jp->u@f.jp",
        );
        assert_eq!(
            problems,
            [
                "aliases:1: error E-AL-LOOP: *@a.jp -> *@b.jp -> *@a.jp",
                "aliases:2: error E-AL-LOOP: *@b.jp -> *@a.jp -> *@b.jp",
                "aliases:3: error E-AL-LOOP: *@c.jp -> u@d.jp -> u@c.jp -> u@d.jp",
                "aliases:4: error E-AL-LOOP: u@d.jp -> u@c.jp -> u@d.jp",
                "aliases:7: error E-AL-LOOP: u@g.jp -> u@f.jp -> u@g.jp",
            ]
        );
    }

    #[test]
    fn a_chain_has_at_most_ten_steps() {
        let lines =
            |steps: u32| -> String { (0..steps).map(|n| format!("a{n}@d.jp->a{}@d.jp\n", n + 1)).collect() };
        assert_eq!(parsed(&lines(10)).1, Vec::<String>::new());
        assert_eq!(parsed(&lines(11)).1, ["aliases:1: error E-AL-CHAIN: more than 10 steps"]);
    }

    #[test]
    fn exact_beats_wildcard_and_repeats_are_harmless() {
        let (table, problems) =
            parsed("*@d.jp->all@e.jp\nvip@d.jp->vip@f.jp\nVIP@d.jp->vip@f.jp\nself@d.jp->Self@d.jp");
        assert_eq!(problems, ["aliases:3: warning W-DUP: same entry as line 2"]);
        assert_eq!(next(&table, "vip@d.jp").unwrap(), "vip@f.jp");
        assert_eq!(next(&table, "other@d.jp").unwrap(), "all@e.jp");
        assert_eq!(next(&table, "self@d.jp").unwrap(), "self@d.jp");
    }
}
