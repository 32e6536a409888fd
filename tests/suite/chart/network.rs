use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    helm::{helm, shapes},
    objects::{Objects, list},
};

const ROLES: [&str; 5] = ["delivery", "ingress", "nats", "operator", "policy"];
const PORTS: [u64; 9] = [2465, 2525, 2587, 4222, 6222, 7002, 7003, 8222, 9090];

/// Between pods of the release: open at both ends.
fn ways(objects: &Objects) -> BTreeSet<String> {
    let mut ways = BTreeSet::new();
    for from in ROLES {
        for to in ROLES {
            for port in PORTS {
                let leaves = rules(objects, from, "egress").any(|rule| fits(rule, "to", port, to));
                let arrives = rules(objects, to, "ingress").any(|rule| fits(rule, "from", port, from));
                if leaves && arrives {
                    ways.insert(format!("{from} {to}:{port}"));
                }
            }
        }
    }
    ways
}

fn rules<'a>(objects: &'a Objects, role: &str, direction: &str) -> impl Iterator<Item = &'a Value> {
    objects
        .find("NetworkPolicy", &format!("rel-{role}"))
        .into_iter()
        .flat_map(move |policy| list(&policy["spec"][direction]))
}

fn fits(rule: &Value, peers: &str, port: u64, role: &str) -> bool {
    let labels = json!({
        "app.kubernetes.io/name": "hikyaku", "app.kubernetes.io/instance": "rel", "app.kubernetes.io/component": role });
    let mut ports = list(&rule["ports"]);
    let has_port = ports.any(|open| open["port"] == port);
    has_port
        && (rule[peers].is_null()
            || list(&rule[peers]).any(|peer| peer["podSelector"]["matchLabels"] == labels))
}

/// To or from everywhere.
fn doors(objects: &Objects, direction: &str, peers: &str) -> BTreeSet<String> {
    let mut doors = BTreeSet::new();
    for role in ROLES {
        for rule in rules(objects, role, direction).filter(|rule| rule[peers].is_null()) {
            doors.extend(
                list(&rule["ports"])
                    .map(|port| format!("{role} {} {}", port["protocol"].as_str().unwrap(), port["port"])),
            );
        }
    }
    doors
}

fn set(lines: &str) -> BTreeSet<String> {
    lines.split(", ").map(str::to_owned).collect()
}

const DNS: &str = "delivery TCP 53, delivery UDP 53, ingress TCP 53, ingress UDP 53, nats TCP 53, nats UDP 53, \
                   operator TCP 53, operator UDP 53, policy TCP 53, policy UDP 53";

#[test]
fn each_role_reaches_what_it_needs() {
    let Some(helm) = helm() else { return };
    let inside = "delivery nats:4222, delivery policy:7002, ingress nats:4222, ingress policy:7002, \
                  nats nats:6222, operator delivery:7003, operator ingress:2525, operator policy:7002, policy nats:4222";
    let minimal = helm.shape("minimal");
    assert_eq!(ways(&minimal), set(inside));
    let out = "delivery TCP 25, delivery TCP 443, delivery TCP 465, delivery TCP 587";
    assert_eq!(doors(&minimal, "egress", "to"), set(&format!("{DNS}, {out}")));
    assert_eq!(doors(&minimal, "ingress", "from"), set("ingress TCP 2525"));

    let ha = helm.shape("ha");
    let more = "operator ingress:2465, operator ingress:2587";
    assert_eq!(ways(&ha), set(&format!("{inside}, {more}")));
    assert_eq!(doors(&ha, "egress", "to"), set(&format!("{DNS}, {out}, policy TCP 389, policy TCP 636")));
    assert_eq!(doors(&ha, "ingress", "from"), set("ingress TCP 2465, ingress TCP 2525, ingress TCP 2587"));
    let collector = json!({ "matchLabels": { "kubernetes.io/metadata.name": "observability" } });
    for role in ["ingress", "delivery", "policy"] {
        let traces = rules(&ha, role, "egress").find(|rule| rule["ports"][0]["port"] == 4317);
        assert_eq!(traces.unwrap()["to"][0]["namespaceSelector"], collector);
        let scraped = rules(&ha, role, "ingress").find(|rule| rule["ports"][0]["port"] == 9090);
        assert_eq!(scraped.unwrap()["from"][0]["namespaceSelector"], collector);
    }

    let external = helm.shape("external-nats");
    for role in ["ingress", "delivery", "policy"] {
        let brokers = json!({
            "ports": [{ "protocol": "TCP", "port": 4222 }, { "protocol": "TCP", "port": 4223 }],
            "to": [{ "ipBlock": { "cidr": "192.0.2.0/24" } }] });
        assert!(rules(&external, role, "egress").any(|rule| *rule == brokers), "{role}");
    }

    // Pods in their node's network come from there.
    let host = helm.shape("host-network");
    let node = json!({ "ipBlock": { "cidr": "10.0.0.0/16" } });
    for (role, port) in [("nats", 4222), ("policy", 7002)] {
        let rule = rules(&host, role, "ingress").find(|rule| rule["ports"][0]["port"] == port).unwrap();
        assert!(list(&rule["from"]).any(|peer| *peer == node), "{role}");
    }
}

/// What a pod listens on and nobody may reach would be a mistake, and so would a pod without a policy.
#[test]
fn every_pod_has_a_policy() {
    let Some(helm) = helm() else { return };
    for shape in shapes() {
        let objects = helm.shape(&shape);
        for pods in objects.pods() {
            let policies: Vec<&Value> = objects
                .of_kind("NetworkPolicy")
                .filter(|policy| pods.has_labels(&policy["spec"]["podSelector"]["matchLabels"]))
                .collect();
            let [policy] = policies[..] else { panic!("{shape}: {}: {policies:?}", pods.name) };
            assert_eq!(policy["spec"]["policyTypes"], json!(["Ingress", "Egress"]));
        }
        for pods in objects.pods().iter().filter(|pods| pods.name.starts_with("Deployment")) {
            let role = pods.labels["app.kubernetes.io/component"].as_str().unwrap();
            for port in pods.containers().into_iter().flat_map(|container| list(&container["ports"])) {
                let is_open = rules(&objects, role, "ingress")
                    .any(|rule| list(&rule["ports"]).any(|open| open["port"] == port["containerPort"]));
                assert!(is_open, "{shape}: {role}: {port}");
            }
        }
    }
}
