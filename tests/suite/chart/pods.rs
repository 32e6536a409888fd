use std::{collections::BTreeSet, fs};

use serde_json::{Value, json};

use super::{
    chart,
    helm::{helm, shapes},
    objects::{Pods, list, map, number, text},
};

const ROLES: [&str; 3] = ["ingress", "delivery", "policy"];

/// Pod Security Standards, level restricted.
#[test]
fn every_pod_is_restricted() {
    let Some(helm) = helm() else { return };
    for shape in shapes() {
        for pods in helm.shape(&shape).pods() {
            let name = format!("{shape}: {}", pods.name);
            let spec = pods.spec;
            let in_host = shape == "host-network" && pods.name == "Deployment rel-delivery";
            assert_eq!(spec["hostNetwork"], if in_host { json!(true) } else { Value::Null }, "{name}");
            for field in ["hostPID", "hostIPC"] {
                assert_eq!(spec[field], Value::Null, "{name}");
            }
            let security = &spec["securityContext"];
            assert_eq!(security["runAsNonRoot"], true, "{name}");
            assert!(number(security, "/runAsUser") > 0 && number(security, "/fsGroup") > 0, "{name}");
            assert_eq!(security["seccompProfile"]["type"], "RuntimeDefault", "{name}");
            assert_eq!(spec["automountServiceAccountToken"], false, "{name}");
            for volume in list(&spec["volumes"]) {
                let kinds: Vec<&String> = map(volume).keys().filter(|key| *key != "name").collect();
                let is_known = |kind: &str| ["configMap", "secret", "emptyDir", "projected"].contains(&kind);
                assert!(kinds.iter().all(|kind| is_known(kind)), "{name}: {volume}");
            }
            for container in pods.containers() {
                let wanted = json!({ "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": { "drop": ["ALL"] } });
                assert_eq!(container["securityContext"], wanted, "{name}");
                for port in list(&container["ports"]) {
                    assert!(
                        number(port, "/containerPort") > 1024 && port["hostPort"].is_null(),
                        "{name}: {port}"
                    );
                }
                assert!(container["resources"]["limits"]["memory"].is_string(), "{name}");
                assert!(container["resources"]["requests"]["cpu"].is_string(), "{name}");
            }
        }
    }
}

#[test]
fn roles_keep_no_data() {
    let Some(helm) = helm() else { return };
    for shape in shapes() {
        let objects = helm.shape(&shape);
        for role in ROLES {
            let pods = objects.pod(&format!("Deployment rel-{role}"));
            assert!(list(&pods.spec["volumes"]).all(|volume| volume["persistentVolumeClaim"].is_null()));
        }
    }
}

#[test]
fn selectors_find_their_pods_and_survive_an_upgrade() {
    let Some(helm) = helm() else { return };
    for shape in shapes() {
        let objects = helm.shape(&shape);
        let pods = objects.pods();
        for workload in pods.iter().filter(|pods| !pods.workload["spec"]["selector"].is_null()) {
            let selector = &workload.workload["spec"]["selector"]["matchLabels"];
            assert!(workload.has_labels(selector), "{shape}: {}", workload.name);
            let keys: BTreeSet<&str> = map(selector).keys().map(String::as_str).collect();
            let wanted =
                ["app.kubernetes.io/component", "app.kubernetes.io/instance", "app.kubernetes.io/name"];
            assert_eq!(keys, wanted.into(), "{shape}: {}", workload.name);
        }
        let of = |selector: &Value| pods.iter().filter(|pods| pods.has_labels(selector)).collect::<Vec<_>>();
        for service in objects.of_kind("Service") {
            let name = text(service, "/metadata/name");
            let [target] = of(&service["spec"]["selector"])[..] else { panic!("{shape}: {name}") };
            for port in list(&service["spec"]["ports"]) {
                assert!(has_port(target, text(port, "/targetPort")), "{shape}: {name}: {port}");
            }
        }
        for budget in objects.of_kind("PodDisruptionBudget") {
            assert_eq!(of(&budget["spec"]["selector"]["matchLabels"]).len(), 1, "{shape}: {budget}");
            assert_eq!(budget["spec"]["maxUnavailable"], 1);
        }
        for pods in &pods {
            for container in pods.containers() {
                for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
                    if let Some(port) = container[probe]["httpGet"]["port"].as_str() {
                        assert!(has_port(pods, port), "{shape}: {}: {probe}", pods.name);
                    }
                }
            }
        }
    }
}

fn has_port(pods: &Pods<'_>, name: &str) -> bool {
    pods.containers().iter().any(|container| list(&container["ports"]).any(|port| port["name"] == name))
}

#[test]
fn whoever_scales_decides_alone() {
    let Some(helm) = helm() else { return };
    let mut scaled = BTreeSet::new();
    for shape in shapes() {
        let objects = helm.shape(&shape);
        let scalers = objects.of_kind("HorizontalPodAutoscaler").chain(objects.of_kind("ScaledObject"));
        let names: Vec<&str> = scalers.map(|scaler| text(scaler, "/spec/scaleTargetRef/name")).collect();
        scaled.extend(names.iter().map(|name| format!("{shape} {name}")));
        for role in ROLES {
            let name = format!("rel-{role}");
            let deployment = objects.get("Deployment", &name);
            let is_scaled = names.contains(&&*name);
            assert_eq!(deployment["spec"]["replicas"].is_null(), is_scaled, "{shape}: {name}");
        }
    }
    let wanted = [
        "external-metric rel-delivery",
        "external-metric rel-ingress",
        "external-metric rel-policy",
        "ha rel-delivery",
        "ha rel-ingress",
        "ha rel-policy",
        "keda rel-delivery",
    ];
    assert_eq!(scaled, wanted.map(str::to_owned).into());
    let due = json!([{ "type": "Pods", "pods": {
        "metric": { "name": "mail_delivery_due" }, "target": { "type": "AverageValue", "averageValue": "500" } } }]);
    assert_eq!(helm.shape("ha").get("HorizontalPodAutoscaler", "rel-delivery")["spec"]["metrics"], due);
    let keda = helm.shape("keda");
    let trigger = &keda.get("ScaledObject", "rel-delivery")["spec"]["triggers"][0]["metadata"];
    let query = "sum(mail_delivery_due{namespace=\"mail\",pod=~\"rel-delivery-.*\"})";
    assert_eq!(trigger["query"], query);
}

/// SIGKILL comes after the drain of the program, which begins when preStop is over.
#[test]
fn pods_have_time_to_drain() {
    let Some(helm) = helm() else { return };
    for (role, file) in
        [("ingress", "services/ingress/src/config.rs"), ("delivery", "services/delivery/src/config.rs")]
    {
        let source = fs::read_to_string(chart().join("../..").join(file)).unwrap();
        let drain = source.split("drain_timeout: Duration::from_secs(").nth(1).unwrap();
        let drain: u64 = drain.split(')').next().unwrap().parse().unwrap();
        for shape in shapes() {
            let objects = helm.shape(&shape);
            let spec = objects.pod(&format!("Deployment rel-{role}")).spec;
            let sleep = spec.pointer("/containers/0/lifecycle/preStop/sleep/seconds").and_then(Value::as_u64);
            let grace = number(spec, "/terminationGracePeriodSeconds");
            assert!(grace > sleep.unwrap_or(0) + drain + 10, "{shape}: {role}: {grace}");
            // Without a pod in front of it nobody waits for the load balancer.
            assert_eq!(sleep.is_some(), role == "ingress");
        }
    }
    let broker = helm.shape("minimal");
    let grace = number(broker.pod("StatefulSet rel-nats").spec, "/terminationGracePeriodSeconds");
    let lame_duck = broker.text("ConfigMap", "rel-nats", "nats.conf");
    assert!(grace > 30 && lame_duck.contains("lame_duck_duration: 30s"));
}

/// Ingress and delivery know the pods of the policy by the DNS. Until its answers name the new ones, the old ones
/// must be there, also when all are replaced one right after the other.
#[test]
fn the_policy_outlives_what_the_dns_says_of_it() {
    const COREDNS_CACHE: u64 = 30;
    const LOOKED_UP_EVERY: u64 = 5;
    let Some(helm) = helm() else { return };
    for shape in shapes() {
        let objects = helm.shape(&shape);
        let spec = objects.pod("Deployment rel-policy").spec;
        let sleep = number(spec, "/containers/0/lifecycle/preStop/sleep/seconds");
        assert!(sleep >= COREDNS_CACHE + LOOKED_UP_EVERY, "{shape}: {sleep}");
        let grace = number(spec, "/terminationGracePeriodSeconds");
        assert!(grace > sleep + 40, "{shape}: {grace}");
    }
}

/// A change replaces the pods that it is for, and no others.
#[test]
fn a_change_replaces_its_pods() {
    let Some(helm) = helm() else { return };
    for (value, changed) in [
        ("ingress.config={\"max_connections\":9}", vec!["rel-ingress"]),
        ("delivery.config={\"max_connections\":9}", vec!["rel-delivery"]),
        ("policy.ldap={\"a\":{\"url\":\"ldaps://l\"}}", vec!["rel-policy"]),
        ("config={\"log\":\"text\"}", vec!["rel-ingress", "rel-delivery", "rel-policy"]),
        ("nats.maxMemoryStore=\"65MB\"", vec!["rel-nats"]),
        ("callers=\"ann viewer dns:a.example\"", vec![]),
        ("nats.shards=17", vec!["rel-ingress", "rel-delivery", "rel-policy"]),
    ] {
        let before = helm.shape("minimal");
        let after = helm.render(&chart(), "minimal", &[value]).unwrap();
        for (kind, name) in [
            ("Deployment", "rel-ingress"),
            ("Deployment", "rel-delivery"),
            ("Deployment", "rel-policy"),
            ("StatefulSet", "rel-nats"),
        ] {
            let name_of = format!("{kind} {name}");
            let (before, after) = (before.pod(&name_of), after.pod(&name_of));
            let same = before.annotations == after.annotations;
            assert_eq!(!same, changed.contains(&name), "{value}: {name}");
            assert_eq!(before.spec, after.spec, "{value}: {name}");
        }
    }
}

/// Brokers: on disks of their own, on nodes of their own, one at a time.
#[test]
fn brokers_are_apart() {
    let Some(helm) = helm() else { return };
    let objects = helm.shape("minimal");
    let set = objects.get("StatefulSet", "rel-nats");
    assert_eq!(number(set, "/spec/replicas"), 3);
    assert_eq!(set["spec"]["podManagementPolicy"], "Parallel");
    assert_eq!(set["spec"]["volumeClaimTemplates"][0]["metadata"]["name"], "data");
    let spec = &set["spec"]["template"]["spec"];
    let apart = &spec["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][0];
    assert_eq!(apart["topologyKey"], "kubernetes.io/hostname");
    let conf = objects.text("ConfigMap", "rel-nats", "nats.conf");
    assert!(conf.contains("sync_interval: always"));
    assert_eq!(objects.get("Service", "rel-nats-headless")["spec"]["publishNotReadyAddresses"], true);
    // Questions go to the pods of the policy in turn.
    assert_eq!(objects.get("Service", "rel-policy")["spec"]["clusterIP"], "None");
    assert_eq!(objects.get("Service", "rel-ingress")["spec"]["externalTrafficPolicy"], "Local");
}
