//! YAML as JSON, by Python: Rust has no parser of YAML that is well kept.

use std::{fs, path::Path, process::Command};

use hikyaku_testkit::gateways::python_packages;
use serde_json::Value;

const READ: &str = "import json, sys, yaml\njson.dump(yaml.safe_load(open(sys.argv[1])), sys.stdout)";

/// `None`, and it is said, where there is no parser.
pub fn read(path: &Path) -> Option<Value> {
    let output = Command::new("python3")
        .env("PYTHONPATH", python_packages())
        .args(["-c", READ])
        .arg(path)
        .output()
        .ok()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    if errors.contains("No module named 'yaml'") {
        println!("skipped: PyYAML is not there; tests/get-peers gets it");
        return None;
    }
    assert!(output.status.success(), "{}: {errors}", path.display());
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// The files of a folder with this ending, in order of their names.
pub fn files(folder: &Path, ending: &str) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|found| found == ending)).collect();
    files.sort();
    assert!(!files.is_empty(), "{} has no *.{ending}", folder.display());
    files
}

/// Nothing, where there is no list.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
