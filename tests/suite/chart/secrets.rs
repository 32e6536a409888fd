use std::fs;

use super::{
    helm::{Helm, helm, shapes, values_of},
    objects::{list, map, text},
};

fn mounted(helm: &Helm, shape: &str, workload: &str) -> String {
    helm.shape(shape).pod(workload).secrets().join(" ")
}

#[test]
fn nobody_is_given_what_is_not_theirs() {
    let Some(helm) = helm() else { return };
    for (shape, workload, secrets) in [
        ("minimal", "Deployment rel-ingress", "rel-ingress-mesh rel-nats-auth"),
        ("minimal", "Deployment rel-delivery", "rel-delivery-mesh rel-nats-auth"),
        ("minimal", "Deployment rel-policy", "rel-nats-auth rel-policy-mesh"),
        ("minimal", "StatefulSet rel-nats", "rel-nats-auth rel-nats-mesh"),
        ("minimal", "Pod rel-test", "rel-operator-mesh"),
        ("ha", "Deployment rel-ingress", "mx-example-com rel-ingress-mesh rel-nats-auth"),
        ("ha", "Deployment rel-delivery", "rel-delivery-mesh rel-nats-auth smart-hosts"),
        ("ha", "Deployment rel-policy", "ldap rel-nats-auth rel-policy-mesh"),
        ("documents", "Job rel-directory", "rel-operator-mesh relay-credentials"),
        ("documents", "Deployment rel-policy", "rel-nats-auth rel-policy-mesh"),
        ("plaintext-mesh", "Deployment rel-ingress", "rel-nats-auth rel-tokens"),
        ("plaintext-mesh", "Deployment rel-policy", "rel-nats-auth"),
        ("plaintext-mesh", "StatefulSet rel-nats", "rel-nats-auth"),
        ("external-nats", "Deployment rel-ingress", "rel-ingress-mesh relay-nats relay-nats-tls"),
        ("given-secrets", "Deployment rel-delivery", "c-delivery relay-nats"),
        ("cert-manager", "Deployment rel-ingress", "rel-ingress-mesh rel-nats-auth rel-smtp-tls"),
    ] {
        assert_eq!(mounted(&helm, shape, workload), secrets, "{shape}: {workload}");
    }
    // Of the tokens a role sees its own, and of the passwords those of clients.
    let objects = helm.shape("plaintext-mesh");
    for pods in objects.pods() {
        for volume in list(&pods.spec["volumes"]) {
            let keys: Vec<&str> =
                list(&volume["secret"]["items"]).filter_map(|item| item["key"].as_str()).collect();
            match volume["secret"]["secretName"].as_str() {
                Some("rel-tokens") => {
                    let own = if pods.name.contains("test") { "operator" } else { "relay" };
                    assert_eq!(keys, [own], "{}", pods.name);
                }
                Some("rel-nats-auth") => assert_eq!(keys, ["password", "system-password"], "{}", pods.name),
                Some(_) | None => {}
            }
        }
    }
    for shape in shapes() {
        for pods in helm.shape(&shape).pods() {
            let has_authority = pods.secrets().iter().any(|secret| secret.ends_with("mesh-ca"));
            assert!(!has_authority, "{shape}: {} has the key of the authority", pods.name);
        }
    }
}

/// Each Secret and ConfigMap of a pod is made by the chart, made for it, or named in the values.
#[test]
fn what_pods_mount_exists() {
    let Some(helm) = helm() else { return };
    for shape in shapes() {
        let objects = helm.shape(&shape);
        let values: String = values_of(&shape).iter().map(|file| fs::read_to_string(file).unwrap()).collect();
        let mut made: Vec<&str> =
            objects.of_kind("Secret").map(|secret| text(secret, "/metadata/name")).collect();
        made.extend(objects.of_kind("Certificate").map(|certificate| text(certificate, "/spec/secretName")));
        for pods in objects.pods() {
            for secret in pods.secrets() {
                assert!(made.contains(&secret) || values.contains(secret), "{shape}: {secret}");
            }
            for volume in list(&pods.spec["volumes"]) {
                if let Some(name) = volume["configMap"]["name"].as_str() {
                    assert!(
                        objects.find("ConfigMap", name).is_some() || values.contains(name),
                        "{shape}: {name}"
                    );
                }
            }
            let account = pods.spec["serviceAccountName"].as_str();
            assert!(account.is_none_or(|name| objects.find("ServiceAccount", name).is_some()), "{shape}");
        }
    }
}

/// Those who look do not see secrets: they stand in Secrets alone.
#[test]
fn secrets_stand_in_secrets_alone() {
    let Some(helm) = helm() else { return };
    for shape in ["minimal", "plaintext-mesh"] {
        let objects = helm.shape(shape);
        let others: Vec<_> = objects.0.iter().filter(|object| object["kind"] != "Secret").collect();
        let others = serde_json::to_string(&others).unwrap();
        for secret in objects.of_kind("Secret") {
            for (key, value) in map(&secret["decoded"]) {
                let value = value.as_str().unwrap();
                assert!(value.len() >= 40, "{key}");
                assert!(!others.contains(value), "{shape}: {key} of {secret} stands elsewhere too");
            }
        }
    }
}
