//! What a process shows at /metrics is what is declared: names, kinds, help, and every value of every label.
//! Whoever sends mail can make no series.

use std::collections::{BTreeMap, BTreeSet};

use hikyaku_measures::{Kind, Measure};

use crate::arch::metric_catalogue;

/// A line `name{label="value",...} number`.
fn series(line: &str) -> (&str, Vec<(&str, &str)>) {
    let Some((name, rest)) = line.split_once('{') else {
        return (line.split(' ').next().unwrap_or_default(), Vec::new());
    };
    let labels = rest.rsplit_once('}').map_or("", |(labels, _)| labels);
    // No declared value has a comma or a quotation mark in it.
    let pairs = labels.split(',').filter_map(|pair| pair.split_once('='));
    (name, pairs.map(|(label, value)| (label, value.trim_matches('"'))).collect())
}

fn kind(measure: &Measure) -> &'static str {
    match measure.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    }
}

fn is_of(name: &str, exposed: &str, kind: Kind) -> bool {
    match (name.strip_prefix(exposed), kind) {
        (Some(""), Kind::Counter | Kind::Gauge) => true,
        (Some(part), Kind::Histogram) => ["_bucket", "_sum", "_count"].contains(&part),
        (Some(_) | None, _) => false,
    }
}

/// Names of what was shown; problems are all told at once.
pub fn check(text: &str) -> BTreeSet<&'static str> {
    let declared: Vec<(String, &Measure)> =
        metric_catalogue::all().map(|measure| (measure.exposed(), measure)).collect();
    let (mut found, mut problems) = (BTreeSet::new(), BTreeSet::new());
    let mut comments: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            if let [what, name, rest] = comment.splitn(3, ' ').collect::<Vec<_>>()[..] {
                comments.insert((what, name), rest);
            }
            continue;
        }
        if line.is_empty() {
            continue;
        }
        let (name, labels) = series(line);
        let Some((exposed, measure)) =
            declared.iter().find(|(exposed, measure)| is_of(name, exposed, measure.kind))
        else {
            problems.insert(format!("{name} is not declared"));
            continue;
        };
        found.insert(measure.name);
        if comments.get(&("TYPE", exposed)) != Some(&kind(measure)) {
            problems.insert(format!("{exposed} is no {}", kind(measure)));
        }
        if comments.get(&("HELP", exposed)) != Some(&measure.help) {
            problems.insert(format!("{exposed}: {:?}", comments.get(&("HELP", exposed))));
        }
        let named: BTreeSet<&str> =
            labels.iter().map(|(label, _)| *label).filter(|label| *label != "le").collect();
        let wanted: Vec<(String, Vec<&str>)> =
            measure.labels.iter().map(|label| (label.name.replace('.', "_"), (label.values)())).collect();
        if named != wanted.iter().map(|(label, _)| label.as_str()).collect() {
            problems.insert(format!("{exposed} has the labels {named:?}"));
        }
        for (label, value) in &labels {
            let values = wanted.iter().find(|(name, _)| name == label);
            if values.is_some_and(|(_, values)| !values.contains(value)) {
                problems.insert(format!("{exposed}: {label} = {value}"));
            }
        }
    }
    assert!(problems.is_empty(), "{problems:#?}");
    found
}

/// The check sees what it should.
#[test]
fn what_is_not_declared_is_noticed() {
    let good = "# HELP smtp_server_proxy_errors_total Connections of PROXY peers without a header that can be read\n\
                # TYPE smtp_server_proxy_errors_total counter\nsmtp_server_proxy_errors_total 0\n";
    assert_eq!(check(good), BTreeSet::from(["smtp.server.proxy_errors"]));
    for bad in [
        good.replace("errors_total 0", "errors_total{domain=\"example.org\"} 0"),
        good.replace("counter", "gauge"),
        good.replace("# HELP", "# help"),
        format!("{good}made_up 1\n"),
        "# HELP mail_delivery_reports_total Reports to senders\n# TYPE mail_delivery_reports_total counter\n\
         mail_delivery_reports_total{kind=\"example.org\"} 1\n"
            .to_owned(),
    ] {
        assert!(std::panic::catch_unwind(|| check(&bad)).is_err(), "{bad}");
    }
}
