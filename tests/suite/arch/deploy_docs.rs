//! What deploy/README.md tells people to type exists: commands with their flags, keys of the configuration, values of the
//! chart, files.

use std::{collections::BTreeSet, fs, process::Command};

use hikyaku_testkit::relay::ctl;

use super::root;
use crate::chart::{documented, helm::program};

fn manual() -> String {
    fs::read_to_string(root().join("deploy/README.md")).unwrap()
}

/// Commands of this program, wherever they stand: in blocks to the end of the line, in text to the end of the mark.
fn commands(text: &str, program: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for line in text.lines() {
        for (before, _) in line.match_indices(&format!("{program} ")) {
            let is_whole = !line[..before].ends_with(|c: char| c.is_alphanumeric() || "/-_".contains(c));
            let quoted = line[..before].matches('`').count() % 2 == 1;
            let rest = &line[before + program.len() + 1..];
            let rest = if quoted { rest.split('`').next().unwrap_or_default() } else { rest };
            let in_text = !quoted && line[..before].trim() != "";
            if is_whole && !in_text {
                found.push(words(rest));
            }
        }
    }
    found
}

/// As a shell parts them, to the end of the command.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), false);
    for c in line.chars() {
        match c {
            '\'' => quote = !quote,
            '#' | '|' | '>' | ';' | '&' if !quote => break,
            ' ' if !quote => words.extend((!word.is_empty()).then(|| std::mem::take(&mut word))),
            c => word.push(c),
        }
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

#[tokio::test]
async fn commands_of_hikyakuctl_exist() {
    let commands = commands(&manual(), "hikyakuctl");
    assert!(commands.len() > 40, "{commands:?}");
    for mut words in commands {
        // The last word asks for help; what stands before is read first, and refused when it is not known.
        words.push("--help".to_owned());
        let output = ctl().args(&words).output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "hikyakuctl {words:?}: {said}");
    }
    let unknown = ctl().args(["queue", "list", "--no-such-flag", "--help"]).output().await.unwrap();
    assert!(!unknown.status.success(), "help hides what is wrong before it");
}

#[test]
fn commands_of_helm_exist() {
    let Some(helm) = program() else { return };
    let commands = commands(&manual(), "helm");
    assert!(commands.len() > 5, "{commands:?}");
    for words in commands {
        let files: Vec<&String> = words.iter().filter(|word| word.starts_with("helm/")).collect();
        assert!(files.iter().all(|file| root().join(file).exists()), "{words:?}");
        let output = Command::new(&helm).args(&words).arg("--help").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "helm {words:?}: {said}");
    }
}

/// Marked words and keys of blocks.
#[test]
fn keys_and_values_exist() {
    let text = manual();
    let keys = fs::read_to_string(root().join("services/hikyaku/config/hikyaku.toml")).unwrap();
    let is_key = |key: &str| {
        let names = |line: &str| line.trim_start_matches(['#', ':', ' ']).starts_with(&format!("{key} ="));
        keys.lines().any(names)
    };
    let values = documented::values();
    let tops: BTreeSet<&str> = values.iter().filter_map(|value| value.split('.').next()).collect();
    let is_value = |path: &str| {
        let is_above = |value: &String| value == path || value.starts_with(&format!("{path}."));
        values.iter().any(is_above)
    };
    let mut checked = 0;
    for block in blocks(&text, "toml") {
        for line in block.lines().filter(|line| line.contains(" = ")) {
            let key = line.split(" = ").next().unwrap_or_default();
            assert!(is_key(key), "hikyaku.toml has no {key}");
            checked += 1;
        }
    }
    for block in blocks(&text, "yaml") {
        let mut above: Vec<(usize, &str)> = Vec::new();
        for line in block.lines() {
            let (indent, rest) = (line.len() - line.trim_start().len(), line.trim_start());
            let key = rest.split(':').next().unwrap_or_default();
            above.retain(|(column, _)| *column < indent);
            above.push((indent, key));
            let path = above.iter().map(|(_, key)| *key).collect::<Vec<_>>().join(".");
            assert!(is_value(&path), "values.yaml has no {path}");
            checked += 1;
        }
    }
    for marked in text.split('`').skip(1).step_by(2) {
        let path = marked.split([':', ' ']).next().unwrap_or_default();
        let is_path = path.contains('.') && path.chars().all(|c| c.is_ascii_alphanumeric() || c == '.');
        if is_path && tops.contains(path.split('.').next().unwrap_or_default()) {
            assert!(is_value(path), "values.yaml has no {path}");
            checked += 1;
        }
        if marked.ends_with("_seconds") || marked.starts_with("max_") && !marked.contains(['=', ' ']) {
            let is_of_nats = ["max_msgs", "max_bytes", "max_age"].contains(&marked);
            assert!(is_of_nats || is_key(marked), "hikyaku.toml has no {marked}");
            checked += 1;
        }
        let is_file = ["tests/", "deploy/", "helm/", "services/"].iter().any(|top| marked.starts_with(top));
        if is_file && !marked.contains(' ') {
            let place = root().join(marked);
            assert!(place.exists() || place.with_extension("rs").exists(), "there is no {marked}");
            checked += 1;
        }
    }
    assert!(checked > 30, "{checked}");
}

fn blocks<'a>(text: &'a str, kind: &str) -> Vec<&'a str> {
    text.split(&format!("```{kind}\n")).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn the_front_page_leads_there() {
    let front = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(front.contains("(deploy/README.md)"));
}
