//! Which requirement is shown by which tests: `services/REQUIREMENTS.md` is made from the list of requirements
//! and from the tests that name them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::Path,
};

const LIST: &str = "tests/golden/requirements.tsv";
const TABLE: &str = "services/REQUIREMENTS.md";

/// Of who may send what and where it goes, without a test yet, and why.
const OPEN: &[(&str, &str)] = &[];

struct Requirement {
    number: String,
    priority: String,
    title: String,
    reason: String,
}

fn requirements() -> Vec<Requirement> {
    let text = fs::read_to_string(super::root().join(LIST)).unwrap();
    let mut list = Vec::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [number, priority, title, reason] = fields[..] else { panic!("{line}: want four fields") };
        let [number, priority, title, reason] = [number, priority, title, reason].map(str::to_owned);
        list.push(Requirement { number, priority, title, reason });
    }
    list
}

/// Number -> tests that name it, as file: test, and transcripts.
fn tests() -> BTreeMap<String, BTreeSet<String>> {
    let root = super::root();
    let mut found = BTreeMap::new();
    for folder in ["services", "tests"] {
        visit(&root.join(folder), &root, &mut found);
    }
    found
}

fn visit(folder: &Path, root: &Path, found: &mut BTreeMap<String, BTreeSet<String>>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            visit(&path, root, found);
        } else if name.ends_with(".rs") && !path.ends_with("arch/requirements.rs") {
            let file = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            of_file(&file, &fs::read_to_string(&path).unwrap(), found);
        } else if name.ends_with(".smtp") {
            let file = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            let text = fs::read_to_string(&path).unwrap();
            let comments: Vec<&str> = text.lines().filter(|line| line.starts_with('#')).collect();
            for number in numbers(&comments.join("\n")) {
                found.entry(number).or_default().insert(file.clone());
            }
        }
    }
}

/// A test is named by its number, by the comment above it or by what it says inside. What the head of a file
/// of tests says holds for all of them.
fn of_file(file: &str, text: &str, found: &mut BTreeMap<String, BTreeSet<String>>) {
    let lines: Vec<&str> = text.lines().collect();
    let is_file_of_tests = file.starts_with("tests/") || file.ends_with("tests.rs");
    let head: Vec<&str> = lines.iter().take_while(|line| line.starts_with("//!")).copied().collect();
    let of_head = if is_file_of_tests { numbers(&head.join("\n")) } else { BTreeSet::new() };
    for (place, line) in lines.iter().enumerate() {
        if !["#[test]", "#[tokio::test]"].contains(&line.trim()) {
            continue;
        }
        let above = lines[..place].iter().rev().take_while(|line| line.trim_start().starts_with("///"));
        let indent = line.len() - line.trim_start().len();
        let end = format!("{}}}", " ".repeat(indent));
        let body = lines[place..].iter().take_while(|line| **line != end);
        let block: Vec<&str> = above.chain(body).copied().collect();
        let block = block.join("\n");
        let Some(name) = block.split("fn ").nth(1).and_then(|rest| rest.split('(').next()) else { continue };
        let mut named = numbers(&block);
        if named.is_empty() {
            named.clone_from(&of_head);
        }
        for number in named {
            found.entry(number).or_default().insert(format!("{file}: {name}"));
        }
    }
}

/// `SEED-010`, `SEED-092 to 094`, `SEED-117, 118`, and `seed_082` in names.
fn numbers(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for rest in text.split("SEED-").skip(1).chain(text.split("seed_").skip(1)) {
        let Some(first) = rest.get(..3).filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
        else {
            continue;
        };
        found.insert(first.to_owned());
        let mut rest = rest.get(3..).unwrap_or_default();
        let mut last: u32 = first.parse().unwrap();
        while let Some((separator, number)) = next_number(rest) {
            let until: u32 = number.parse().unwrap();
            let from = if separator == " to " { last + 1 } else { until };
            found.extend((from..=until).map(|number| format!("{number:03}")));
            last = until;
            rest = rest.get(separator.len() + 3..).unwrap_or_default();
        }
    }
    found
}

fn next_number(text: &str) -> Option<(&'static str, &str)> {
    let separator = [" to ", ", ", " and "].into_iter().find(|separator| text.starts_with(separator))?;
    let number = text.get(separator.len()..separator.len() + 3)?;
    number.bytes().all(|byte| byte.is_ascii_digit()).then_some((separator, number))
}

#[test]
fn the_table_of_requirements_is_up_to_date() {
    let (requirements, tests) = (requirements(), tests());
    let mut table = String::from(
        "# Requirements and their tests\n\nMade from the tests by `UPDATE_GOLDEN=1 cargo test -p hikyaku-suite \
         requirements`. A number is that of the requirement in comments and reports of this project.\n\n\
         | number | what | priority | tests |\n|---|---|---|---|\n",
    );
    for Requirement { number, priority, title, reason } in &requirements {
        let shown = tests.get(number).map(|tests| tests.iter().cloned().collect::<Vec<_>>());
        let shown = match (shown, reason.as_str(), OPEN.iter().find(|(open, _)| open == number)) {
            (Some(tests), "", _) => {
                tests.iter().map(|test| format!("`{test}`")).collect::<Vec<_>>().join("<br>")
            }
            (Some(tests), reason, _) => format!("{reason}<br>`{}`", tests.join("`<br>`")),
            (None, "", Some((_, reason))) => format!("open: {reason}"),
            (None, reason, _) => reason.to_owned(),
        };
        writeln!(table, "| {number} | {title} | {priority} | {shown} |").unwrap();
    }
    let path = super::root().join(TABLE);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &table).unwrap();
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    assert!(there == table, "rerun with UPDATE_GOLDEN=1 and review the diff of {TABLE}");
}

/// Who may send what, and where it goes: numbers 001 to 120 and the procedures.
#[test]
fn every_must_about_who_may_send_what_has_a_test() {
    let tests = tests();
    let missing: Vec<String> = requirements()
        .into_iter()
        .filter(|it| it.priority == "must" || it.priority == "part")
        .filter(|it| it.number.as_str() <= "120")
        .filter(|it| !tests.contains_key(&it.number) && OPEN.iter().all(|(open, _)| *open != it.number))
        .map(|it| format!("{} {}", it.number, it.title))
        .collect();
    assert_eq!(missing, Vec::<String>::new());
    for (number, _) in OPEN {
        assert!(!tests.contains_key(*number), "{number} has a test; it is not open any more");
    }
}

#[test]
fn ranges_of_numbers_are_read() {
    let read = |text: &str| numbers(text).into_iter().collect::<Vec<_>>().join(" ");
    assert_eq!(read("(SEED-092 to 094, 099 and 101). SEED-005: x"), "005 092 093 094 099 101");
    assert_eq!(read("fn seed_082_the_matrix"), "082");
    assert_eq!(read("SEED-x, SEED-12"), "");
}
