//! deploy/compose without an engine of containers: each program takes the file that is made for it.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use hikyaku_testkit::relay::program;
use serde_json::Value;

use super::{
    alerts::promtool,
    root,
    yaml::{list, read},
};
use crate::{chart::program::take, lab::Lab};

fn folder() -> PathBuf {
    root().join("deploy/compose")
}

fn services(compose: &Value) -> impl Iterator<Item = (&String, &Value)> {
    compose["services"].as_object().unwrap().iter()
}

fn words(value: &Value) -> Vec<&str> {
    list(value).iter().map(|word| word.as_str().unwrap()).collect()
}

/// A folder with what `make-secrets` makes.
fn secrets() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let programs = program("hikyakuctl").parent().unwrap().to_owned();
    let path = std::env::var("PATH").unwrap();
    for _ in 0..2 {
        let output = Command::new("/bin/sh")
            .arg(self::folder().join("make-secrets"))
            .args([folder.path(), folder.path()])
            .env("PATH", format!("{}:{path}", programs.display()))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    folder
}

#[test]
fn what_is_named_is_there() {
    let Some(compose) = read(&folder().join("compose.yaml")) else { return };
    let volumes: BTreeSet<&String> = compose["volumes"].as_object().unwrap().keys().collect();
    let names: BTreeSet<&String> = services(&compose).map(|(name, _)| name).collect();
    for (name, service) in services(&compose) {
        let image = service["image"].as_str().unwrap();
        let tag = image.rsplit_once(':').map_or("", |(_, tag)| tag);
        assert!(image == "hikyaku" || tag.contains('.'), "{name}: {image} is not pinned");
        for mount in words(&service["volumes"]) {
            let from = mount.split(':').next().unwrap();
            let is_there = if from.starts_with('.') {
                folder().join(from).exists()
            } else {
                volumes.contains(&from.to_owned())
            };
            assert!(is_there, "{name}: {mount}");
        }
        for port in words(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port} is open to others");
        }
        if image == "hikyaku" && name != "secrets" {
            assert!(service["read_only"] == true && service["user"].is_null(), "{name}");
        }
        let needs = &service["depends_on"];
        let needed: Vec<String> = match needs.as_object() {
            Some(map) => map.keys().cloned().collect(),
            None => words(needs).into_iter().map(str::to_owned).collect(),
        };
        for other in needed {
            assert!(names.contains(&other), "{name}: {other}");
        }
    }
    let build = &compose["services"]["secrets"]["build"];
    let context = folder().join(build["context"].as_str().unwrap());
    assert!(context.join(build["dockerfile"].as_str().unwrap()).exists());
}

#[test]
fn the_image_runs_as_nobody() {
    let text = fs::read_to_string(root().join("deploy/docker/Dockerfile")).unwrap();
    let bases: Vec<&str> =
        text.lines().filter(|line| line.starts_with("ARG ") && line.contains("BASE=")).collect();
    assert_eq!(bases.len(), 2);
    for base in bases {
        let tag = base.rsplit(':').next().unwrap();
        assert!(tag.split(['.', '-']).filter(|part| part.parse::<u32>().is_ok()).count() >= 2, "{base}");
    }
    let stages: Vec<&str> = text.split("\nFROM ").collect();
    assert_eq!(stages.len(), 3);
    for program in ["target/release/hikyaku ", "target/release/hikyakuctl"] {
        assert!(stages[1].contains(program), "{program}");
    }
    for part in
        ["USER 65532:65532", "ENTRYPOINT [\"/usr/local/bin/hikyaku\"]", "org.opencontainers.image.version"]
    {
        assert!(stages[2].contains(part), "{part}");
    }
    let toolchain = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let version = toolchain.split("rust-version = \"").nth(1).unwrap().split('"').next().unwrap();
    assert!(text.contains(&format!("rust:{version}.")), "{version}");
}

#[test]
fn brokers_take_their_configuration() {
    let Some(compose) = read(&folder().join("compose.yaml")) else { return };
    let secrets = secrets();
    let config = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(folder().join("nats/nats.conf")).unwrap();
    assert!(text.contains("sync_interval: always"));
    fs::write(config.path().join("nats.conf"), text).unwrap();
    std::os::unix::fs::symlink(secrets.path(), config.path().join("secrets")).unwrap();
    let brokers: Vec<_> = services(&compose).filter(|(name, _)| name.starts_with("nats-")).collect();
    assert_eq!(brokers.len(), 3);
    for (name, service) in brokers {
        let server = service["environment"]["SERVER_NAME"].as_str().unwrap();
        assert_eq!(server, name);
        let output = Command::new(hikyaku_testkit::nats::program())
            .arg("-t")
            .arg("-c")
            .arg(config.path().join("nats.conf"))
            .env("SERVER_NAME", server)
            .output()
            .unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn roles_take_their_configuration() {
    let secrets = secrets();
    let place = |text: &str| {
        let path = secrets.path().to_string_lossy().into_owned();
        let text = text.replace("/run/secrets/hikyaku", &path).replace("0.0.0.0:2525", "127.0.0.1:0");
        text.replace("0.0.0.0:7002", "0.0.0.0:0").replace("0.0.0.0:7003", "0.0.0.0:0")
    };
    for role in ["policy", "ingress", "delivery"] {
        let text = fs::read_to_string(folder().join(format!("relay/{role}.toml"))).unwrap();
        for file in text.split('"').filter(|word| word.starts_with("/run/secrets/hikyaku/")) {
            assert!(Path::new(&place(file)).exists(), "{role}: {file}");
        }
        let scratch = tempfile::tempdir().unwrap();
        if let Err(said) = take(role, &place(&text), scratch.path()) {
            panic!("{role}: {said}");
        }
    }
}

/// A relay with nothing of its own would bring the documents into force.
#[tokio::test]
async fn the_directory_takes_the_documents() -> anyhow::Result<()> {
    let lab = Lab::empty().await?;
    let relay = lab.up().await?;
    let said = relay.ctl(&["directory", "apply", &folder().join("documents").to_string_lossy()]).await?;
    let found =
        relay.ctl(&["explain", "--client", "203.0.113.9", "--from", "a@x.test", "--to", "b@example.org"]);
    let found = found.await?;
    assert!(found.contains("sink"), "{said}{found}");
    Ok(())
}

#[test]
fn observers_take_their_configuration() {
    let Some(compose) = read(&folder().join("compose.yaml")) else { return };
    promtool(&["check", "config"], &[folder().join("prometheus.yml")]);
    let started = words(&compose["services"]["prometheus"]["command"]);
    let mounted = words(&compose["services"]["prometheus"]["volumes"]);
    for (flag, mount) in [("--config.file=", "./prometheus.yml:"), ("--storage.tsdb.path=", "prometheus:")] {
        let path = started.iter().find_map(|word| word.strip_prefix(flag)).unwrap();
        let wanted = format!("{mount}{path}");
        assert!(mounted.iter().any(|it| it.trim_end_matches(":ro") == wanted), "{wanted}: {mounted:?}");
    }
    assert!(started.contains(&"--enable-feature=exemplar-storage"));
    let prometheus = read(&folder().join("prometheus.yml")).unwrap();
    for job in list(&prometheus["scrape_configs"]) {
        let name = &job["dns_sd_configs"][0]["names"][0];
        assert!(compose["services"][name.as_str().unwrap()].is_object(), "{name}");
        let toml =
            fs::read_to_string(folder().join(format!("relay/{}.toml", name.as_str().unwrap()))).unwrap();
        assert!(toml.contains(&format!(":{}\"", job["dns_sd_configs"][0]["port"])), "{toml}");
    }

    let collector = read(&folder().join("collector.yaml")).unwrap();
    for (_, pipeline) in collector["service"]["pipelines"].as_object().unwrap() {
        for part in ["receivers", "processors", "exporters"] {
            for name in words(&pipeline[part]) {
                assert!(!collector[part][name].is_null(), "{part}: {name}");
            }
        }
    }

    let sources = read(&folder().join("grafana/sources.yaml")).unwrap();
    assert_eq!(sources["datasources"][0]["url"], "http://prometheus:9090");
    let provider = read(&folder().join("grafana/dashboards.yaml")).unwrap();
    let path = provider["providers"][0]["options"]["path"].as_str().unwrap();
    let grafana = &compose["services"]["grafana"];
    assert!(words(&grafana["volumes"]).iter().any(|mount| mount.contains(&format!("dashboards:{path}:"))));
    let home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"].as_str().unwrap();
    let file = root().join("helm/hikyaku/files/dashboards").join(home.rsplit('/').next().unwrap());
    assert!(file.exists(), "{home}");
}
