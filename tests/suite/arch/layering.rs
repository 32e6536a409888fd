//! What may depend on what, read from cargo itself. The reasons are in services/ARCHITECTURE.md.

use std::{collections::BTreeMap, process::Command};

use serde_json::Value;

/// Crate -> crates of ours that it may use.
const MAY_USE: [(&str, &[&str]); 21] = [
    ("hikyaku-types", &[]),
    ("hikyaku-smtp", &["hikyaku-types"]),
    ("hikyaku-mail", &["hikyaku-types"]),
    ("hikyaku-doctor", &[]),
    ("hikyaku-mail-log", &["hikyaku-types", "hikyaku-measures"]),
    ("hikyaku-proto", &[]),
    ("hikyaku-spans", &[]),
    ("hikyaku-measures", &[]),
    ("hikyaku-runtime", &["hikyaku-types", "hikyaku-mail-log", "hikyaku-spans", "hikyaku-measures"]),
    (
        "hikyaku-queue",
        &[
            "hikyaku-types",
            "hikyaku-proto",
            "hikyaku-doctor",
            "hikyaku-mail-log",
            "hikyaku-spans",
            "hikyaku-measures",
        ],
    ),
    ("hikyaku-route", &["hikyaku-types"]),
    // The descriptors, for its tests.
    ("hikyaku-grpc", &["hikyaku-proto", "hikyaku-spans", "hikyaku-measures"]),
    (
        "hikyaku-policy-client",
        &[
            "hikyaku-types",
            "hikyaku-proto",
            "hikyaku-grpc",
            "hikyaku-doctor",
            "hikyaku-spans",
            "hikyaku-measures",
        ],
    ),
    (
        "hikyaku-ingress",
        &[
            "hikyaku-types",
            "hikyaku-smtp",
            "hikyaku-mail",
            "hikyaku-mail-log",
            "hikyaku-queue",
            "hikyaku-policy-client",
            "hikyaku-runtime",
            "hikyaku-spans",
            "hikyaku-measures",
        ],
    ),
    (
        "hikyaku-policy",
        &[
            "hikyaku-types",
            "hikyaku-proto",
            "hikyaku-mail-log",
            "hikyaku-queue",
            "hikyaku-runtime",
            "hikyaku-grpc",
            "hikyaku-measures",
        ],
    ),
    (
        "hikyaku-delivery",
        &[
            "hikyaku-types",
            "hikyaku-smtp",
            "hikyaku-mail",
            "hikyaku-mail-log",
            "hikyaku-doctor",
            "hikyaku-queue",
            "hikyaku-route",
            "hikyaku-policy-client",
            "hikyaku-runtime",
            "hikyaku-spans",
            "hikyaku-measures",
            "hikyaku-proto",
            "hikyaku-grpc",
        ],
    ),
    (
        "hikyaku",
        &[
            "hikyaku-types",
            "hikyaku-mail-log",
            "hikyaku-ingress",
            "hikyaku-policy",
            "hikyaku-delivery",
            "hikyaku-queue",
            "hikyaku-route",
            "hikyaku-policy-client",
            "hikyaku-runtime",
            "hikyaku-grpc",
        ],
    ),
    (
        "hikyakuctl",
        &[
            "hikyaku-proto",
            "hikyaku-grpc",
            "hikyaku-doctor",
            "hikyaku-mail",
            "hikyaku-mail-log",
            "hikyaku-types",
        ],
    ),
    ("hikyaku-testkit", &[]),
    (
        "hikyaku-load",
        &["hikyaku-types", "hikyaku-mail-log", "hikyaku-queue", "hikyaku-policy-client", "hikyaku-runtime"],
    ),
    ("hikyaku-fuzz", &["hikyaku-types", "hikyaku-smtp"]),
];

/// Technology -> the crates that own it.
const OWNERS: [(&str, &[&str]); 18] = [
    ("async-nats", &["hikyaku-queue"]),
    ("hickory-resolver", &["hikyaku-route"]),
    ("hickory-server", &["hikyaku-testkit"]),
    ("ractor", &["hikyaku-delivery"]),
    // Mail and the process's provider; the channels between our processes; a name for what is handed to HTTPS.
    ("rustls", &["hikyaku-runtime", "hikyaku-grpc", "hikyaku-route", "hikyaku-testkit"]),
    ("tokio-rustls", &["hikyaku-runtime", "hikyaku-grpc", "hikyaku-testkit"]),
    // What domains publish; who wants the mail log.
    ("reqwest", &["hikyaku-route", "hikyaku-runtime"]),
    // The fuzz target includes the reader of ingress as a file.
    ("proxy-header", &["hikyaku-ingress", "hikyaku-fuzz"]),
    ("jiff", &["hikyaku-types"]),
    ("ldap3", &["hikyaku-policy"]),
    // Names in certificates of callers; keys in certificates of clients.
    ("x509-parser", &["hikyaku-grpc", "hikyaku-runtime"]),
    ("tower", &["hikyaku-grpc"]),
    ("rcgen", &["hikyakuctl", "hikyaku-testkit"]),
    ("opentelemetry", &["hikyaku-spans", "hikyaku-runtime"]),
    ("opentelemetry_sdk", &["hikyaku-runtime"]),
    ("opentelemetry-otlp", &["hikyaku-runtime"]),
    ("metrics-exporter-prometheus", &["hikyaku-runtime"]),
    (
        "tonic",
        &[
            "hikyaku-proto",
            "hikyaku-grpc",
            "hikyaku-policy-client",
            "hikyaku-policy",
            "hikyaku-delivery",
            "hikyakuctl",
            // A call that looks up nothing, beside those that do.
            "hikyaku-load",
            // The collector.
            "hikyaku-testkit",
        ],
    ),
];

/// Crates without I/O, clock and chance.
const PURE: [&str; 4] = ["hikyaku-types", "hikyaku-smtp", "hikyaku-mail", "hikyaku-doctor"];
const NOT_PURE: [&str; 6] = ["tokio", "rand", "socket2", "async-nats", "tonic", "ractor"];

/// Crate -> what it depends on, tests and build scripts included.
fn dependencies() -> BTreeMap<String, Vec<(String, bool)>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(super::root())
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap();
    let used = |package: &Value| {
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        dependencies.map(|dependency| (name(dependency), dependency["kind"] == "dev")).collect()
    };
    packages.iter().map(|package| (name(package), used(package))).collect()
}

#[test]
fn dependencies_point_down() {
    let allowed: BTreeMap<&str, &[&str]> = MAY_USE.into();
    for (name, uses) in dependencies() {
        if name == "hikyaku-suite" {
            continue;
        }
        let allowed =
            allowed.get(name.as_str()).unwrap_or_else(|| panic!("{name} has no place in the layers"));
        for (used, test_only) in uses.iter().filter(|(used, _)| used.starts_with("hikyaku")) {
            // A service may be tested through its client, and anything with the real parts.
            let for_tests = ["hikyaku-policy-client", "hikyaku-testkit"].contains(&used.as_str());
            let is_allowed = allowed.contains(&used.as_str()) || (*test_only && for_tests);
            assert!(is_allowed, "{name} must not use {used}");
        }
    }
}

#[test]
fn each_technology_has_its_owners() {
    let dependencies = dependencies();
    for (technology, owners) in OWNERS {
        for (name, uses) in &dependencies {
            let uses_it = uses.iter().any(|(used, test_only)| used == technology && !test_only);
            assert!(!uses_it || owners.contains(&name.as_str()), "{name} must not use {technology}");
        }
    }
}

#[test]
fn pure_crates_do_no_io() {
    let dependencies = dependencies();
    for name in PURE {
        for (used, test_only) in &dependencies[name] {
            assert!(*test_only || !NOT_PURE.contains(&used.as_str()), "{name} must not use {used}");
        }
    }
}
