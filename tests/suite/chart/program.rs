use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

use super::{
    chart,
    helm::{helm, shapes},
    objects::{Objects, list, text},
};

/// There is no command that only checks: one that says "starting" has taken its configuration.
#[test]
fn the_programs_take_their_configuration() {
    let Some(helm) = helm() else { return };
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("password"), "secret").unwrap();
    fs::write(folder.path().join("system-password"), "secret").unwrap();
    for shape in shapes() {
        let objects = helm.shape(&shape);
        for role in ["ingress", "delivery", "policy"] {
            let config = objects.text("ConfigMap", &format!("rel-{role}"), "hikyaku.toml");
            if let Err(said) = take(role, config, folder.path()) {
                panic!("{shape}: {role}: {said}\n{config}");
            }
        }
    }
    // What it does not take is noticed here.
    let objects = helm.shape("minimal");
    let config = objects.text("ConfigMap", "rel-ingress", "hikyaku.toml");
    let said =
        take("ingress", &config.replace("max_", "most_").replace("[ingress]", "[ingres]"), folder.path());
    assert!(said.unwrap_err().contains("ingres"));
}

pub fn take(role: &str, config: &str, folder: &Path) -> Result<(), String> {
    let folder_name = folder.to_string_lossy();
    let config = config
        .replace("/run/secrets/hikyaku-nats/", &format!("{folder_name}/"))
        .replace("metrics = \"[::]:9090\"", "metrics = \"127.0.0.1:0\"")
        .replace("metrics = \"0.0.0.0:9090\"", "metrics = \"127.0.0.1:0\"")
        // Nobody is there.
        .lines()
        .map(|line| if line.starts_with("nats = ") { "nats = \"nats://127.0.0.1:1\"" } else { line })
        .map(|line| format!("{line}\n"))
        .collect::<String>();
    let file = folder.join("hikyaku.toml");
    fs::write(&file, config).unwrap();
    let mut child = Command::new(hikyaku_testkit::relay::program("hikyaku"))
        .arg(role)
        .arg("--config")
        .arg(&file)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("hikyaku is not built: cargo build --workspace");
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let is_taken = lines.map_while(Result::ok).any(|line| line.contains("starting"));
    let _ = child.kill(); // ended already, if it was not taken
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    child.wait().unwrap();
    if is_taken { Ok(()) } else { Err(said) }
}

#[test]
fn the_broker_takes_its_configuration() {
    let Some(helm) = helm() else { return };
    for shape in shapes() {
        let objects = helm.shape(&shape);
        if objects.find("ConfigMap", "rel-nats").is_none() {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        mesh(&objects, "nats", folder.path());
        let config = objects.text("ConfigMap", "rel-nats", "nats.conf");
        let config = config.replace("/run/secrets/hikyaku-mesh", &folder.path().to_string_lossy());
        // A broker reads its certificate; those of others have none here.
        let has_certificate = folder.path().join("tls.crt").exists() || !config.contains("tls {");
        fs::write(folder.path().join("nats.conf"), &config).unwrap();
        let output = Command::new(hikyaku_testkit::nats::program())
            .arg("-t")
            .arg("-c")
            .arg(folder.path().join("nats.conf"))
            .envs(broker_environment(&objects))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let misses_only_files = !has_certificate && said.contains("no such file or directory");
        assert!(output.status.success() || misses_only_files, "{shape}: {said}\n{config}");
    }
}

/// Of the brokers' container, as a kubelet makes it: $(NAME) is a variable that stands before.
pub fn broker_environment(objects: &Objects) -> BTreeMap<String, String> {
    let pods = objects.pod("StatefulSet rel-nats");
    let mut known = BTreeMap::from([("POD_NAME".to_owned(), "rel-nats-0".to_owned())]);
    for variable in list(&pods.containers()[0]["env"]) {
        let value = if let Some(value) = variable["value"].as_str() {
            let expand =
                |value: String, (name, of): (&String, &String)| value.replace(&format!("$({name})"), of);
            known.iter().fold(value.to_owned(), expand)
        } else if let Some(key) = variable.pointer("/valueFrom/secretKeyRef/key").and_then(Value::as_str) {
            match objects.find("Secret", "rel-nats-auth") {
                Some(secret) => text(&secret["decoded"], &format!("/{key}")).to_owned(),
                // Somebody's own: a number, when nobody puts it in quotes.
                None => "12e4".to_owned(),
            }
        } else {
            continue;
        };
        known.insert(text(variable, "/name").to_owned(), value);
    }
    known
}

/// The certificate of a role, as files.
pub fn mesh(objects: &Objects, role: &str, folder: &Path) {
    if objects.find("Secret", &format!("rel-{role}-mesh")).is_some() {
        for file in ["tls.crt", "tls.key", "ca.crt"] {
            let text = objects.text("Secret", &format!("rel-{role}-mesh"), file);
            fs::write(folder.join(file), text).unwrap();
        }
    }
}

/// Keys that the chart sets itself, from values with names of their own, or that have no use in a cluster.
const OF_THE_CHART: [&str; 28] = [
    "hostname",
    "node",
    "data_dir",
    "smtp",
    "submission",
    "submissions",
    "relay_from",
    "own_domain",
    "nats",
    "nats_server",
    "nats_login",
    "nats_system_login",
    "nats_tls",
    "shards",
    "replicas",
    "policy",
    "policy_listen",
    "admin_listen",
    "metrics",
    "grpc.certificate",
    "grpc.key",
    "grpc.client_ca",
    "grpc.ca",
    "grpc.server_name",
    "grpc.callers",
    "grpc.token_file",
    "grpc.plaintext",
    "ingress.proxy_from",
];

/// What the manual of the program knows can be set, and nothing else.
#[test]
fn every_key_of_the_manual_can_be_set() {
    let manual = fs::read_to_string(chart().join("../../services/hikyaku/config/hikyaku.toml")).unwrap();
    let mut known = BTreeSet::new();
    let mut section = String::new();
    for line in manual.lines() {
        if line.is_empty() && section.starts_with("nats_") {
            section.clear();
        }
        let line = line.trim_start_matches("#: ").trim_start_matches("# ");
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            // A table in a table of names is known by any of them.
            section = name.replace("ldap.corp", "ldap.*").replace("logins.smart", "logins.*") + ".";
        } else if let Some((key, _)) = line.split_once(" = ")
            && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        {
            known.insert(format!("{section}{key}"));
        }
    }
    known.retain(|key| {
        !["nats_login.", "nats_system_login.", "nats_tls."].iter().any(|table| key.starts_with(table))
    });
    let schema = fs::read_to_string(chart().join("values.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let mut settable = BTreeSet::new();
    for (place, section) in [
        ("/properties/config", ""),
        ("/properties/ingress/properties/config", "ingress."),
        ("/properties/ingress/properties/auth", "auth."),
        ("/properties/ingress/properties/tls/properties/config", "tls."),
        ("/properties/delivery/properties/config", "delivery."),
        ("/properties/policy/properties/ldap/additionalProperties", "ldap.*."),
    ] {
        collect(schema.pointer(place).unwrap(), section, &mut settable);
    }
    settable.extend(["tls.certificate", "tls.key"].map(str::to_owned));
    let of_the_chart = OF_THE_CHART.map(str::to_owned);
    let all: BTreeSet<String> = settable.iter().cloned().chain(of_the_chart).collect();
    let lacking: Vec<_> = known.difference(&all).filter(|key| !is_section(key, &all)).collect();
    assert!(lacking.is_empty(), "helm/hikyaku/values.schema.json does not know {lacking:?}");
    let unknown: Vec<_> = settable.difference(&known).collect();
    assert!(unknown.is_empty(), "the manual does not know {unknown:?}");
}

fn is_section(key: &str, all: &BTreeSet<String>) -> bool {
    all.iter().any(|other| other.starts_with(&format!("{key}.")))
}

fn collect(schema: &Value, path: &str, keys: &mut BTreeSet<String>) {
    let properties: BTreeMap<String, Value> = serde_json::from_value(schema["properties"].clone()).unwrap();
    for (key, value) in properties {
        if value["properties"].is_object() {
            collect(&value, &format!("{path}{key}."), keys);
        } else if value["additionalProperties"]["properties"].is_object() {
            collect(&value["additionalProperties"], &format!("{path}{key}.*."), keys);
        } else {
            keys.insert(format!("{path}{key}"));
        }
    }
}

/// What hooks and tests say to hikyakuctl is understood.
#[test]
fn commands_of_hooks_are_understood() {
    let Some(helm) = helm() else { return };
    let mut said = 0;
    for shape in ["documents", "plaintext-mesh", "minimal"] {
        for pods in helm.shape(shape).pods() {
            for container in
                pods.containers().iter().filter(|container| container["command"][0] == "hikyakuctl")
            {
                let arguments: Vec<String> = serde_json::from_value(container["args"].clone()).unwrap();
                // Help is asked for, so nothing is done; what cannot be understood is said before.
                let output = Command::new(hikyaku_testkit::relay::program("hikyakuctl"))
                    .args(&arguments)
                    .env("HIKYAKU_TOKEN_FILE", "/nonexistent")
                    .output()
                    .unwrap();
                let error = String::from_utf8_lossy(&output.stderr);
                assert!(!error.contains("Usage:"), "{} {}: {error}", pods.name, text(container, "/name"));
                said += 1;
            }
        }
    }
    assert!(said >= 8, "{said}");
}
