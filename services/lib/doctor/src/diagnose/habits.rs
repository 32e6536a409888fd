//! What the failures of a day have in common: where sessions end, after which time, behind how many octets
//! (SEED-212, SEED-213).

use std::{collections::BTreeMap, ops::RangeInclusive};

use super::{
    past::{Past, PastFailure},
    step::{Mark, Step, StepReport},
};

/// Fewer ends may be alike by chance.
const ENOUGH: usize = 3;
/// Counts of octets are those that were handed to the machine, which cuts them into packets and holds a few
/// that are not yet sent; with small counts less is noise.
const SAME_OCTETS: RangeInclusive<u64> = 4_096..=65_536;
/// Sooner nobody's timer ends.
const SHORTEST_TIMER: u64 = 2_000;
const SAME_TIME: u64 = 1_000;
/// The server is about to say that it is too busy.
const NOT_AVAILABLE: u16 = 421;

pub(super) fn examine(past: &Past) -> StepReport {
    let mut seen = vec![format!(
        "{} sessions and {} failures within {} of this node's memory",
        past.sessions,
        past.failures.len(),
        span(past.reach)
    )];
    let silent = by_phase(past.failures.iter().filter(|failure| failure.code.is_none()));
    let said = by_phase(past.failures.iter().filter(|failure| failure.code.is_some()));
    let mut help = Vec::new();
    for (phase, failures) in &silent {
        let (line, advice) = without_reply(phase, failures, past.sessions);
        seen.push(line);
        help.extend(advice);
        for (line, advice) in
            [constant_octets(phase, failures), constant_time(phase, failures)].into_iter().flatten()
        {
            seen.push(line);
            help.push(advice);
        }
    }
    for (phase, failures) in &said {
        let last = failures.iter().min_by_key(|failure| failure.age);
        let last = last.map(|failure| failure.what.as_str()).unwrap_or_default();
        seen.push(format!("{} refused at {phase}; the last: {last}", failures.len()));
    }
    let busy = past.failures.iter().filter(|failure| failure.code == Some(NOT_AVAILABLE)).count();
    if busy > 0 && !silent.is_empty() {
        seen.push(format!("among them {busy} times 421"));
        help.push("421 beside ends without a word: the trouble is the peer's");
    }
    if let Some(reason) = &past.held {
        seen.push(format!("an operator holds this destination: {reason}"));
        help.push("nothing is attempted until `hikyakuctl queue release`");
    }
    let mark = if help.is_empty() { Mark::Ok } else { Mark::Warn };
    help.dedup();
    StepReport::new(Step::Past, mark, seen, &help.join("; "))
}

type ByPhase<'a> = BTreeMap<&'a str, Vec<&'a PastFailure>>;

fn by_phase<'a>(failures: impl Iterator<Item = &'a PastFailure>) -> ByPhase<'a> {
    let mut phases = ByPhase::new();
    for failure in failures {
        phases.entry(&failure.phase).or_default().push(failure);
    }
    phases
}

/// What most of them waited is the middle one's wait.
fn without_reply(phase: &str, failures: &[&PastFailure], sessions: u64) -> (String, Option<&'static str>) {
    let waited = middle(failures.iter().map(|failure| failure.waited));
    let limit = middle(failures.iter().map(|failure| failure.limit));
    let count = failures.len();
    let ended =
        format!("{count} of {sessions} sessions ended without a reply at {phase} after {}", seconds(waited));
    if phase == "dns" {
        return (ended, None);
    }
    let line = format!("{ended}; the limit for {phase} is {}", seconds(limit));
    if is_used_up(waited, limit) {
        (
            line + ": a higher limit may help",
            Some(
                "the time was used up: the peer is slow, and a higher timeout_ of the destination in traffic may help",
            ),
        )
    } else {
        let advice = "the peer or a box between ended them: a higher limit cannot help";
        (line + ": a higher limit cannot help", Some(advice))
    }
}

/// Large packets that never arrive, or a filter that reads along.
fn constant_octets(phase: &str, failures: &[&PastFailure]) -> Option<(String, &'static str)> {
    let cut: Vec<u64> = failures
        .iter()
        .filter(|failure| failure.sent > 0 && failure.sent < failure.size)
        .map(|f| f.sent)
        .collect();
    let (least, most) = (*cut.iter().min()?, *cut.iter().max()?);
    let is_constant =
        cut.len() >= ENOUGH && most - least <= (least / 4).clamp(*SAME_OCTETS.start(), *SAME_OCTETS.end());
    is_constant.then(|| {
        let line = format!("{} of them ended in {phase} at a constant byte count, {most}", cut.len());
        (
            line,
            "suspect the MTU of the way or a filter that reads content: try with a smaller MTU on this node",
        )
    })
}

/// Somebody's timer for connections that are idle; our own is no news.
fn constant_time(phase: &str, failures: &[&PastFailure]) -> Option<(String, &'static str)> {
    let timed: Vec<u64> = failures
        .iter()
        .filter(|failure| failure.waited >= SHORTEST_TIMER && !is_used_up(failure.waited, failure.limit))
        .map(|failure| failure.waited)
        .collect();
    let (least, most) = (*timed.iter().min()?, *timed.iter().max()?);
    let is_constant = timed.len() >= ENOUGH && most - least <= SAME_TIME.max(most / 20);
    is_constant.then(|| {
        let line = format!("{} of them ended in {phase} at constant seconds, {}", timed.len(), seconds(most));
        (line, "an idle timer of the peer or of a firewall between ends them")
    })
}

/// Nine tenths of the limit: clocks are read a little before and after.
fn is_used_up(waited: u64, limit: u64) -> bool {
    waited.saturating_mul(10) >= limit.saturating_mul(9)
}

fn middle(values: impl Iterator<Item = u64>) -> u64 {
    let mut values: Vec<u64> = values.collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{} s", milliseconds / 1_000, milliseconds % 1_000 / 100)
}

fn span(seconds: u64) -> String {
    match seconds {
        0..3_600 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3_600),
    }
}
