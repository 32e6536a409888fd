//! Every metric is declared with all that its labels can be; services/METRICS.md shows the declarations
//! (`UPDATE_GOLDEN=1` writes its table).

use std::{collections::BTreeSet, fs};

use hikyaku_measures::{Kind, Measure};

/// Where they are declared, and for which roles they are shown.
pub const DECLARED: [(&str, &str, &[Measure]); 8] = [
    ("services/ingress/src/metrics.rs", "ingress", hikyaku_ingress::metrics::ALL),
    ("services/delivery/src/metrics.rs", "delivery", hikyaku_delivery::metrics::ALL),
    ("services/policy/src/metrics.rs", "policy", hikyaku_policy::metrics::ALL),
    ("services/lib/queue/src/metrics.rs", "every role", hikyaku_queue::metrics::ALL),
    (
        "services/lib/policy-client/src/metrics.rs",
        "ingress and delivery",
        hikyaku_policy_client::metrics::ALL,
    ),
    ("services/lib/grpc/src/metrics.rs", "every role", hikyaku_grpc::metrics::ALL),
    ("services/lib/mail-log/src/metrics.rs", "every role", hikyaku_mail_log::metrics::ALL),
    ("services/lib/runtime/src/metrics.rs", "every role", hikyaku_runtime::metrics::ALL),
];

const BEGIN: &str =
    "<!-- made by the code: UPDATE_GOLDEN=1 cargo test -p hikyaku-suite metric_catalogue -->\n";

pub fn all() -> impl Iterator<Item = &'static Measure> {
    DECLARED.iter().flat_map(|(_, _, measures)| measures.iter())
}

fn table() -> String {
    let mut table =
        "| metric | in Prometheus | kind | of | labels | what it says |\n|---|---|---|---|---|---|\n"
            .to_owned();
    for (_, roles, measures) in DECLARED {
        for measure in measures {
            let labels = measure
                .labels
                .iter()
                .map(|label| format!("`{}` = {}", label.name, (label.values)().join(", ")));
            let kind = match measure.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram => "histogram",
            };
            let zero =
                if measure.kind == Kind::Counter && !measure.begins_at_zero() { ", not from 0" } else { "" };
            table += &format!(
                "| `{}` | `{}` | {kind}{zero} | {roles} | {} | {} |\n",
                measure.name,
                measure.exposed(),
                labels.collect::<Vec<_>>().join("; "),
                measure.help
            );
        }
    }
    table
}

#[test]
fn the_documentation_shows_every_metric() {
    super::is_made_by_the_code("services/METRICS.md", BEGIN, &table());
}

/// A name is a constant, and each constant is declared once.
#[test]
fn every_name_is_declared() {
    let mut declared = BTreeSet::new();
    for measure in all() {
        assert!(declared.insert(measure.name), "{} is declared twice", measure.name);
        assert!(!measure.help.is_empty() && !measure.help.contains('|'), "{}", measure.name);
        for label in measure.labels {
            let values = (label.values)();
            let different: BTreeSet<&str> = values.iter().copied().collect();
            assert!(
                !values.is_empty() && different.len() == values.len(),
                "{} of {}",
                label.name,
                measure.name
            );
        }
    }
    let mut constants = BTreeSet::new();
    for (file, ..) in DECLARED.into_iter().chain([("services/lib/runtime/src/traces.rs", "", &[][..])]) {
        let text = fs::read_to_string(super::root().join(file)).unwrap();
        let lines = text.lines().filter(|line| line.starts_with("pub const ") && line.contains(": &str = "));
        constants.extend(lines.filter_map(|line| line.split('"').nth(1)).map(str::to_owned));
    }
    assert_eq!(declared, constants.iter().map(String::as_str).collect());
}

/// Scrapers get the same series by either format. OpenMetrics calls a counter by its name without `_total`, so
/// another metric must not have that; and it wants quotation marks in a help written otherwise.
#[test]
fn names_are_good_for_open_metrics() {
    let mut families = BTreeSet::new();
    for measure in all() {
        let exposed = measure.exposed();
        assert_eq!(exposed.ends_with("_total"), measure.kind == Kind::Counter, "{exposed}");
        assert!(!measure.help.contains(['"', '\\']), "{exposed}: {}", measure.help);
        let family = exposed.trim_end_matches("_total").to_owned();
        let parts = ["", "_total", "_created", "_bucket", "_count", "_sum"];
        for part in parts {
            assert!(!families.contains(&format!("{family}{part}")), "{family}{part} is there twice");
            let whole = family.strip_suffix(part).filter(|_| !part.is_empty());
            assert!(!whole.is_some_and(|whole| families.contains(whole)), "{family} is a part of another");
        }
        families.insert(family);
    }
}

/// The exemplar of a value is the trace in which its histogram is asked for, so nobody asks before there is a value.
#[test]
fn histograms_are_asked_for_when_something_is_recorded() {
    let services = super::root().join("services");
    let mut folders = vec![services];
    let mut found = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&entry).unwrap();
                for (_, after) in text.match_indices("histogram!(").map(|(at, _)| text.split_at(at)) {
                    let mut open = 0;
                    let end = after.find(|c| {
                        open += i32::from(c == '(') - i32::from(c == ')');
                        c == ')' && open == 0
                    });
                    let rest = end.map_or("", |end| &after[end + 1..]).trim_start();
                    let is_description = text[..text.len() - after.len()].ends_with("describe_");
                    assert!(is_description || rest.starts_with(".record("), "{entry:?}: {after:.80}");
                    found += 1;
                }
            }
        }
    }
    assert!(found > 8, "{found}");
}
