//! Single settings (spec.md 4.7): `key = value`, typed from the registry or the dialogs of the products.

use hikyaku_types::destination::HostName;

use super::{
    File, Options,
    merge::Drafts,
    report::{FileProblem, of_file},
};
use crate::{
    document::DocumentName,
    problem::{Findings, Severity},
    rules::{
        Surroundings,
        parse::{self, Line, clean_lines, ignoring},
        table::routes::RouteTarget,
    },
};

const DAY: u32 = 86_400;
const EVERYWHERE: &str = "destination * ";

pub(super) fn import(file: &File, text: &str, options: &Options, drafts: &mut Drafts) -> Vec<FileProblem> {
    let mut findings = Findings::new(DocumentName::Settings);
    for line in clean_lines(text, &mut findings) {
        match line.text.split_once('=') {
            Some((key, value)) => {
                scalar(file, line, (key.trim(), value.trim()), options, drafts, &mut findings);
            }
            None => findings.error(line.number, "E-SC-FIELDS", "want key = value"),
        }
    }
    of_file(file, findings.into_problems())
}

fn scalar(
    file: &File,
    line: Line<'_>,
    (key, value): (&str, &str),
    options: &Options,
    drafts: &mut Drafts,
    findings: &mut Findings,
) {
    let number: Option<u32> = value.parse().ok();
    let at = line.number;
    match key {
        "smarthost" => drafts.replace_line(DocumentName::SmartHost, file, at, value),
        "forward_all" => match value {
            "on" => {}
            "off" => mailboxes(file, at, options, drafts, findings),
            _ => findings.error(at, "E-SC-VALUE", format!("forward_all: {value:?} is not on or off")),
        },
        "retry_interval" | "give_up_temp" | "give_up_noreply" => match number {
            Some(seconds) => {
                let key = if key == "retry_interval" { "retry_base" } else { key };
                clock(file, at, &format!("{key}={seconds}s"), drafts, findings);
            }
            None => findings.error(at, "E-SC-VALUE", format!("{key}: {value:?} is not a number of seconds")),
        },
        "retry_fixed" => match value {
            "on" | "off" => {
                let backoff = if value == "on" { "fixed" } else { "doubling" };
                clock(file, at, &format!("backoff={backoff}"), drafts, findings);
            }
            _ => findings.error(at, "E-SC-VALUE", format!("retry_fixed: {value:?} is not on or off")),
        },
        "retry_5xx" => {
            let reason = "a 5yz is final here; the sender hears of it at once";
            findings.note(at, "N-5XX", reason);
        }
        "max_received" => match number.filter(|count| (1..=1_000).contains(count)) {
            Some(count) => drafts.set_key(file, at, "max_received", &count.to_string()),
            None => findings.error(at, "E-SC-VALUE", format!("max_received: {value:?} is not 1 to 1000")),
        },
        "mx_cache" => match number {
            Some(seconds) if seconds > DAY => {
                findings.note(at, "N-SC-MXCACHE", "answers are kept as long as DNS says, and a day at most");
            }
            Some(_) => findings.note(at, "N-SC-MXCACHE", "answers are kept as long as DNS says"),
            None => {
                findings.error(at, "E-SC-VALUE", format!("mx_cache: {value:?} is not a number of seconds"))
            }
        },
        "send_timeout" | "recv_timeout" => {
            findings.note(at, "N-SC-TIMEOUT", "each command has the time of RFC 5321 4.5.3.2 here");
        }
        "slots" => findings.note(at, "N-SC-SLOTS", "each destination has its own sessions here"),
        _ => findings.error(at, "E-SC-KEY", format!("{key:?} is not a setting that is carried over")),
    }
}

/// SEED-031.
fn mailboxes(file: &File, line: u32, options: &Options, drafts: &mut Drafts, findings: &mut Findings) {
    let accounts = drafts.text(DocumentName::Accounts).lines().filter(|line| !line.trim().is_empty()).count();
    let Some(host) = &options.mailbox_host else {
        let reason = format!("{accounts} accounts would have local mailboxes; give --mailbox-host");
        return findings.error(line, "E-FWD-LOCALBOXES", reason);
    };
    let (host, port) = match host.rsplit_once(':') {
        Some((host, port)) if host.parse::<HostName>().is_ok() => (host, port),
        Some(_) | None => (host.as_str(), "25"),
    };
    // Local delivery came before the table.
    let there = drafts.text(DocumentName::Routes);
    let table = ignoring(DocumentName::Routes, |findings| {
        parse::routes::parse(&there, &Surroundings::default(), findings)
    });
    for domain in drafts.own_domains() {
        if table.plain_of_target(&RouteTarget::Domain(domain.clone())).is_none() {
            drafts.prepend(DocumentName::Routes, file, line, format!("{domain},{host},{port}"));
        }
    }
}

/// Retry clocks for every destination. What else is said of all destinations stays.
fn clock(file: &File, at: u32, field: &str, drafts: &mut Drafts, findings: &mut Findings) {
    let mut problems = Findings::new(DocumentName::Traffic);
    parse::traffic::parse(&format!("{EVERYWHERE}{field}"), &mut problems);
    if let Some(problem) = problems.into_problems().into_iter().find(|it| it.severity == Severity::Error) {
        return findings.error(at, problem.code, problem.reason);
    }
    let there = drafts.text(DocumentName::Traffic);
    let there = there.lines().find_map(|line| line.trim_start().strip_prefix(EVERYWHERE)).unwrap_or_default();
    let key = field.split('=').next().unwrap_or_default();
    let others = there.split_whitespace().filter(|it| it.split('=').next() != Some(key));
    let fields: Vec<&str> = others.chain([field]).collect();
    let line = format!("{EVERYWHERE}{}", fields.join(" "));
    drafts.replace_first(DocumentName::Traffic, file, at, EVERYWHERE, line);
}
