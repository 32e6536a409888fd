//! What was rendered.

use serde_json::{Map, Value};

pub struct Objects(pub Vec<Value>);

/// Something that makes pods, or is one.
pub struct Pods<'a> {
    /// Kind and name.
    pub name: String,
    pub labels: &'a Value,
    pub annotations: &'a Value,
    pub spec: &'a Value,
    pub workload: &'a Value,
}

impl Objects {
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.0.iter().filter(move |object| object["kind"] == kind)
    }

    pub fn find(&self, kind: &str, name: &str) -> Option<&Value> {
        self.0.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
    }

    pub fn get(&self, kind: &str, name: &str) -> &Value {
        self.find(kind, name).unwrap_or_else(|| panic!("there is no {kind} {name}"))
    }

    /// A text of a ConfigMap, or of a Secret that is read.
    pub fn text(&self, kind: &str, name: &str, key: &str) -> &str {
        let field = if kind == "Secret" { "decoded" } else { "data" };
        self.get(kind, name)[field][key].as_str().unwrap_or_else(|| panic!("{kind} {name} has no {key}"))
    }

    pub fn pods(&self) -> Vec<Pods<'_>> {
        let pods = |object| {
            let template = match text(object, "/kind") {
                "Deployment" | "StatefulSet" | "Job" => &object["spec"]["template"],
                "Pod" => object,
                _ => return None,
            };
            let meta = &template["metadata"];
            Some(Pods {
                name: format!("{} {}", text(object, "/kind"), text(object, "/metadata/name")),
                labels: &meta["labels"],
                annotations: &meta["annotations"],
                spec: &template["spec"],
                workload: object,
            })
        };
        self.0.iter().filter_map(pods).collect()
    }

    pub fn pod(&self, name: &str) -> Pods<'_> {
        self.pods().into_iter().find(|pods| pods.name == name).unwrap_or_else(|| panic!("there is no {name}"))
    }
}

impl Pods<'_> {
    pub fn containers(&self) -> Vec<&Value> {
        [&self.spec["initContainers"], &self.spec["containers"]].into_iter().flat_map(list).collect()
    }

    pub fn has_labels(&self, selector: &Value) -> bool {
        selector.as_object().is_some_and(|wanted| {
            !wanted.is_empty() && wanted.iter().all(|(key, value)| &self.labels[key] == value)
        })
    }

    /// Names of the Secrets that its volumes show and its environment reads.
    pub fn secrets(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for volume in list(&self.spec["volumes"]) {
            names.extend(volume["secret"]["secretName"].as_str());
            let sources = list(&volume["projected"]["sources"]);
            names.extend(sources.filter_map(|source| source["secret"]["name"].as_str()));
        }
        for variable in self.containers().into_iter().flat_map(|container| list(&container["env"])) {
            names.extend(variable["valueFrom"]["secretKeyRef"]["name"].as_str());
        }
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// The elements of a list, none of anything else.
pub fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

pub fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_else(|| panic!("{path} is no text in {value}"))
}

pub fn number(value: &Value, path: &str) -> u64 {
    value.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("{path} is no number in {value}"))
}

pub fn map(value: &Value) -> &Map<String, Value> {
    value.as_object().unwrap_or_else(|| panic!("no map: {value}"))
}
