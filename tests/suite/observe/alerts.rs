//! Each alert fires and does not fire in a test of promtool, and has a page that says what to do.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use super::yaml::{files, list, read};
use crate::chart::chart;

/// `None`, and it is said, where it is not.
pub fn promtool(arguments: &[&str], files: &[PathBuf]) -> Option<String> {
    let output = match Command::new("promtool").args(arguments).args(files).output() {
        Ok(output) => output,
        Err(error) => {
            println!("skipped: promtool: {error}; tests/get-peers installs it");
            return None;
        }
    };
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "promtool {}: {said}", arguments.join(" "));
    Some(said)
}

pub fn rules() -> Vec<PathBuf> {
    files(&chart().join("files/rules"), "yaml")
}

fn tests() -> Vec<PathBuf> {
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("observe/alerts"), "yaml")
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} of {value}"))
}

#[test]
fn alerts_fire_when_they_should() {
    let Some(said) = promtool(&["check", "rules"], &rules()) else { return };
    assert!(said.contains("SUCCESS"), "{said}");
    promtool(&["test", "rules"], &tests());
}

#[test]
fn each_alert_is_tried_both_ways() {
    let mut alerts = BTreeSet::new();
    for file in rules() {
        let Some(rules) = read(&file) else { return };
        for rule in list(&rules["groups"]).iter().flat_map(|group| list(&group["rules"])) {
            let (name, annotations) = (text(rule, "alert"), &rule["annotations"]);
            assert_eq!(text(annotations, "runbook_url"), format!("runbooks/{name}.md"));
            assert!(!text(annotations, "summary").is_empty(), "{name}");
            assert!(["critical", "warning"].contains(&text(&rule["labels"], "severity")), "{name}");
            assert!(alerts.insert(name.to_owned()), "{name} twice");
        }
    }
    let (mut fires, mut does_not) = (BTreeSet::new(), BTreeSet::new());
    for file in tests() {
        let Some(tests) = read(&file) else { return };
        for case in list(&tests["tests"]).iter().flat_map(|test| list(&test["alert_rule_test"])) {
            let side = if list(&case["exp_alerts"]).is_empty() { &mut does_not } else { &mut fires };
            side.insert(text(case, "alertname").to_owned());
        }
    }
    assert_eq!(fires, alerts);
    assert_eq!(does_not, alerts);
    let pages = files(&chart().join("runbooks"), "md");
    let pages: BTreeSet<String> =
        pages.iter().map(|page| page.file_stem().unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(pages, alerts);
}

/// What pages tell to type is understood, and what they lead to is there.
#[test]
fn pages_name_real_commands() {
    let mut tried = 0;
    for page in files(&chart().join("runbooks"), "md") {
        let (name, page) = (page.display().to_string(), fs::read_to_string(&page).unwrap());
        for part in ["# Hikyaku", "\n## What it means\n", "\n## First look\n", "\n## Actions\n"] {
            assert!(page.contains(part), "{name}: {part}");
        }
        for link in page.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            assert!(chart().join("runbooks").join(link).exists(), "{name}: {link}");
        }
        let lines = page.lines().filter(|line| line.starts_with("hikyakuctl "));
        let quoted = page.split('`').filter(|part| part.starts_with("hikyakuctl "));
        for command in lines.chain(quoted) {
            // Nobody is there, at port 1 instead of 25 neither. What cannot be understood is said before that is noticed.
            let output = Command::new(hikyaku_testkit::relay::program("hikyakuctl"))
                .args(["--server", "http://127.0.0.1:1", "--directory-server", "http://127.0.0.1:1"])
                .args(command.split_whitespace().skip(1).map(|word| word.replace("25", "1")))
                .env("HIKYAKU_TOKEN_FILE", "/nonexistent")
                .output()
                .expect("hikyakuctl is not built: cargo build --workspace");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(!said.contains("Usage:"), "{name}: {command}: {said}");
            tried += 1;
        }
    }
    assert!(tried > 50, "{tried}");
}
