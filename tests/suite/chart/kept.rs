use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::{Map, Value};

use super::{
    helm::{Helm, helm},
    objects::{Objects, text},
};

/// What `lookup` asks: a server with the Secrets of an installation.
struct Api {
    child: Child,
    folder: tempfile::TempDir,
}

impl Api {
    fn of(objects: &Objects) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("objects.json");
        fs::write(&file, serde_json::to_string(&objects.0).unwrap()).unwrap();
        let mut child = Command::new("python3")
            .args(["-c", include_str!("api.py")])
            .arg(file)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        let config = serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{ "name": "c", "cluster": { "server": format!("http://127.0.0.1:{}", port.trim()) } }],
            "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "u" } }],
            "users": [{ "name": "u", "user": {} }],
        });
        fs::write(folder.path().join("config"), config.to_string()).unwrap();
        Self { child, folder }
    }

    fn config(&self) -> impl AsRef<Path> + use<> {
        self.folder.path().join("config")
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The Secrets, by name.
fn secrets(objects: &Objects) -> Map<String, Value> {
    let named = |secret: &Value| (text(secret, "/metadata/name").to_owned(), secret["decoded"].clone());
    objects.of_kind("Secret").map(named).collect()
}

fn again(helm: &Helm, shape: &str, installed: &Objects) -> Objects {
    let api = Api::of(installed);
    helm.upgrade(shape, api.config().as_ref())
}

#[test]
fn secrets_are_kept_over_upgrades() {
    let Some(helm) = helm() else { return };
    for (shape, count) in [("minimal", 7), ("plaintext-mesh", 2)] {
        let installed = helm.shape(shape);
        let before = secrets(&installed);
        assert_eq!(before.len(), count, "{shape}");
        let upgraded = again(&helm, shape, &installed);
        assert_eq!(secrets(&upgraded), before, "{shape}");
        let callers = |objects: &Objects| objects.text("ConfigMap", "rel-callers", "callers").to_owned();
        assert_eq!(callers(&upgraded), callers(&installed), "{shape}");
        let annotations = |objects: &Objects| {
            objects.pods().into_iter().map(|pods| pods.annotations.clone()).collect::<Vec<_>>()
        };
        assert_eq!(annotations(&upgraded), annotations(&installed), "{shape}: pods are replaced for nothing");
    }
}

/// Who deletes a certificate gets another of the same authority; who deletes the authority gets all anew.
#[test]
fn deleted_secrets_are_made_again() {
    let Some(helm) = helm() else { return };
    let installed = helm.shape("minimal");
    let before = secrets(&installed);
    let without = |name: &str| {
        let is_other = |object: &&Value| object["kind"] != "Secret" || object["metadata"]["name"] != name;
        Objects(installed.0.iter().filter(is_other).cloned().collect())
    };
    for (deleted, renewed) in [
        ("rel-delivery-mesh", vec!["rel-delivery-mesh"]),
        (
            "rel-mesh-ca",
            vec![
                "rel-delivery-mesh",
                "rel-ingress-mesh",
                "rel-mesh-ca",
                "rel-nats-mesh",
                "rel-operator-mesh",
                "rel-policy-mesh",
            ],
        ),
        ("rel-nats-auth", vec!["rel-nats-auth"]),
    ] {
        let after = secrets(&again(&helm, "minimal", &without(deleted)));
        let changed: Vec<&str> = after
            .iter()
            .filter(|(name, secret)| before[*name] != **secret)
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(changed, renewed, "{deleted}");
        for role in ["delivery", "ingress", "nats", "operator", "policy"] {
            assert_eq!(
                after[&format!("rel-{role}-mesh")]["ca.crt"],
                after["rel-mesh-ca"]["tls.crt"],
                "{deleted}"
            );
        }
    }
}
