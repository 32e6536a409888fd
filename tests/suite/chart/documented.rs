//! Each value has a line of explanation, and the README's table is made of them.

use std::{collections::BTreeSet, fmt::Write as _, fs};

use serde_json::Value;

use super::chart;

const BEGIN: &str = "<!-- values: UPDATE_GOLDEN=1 cargo test -p hikyaku-suite documented -->\n";
const END: &str = "<!-- end of values -->";

struct Entry {
    path: String,
    default: String,
    /// Absent for a block whose keys are explained.
    text: Option<String>,
}

fn entries() -> Vec<Entry> {
    let values = fs::read_to_string(chart().join("values.yaml")).unwrap();
    let mut above: Vec<(usize, String)> = Vec::new();
    let mut comment: Option<String> = None;
    let mut entries = Vec::new();
    for line in values.lines() {
        let (indent, rest) = (line.len() - line.trim_start().len(), line.trim_start());
        if let Some(text) = rest.strip_prefix("# -- ") {
            comment = Some(text.to_owned());
        } else if let Some(text) = rest.strip_prefix("# ") {
            if let Some(comment) = &mut comment {
                let _ = write!(comment, " {text}"); // into a String
            }
        } else if let Some((key, default)) = rest.split_once(':') {
            above.retain(|(column, _)| *column < indent);
            above.push((indent, key.to_owned()));
            let path = above.iter().map(|(_, key)| key.as_str()).collect::<Vec<_>>().join(".");
            entries.push(Entry { path, default: default.trim().to_owned(), text: comment.take() });
        } else {
            comment = None;
        }
    }
    entries
}

/// The path of each value.
pub fn values() -> Vec<String> {
    entries().into_iter().filter(|entry| entry.text.is_some()).map(|entry| entry.path).collect()
}

fn table() -> String {
    let mut table = "| value | default | |\n|---|---|---|\n".to_owned();
    for Entry { path, default, text } in entries() {
        if let Some(text) = text {
            let (text, default) = (text.replace('|', "\\|"), default.replace('|', "\\|"));
            let _ = writeln!(table, "| `{path}` | `{default}` | {text} |"); // into a String
        }
    }
    table
}

#[test]
fn every_value_is_documented() {
    for Entry { path, default, text } in entries() {
        let is_block = default.is_empty();
        assert_eq!(text.is_none(), is_block, "{path}: a value has a comment \"# -- \", a block has none");
    }
    let readme = chart().join("README.md");
    let text = fs::read_to_string(&readme).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the README has a place for the table");
    let (found, after) = rest.split_once(END).unwrap();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(readme, format!("{before}{BEGIN}{}{END}{after}", table())).unwrap();
    } else {
        assert!(found == table(), "helm/hikyaku/README.md is not of these values: UPDATE_GOLDEN=1");
    }
}

/// The schema names what values.yaml has, and values.yaml has what the schema names.
#[test]
fn values_and_schema_are_the_same() {
    let schema = fs::read_to_string(chart().join("values.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let mut in_schema = BTreeSet::new();
    collect(&schema, &schema, "", &mut in_schema);
    // Helm's own.
    in_schema.remove("global");
    let in_values: BTreeSet<String> =
        entries().into_iter().filter(|entry| entry.text.is_some()).map(|entry| entry.path).collect();
    assert_eq!(in_schema.difference(&in_values).collect::<Vec<_>>(), Vec::<&String>::new());
    assert_eq!(in_values.difference(&in_schema).collect::<Vec<_>>(), Vec::<&String>::new());
}

/// A value that is a whole in values.yaml is one here: objects whose keys are given by nobody there.
const WHOLES: [&str; 8] =
    ["config", "resources", "ldap", "issuerRef", "strategy", "requests", "limits", "documents"];

fn collect(root: &Value, schema: &Value, path: &str, keys: &mut BTreeSet<String>) {
    let schema = match schema["$ref"].as_str() {
        Some(name) => root.pointer(name.trim_start_matches('#')).unwrap(),
        None => schema,
    };
    let last = path.rsplit('.').next().unwrap();
    // Resources of roles and brokers stand in two parts.
    let is_parted = last == "resources" && path.split('.').count() == 2 && !path.starts_with("operator");
    match schema["properties"].as_object() {
        Some(properties) if (!WHOLES.contains(&last) && path != "ingress.auth") || is_parted => {
            for (key, value) in properties.iter().filter(|(key, _)| *key != "claims") {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                collect(root, value, &path, keys);
            }
        }
        Some(_) | None => {
            keys.insert(path.to_owned());
        }
    }
}
