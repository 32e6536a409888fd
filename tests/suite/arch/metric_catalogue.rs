//! The metrics of the code and the table of the README are the same.

use std::{collections::BTreeSet, fs};

const FILES: [&str; 7] = [
    "services/ingress/src/metrics.rs",
    "services/policy/src/metrics.rs",
    "services/delivery/src/metrics.rs",
    "services/lib/queue/src/metrics.rs",
    "services/lib/policy-client/src/metrics.rs",
    "services/lib/grpc/src/metrics.rs",
    "services/lib/mail-log/src/metrics.rs",
];

#[test]
fn readme_names_every_metric() {
    let root = super::root();
    let mut in_code = BTreeSet::new();
    for file in FILES {
        let text = fs::read_to_string(root.join(file)).unwrap();
        let constants = text.lines().filter(|line| line.trim_start().starts_with("pub const "));
        let names = constants.filter_map(|line| line.split('"').nth(1)).map(str::to_owned);
        in_code.extend(names);
    }
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let table = readme.split("| metric |").nth(1).unwrap().split("\n\n").next().unwrap();
    let in_readme: BTreeSet<String> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .map(str::to_owned)
        .collect();
    assert_eq!(in_code, in_readme);
    assert!(in_code.len() > 10);
}
