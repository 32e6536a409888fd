//! `services/lib/smtp/RFC.md`: every section that asks something has a line, and what a line names is there.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

const DOCUMENT: &str = "services/lib/smtp/RFC.md";

/// Sections of the standards that ask something of a server or a client of SMTP.
const SECTIONS: [(&str, &str); 10] = [
    (
        "RFC 5321",
        "2.1 2.2.1 2.2.2 2.3.1 2.3.5 2.3.8 2.3.10 2.3.11 2.4 3.1 3.2 3.3 3.4 3.5 3.6.1 3.6.2 3.6.3 3.7 3.8 3.9 \
         4.1.1.1 4.1.1.2 4.1.1.3 4.1.1.4 4.1.1.5 4.1.1.6 4.1.1.7 4.1.1.8 4.1.1.9 4.1.1.10 4.1.1.11 4.1.2 4.1.3 \
         4.1.4 4.1.5 4.2 4.2.1 4.2.2 4.2.3 4.2.4 4.2.5 4.3.1 4.3.2 4.4 4.5.1 4.5.2 4.5.3.1.1 4.5.3.1.2 4.5.3.1.3 \
         4.5.3.1.4 4.5.3.1.5 4.5.3.1.6 4.5.3.1.7 4.5.3.1.8 4.5.3.1.9 4.5.3.1.10 4.5.3.2 4.5.4 4.5.5 5.1 5.2 6.1 \
         6.2 6.3 6.4 7.1 7.2 7.3 7.4 7.5 7.6 7.7 7.8 7.9",
    ),
    ("RFC 3207", "2 3 4 4.1 4.2 4.3 6"),
    ("RFC 4954", "3 4 5 6 7 8 9"),
    (
        "RFC 6409",
        "3.1 3.2 3.3 4.1 4.2 4.3 5.1 5.2 5.3 6.1 6.2 6.3 6.4 6.5 7 8.1 8.2 8.3 8.4 8.5 8.6 8.7 8.8 9",
    ),
    ("RFC 3461", "4.1 4.2 4.3 4.4 4.5 5.1 5.2.1 5.2.2 5.2.3 5.2.4 5.2.5 5.2.6 5.2.7 5.3 5.4 6.1 6.2 6.3"),
    ("RFC 3030", "2 3 4.1 4.2 5"),
    ("RFC 6531", "3.1 3.2 3.3 3.4 3.5 3.6 3.7.1 3.7.2 3.7.3 3.7.4 5"),
    ("RFC 8689", "2 3 4.1 4.2.1 4.2.2 4.3 4.4 5 6 8"),
    ("RFC 2920", "3.1 3.2 4 5"),
    ("RFC 1870", "3 4 5 6.1 6.2 6.3 6.4 7 9"),
];

/// A line of a table.
struct Line {
    section: String,
    shown_by: String,
    state: String,
}

/// Heading -> lines.
fn tables() -> BTreeMap<String, Vec<Line>> {
    let text = fs::read_to_string(super::root().join(DOCUMENT)).unwrap();
    let (mut tables, mut heading) = (BTreeMap::<String, Vec<Line>>::new(), String::new());
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            heading = title.split(':').next().unwrap_or_default().to_owned();
        } else if let Some(cells) = line.strip_prefix('|').and_then(|rest| rest.strip_suffix('|')) {
            let cells: Vec<&str> = cells.split('|').map(str::trim).collect();
            let [section, _, shown_by, state] = cells[..] else { panic!("{line}: want four cells") };
            if section != "section" && !section.starts_with("--") {
                let [section, shown_by, state] = [section, shown_by, state].map(str::to_owned);
                tables.entry(heading.clone()).or_default().push(Line { section, shown_by, state });
            }
        }
    }
    tables
}

#[test]
fn every_section_has_a_line() {
    let tables = tables();
    for (standard, sections) in SECTIONS {
        let found: BTreeSet<&str> = tables[standard].iter().map(|line| line.section.as_str()).collect();
        let wanted: BTreeSet<&str> = sections.split_whitespace().collect();
        assert_eq!(found, wanted, "{standard}");
    }
}

/// What shows it, or why nothing does.
#[test]
fn every_line_has_a_test_or_a_reason() {
    for (heading, lines) in tables() {
        for Line { section, shown_by, state } in lines {
            let has_reason = state.starts_with("no: ") || state == "not yet";
            assert!(!shown_by.is_empty() || has_reason, "{heading} {section}: {state}");
            assert!(!state.is_empty(), "{heading} {section}");
        }
    }
}

#[test]
fn every_test_that_is_named_exists() {
    let root = super::root();
    let mut tests = BTreeMap::new();
    for folder in ["services", "tests", "proto"] {
        collect(&root.join(folder), &root, &mut tests);
    }
    let text = fs::read_to_string(root.join(DOCUMENT)).unwrap();
    let mut missing = Vec::new();
    for (heading, lines) in tables() {
        for line in lines {
            missing.extend(
                names(&line.shown_by)
                    .filter(|name| !is_there(name, &root, &tests))
                    .map(|name| format!("{heading} {}: {name}", line.section)),
            );
        }
    }
    // Behind a table.
    let prose = text.lines().filter(|line| line.starts_with("With it: ")).flat_map(names);
    missing.extend(prose.filter(|name| !is_there(name, &root, &tests)).map(str::to_owned));
    assert_eq!(missing, Vec::<String>::new());
}

fn names(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

fn is_there(name: &str, root: &Path, tests: &BTreeMap<String, Vec<Vec<String>>>) -> bool {
    if let Some(dialog) = name.strip_prefix("dialog:") {
        return root.join(format!("tests/dialogs/{dialog}.smtp")).exists();
    }
    if let Some(target) = name.strip_prefix("fuzz:") {
        return root.join(format!("tests/fuzz/src/{target}.rs")).exists();
    }
    let mut modules: Vec<&str> = name.split("::").filter(|module| *module != "tests").collect();
    let name = modules.pop().unwrap_or_default();
    let found = tests.get(name).into_iter().flatten();
    let fits = |path: &&Vec<String>| {
        let wanted = modules.iter().map(|module| module.trim_start_matches("hikyaku_")).rev();
        wanted.zip(path.iter().rev()).filter(|(module, part)| module == part).count() == modules.len()
    };
    // A name alone must be the only one.
    found.filter(fits).count() == 1
}

/// Name of a test -> where it is: folders and file, without those that are no module.
fn collect(folder: &Path, root: &Path, tests: &mut BTreeMap<String, Vec<Vec<String>>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            collect(&path, root, tests);
        } else if name.ends_with(".rs") {
            let place = path.strip_prefix(root).unwrap_or(&path).with_extension("");
            let parts = place.iter().map(|part| part.to_string_lossy().into_owned());
            let modules: Vec<String> = parts.filter(|part| !["src", "tests"].contains(&&part[..])).collect();
            for test in tests_of(&fs::read_to_string(&path).unwrap()) {
                tests.entry(test).or_default().push(modules.clone());
            }
        }
    }
}

fn tests_of(text: &str) -> Vec<String> {
    let is_attribute =
        |line: &str| line.trim() == "#[test]" || line.trim_start().starts_with("#[tokio::test");
    let lines: Vec<&str> = text.lines().collect();
    let starts = (0..lines.len()).filter(|at| is_attribute(lines[*at]));
    starts
        .filter_map(|at| {
            let line = lines[at..].iter().find(|line| line.contains("fn "))?;
            Some(line.split("fn ").nth(1)?.split(['(', '<']).next()?.to_owned())
        })
        .collect()
}
