//! The top level is what was agreed, so that a newcomer finds the same few doors for ever.

use std::{collections::BTreeSet, process::Command};

const AGREED: [&str; 9] =
    ["Cargo.lock", "Cargo.toml", "LICENSE", "README.md", "deploy", "helm", "proto", "services", "tests"];

#[test]
fn the_top_is_as_agreed() {
    let output = Command::new("git").args(["ls-files"]).current_dir(super::root()).output().unwrap();
    let files = String::from_utf8(output.stdout).unwrap();
    let found: BTreeSet<&str> = files
        .lines()
        .filter_map(|path| path.split('/').next())
        .filter(|name| !name.starts_with('.'))
        .collect();
    let agreed: BTreeSet<&str> = AGREED.into();
    assert_eq!(found, agreed);
}
