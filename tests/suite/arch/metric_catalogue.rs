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
