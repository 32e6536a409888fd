use super::{chart, helm::helm};

/// Values, and what is said to them.
const REFUSED: [(&str, &[&str], &str); 34] = [
    ("minimal", &["hostname=\"\""], "hostname is required"),
    ("minimal", &["hostname=\"mx_1\""], "/hostname"),
    ("minimal", &["image.repository=\"\""], "image.repository is required"),
    ("minimal", &["replicas=3"], "'replicas' not allowed"),
    ("minimal", &["ingress.replica=3"], "'replica' not allowed"),
    ("minimal", &["ingress.service.port=25"], "'port' not allowed"),
    ("minimal", &["nats.storage.sise=\"1Gi\""], "'sise' not allowed"),
    ("minimal", &["delivery.config.max_connection=5"], "'max_connection' not allowed"),
    ("minimal", &["delivery.config.retry_base_seconds=5"], "minimum"),
    ("minimal", &["ingress.config.proxy_from=[\"10.0.0.0/8\"]"], "'proxy_from' not allowed"),
    ("minimal", &["config.hostname=\"mx.example.org\""], "'hostname' not allowed"),
    ("minimal", &["nats.replicas=2"], "/nats/replicas"),
    ("minimal", &["nats.shards=0"], "/nats/shards"),
    ("minimal", &["nats.url=\"nats://n:4222\""], "set nats.enabled=false"),
    ("minimal", &["nats.streamReplicas=5"], "there are 3 brokers"),
    ("external-nats", &["nats.url=\"\""], "nats.url is required"),
    ("external-nats", &["nats.auth.existingSecret=\"\""], "nats.auth.existingSecret is required"),
    ("minimal", &["mesh.mode=\"secrets\""], "mesh.secrets.ingress is required"),
    ("minimal", &["mesh.mode=\"none\""], "/mesh/mode"),
    ("minimal", &["mesh.tokenSecret=\"t\""], "mesh.tokenSecret is for mesh.mode=plaintext"),
    ("minimal", &["ingress.ports.submission.enabled=true"], "passwords are not sent in the clear"),
    ("minimal", &["ingress.ports.smtp.enabled=false"], "no mail could come in"),
    ("minimal", &["ingress.service.externalTrafficPolicy=\"Cluster\""], "open relay"),
    (
        "minimal",
        &["ingress.extraServices.inner={\"ports\":[\"submission\"]}"],
        "ingress.ports.submission is not enabled",
    ),
    ("minimal", &["ingress.proxyProtocol.enabled=true"], "ingress.proxyProtocol.from is required"),
    ("cert-manager", &["ingress.tls.existingSecret=\"t\""], "contradict each other"),
    ("minimal", &["delivery.replicas=17"], "a worker without a shard has nothing to do"),
    ("keda", &["delivery.autoscaling.enabled=true"], "both enabled"),
    ("keda", &["delivery.keda.serverAddress=\"\""], "delivery.keda.serverAddress is required"),
    ("host-network", &["networkPolicy.nodeNetworks=[]"], "networkPolicy.nodeNetworks is required"),
    ("minimal", &["ingress.terminationGracePeriodSeconds=45"], "is too short"),
    ("documents", &["directory.documents.credentials=\"x\""], "'credentials' not allowed"),
    ("documents", &["directory.documents.route=\"x\""], "'route' not allowed"),
    ("documents", &["directory.source=\"api\""], "directory.source=api, but directory names documents"),
];

#[test]
fn bad_values_are_refused_in_words() {
    let Some(helm) = helm() else { return };
    for (shape, values, words) in REFUSED {
        match helm.render(&chart(), shape, values) {
            Ok(_) => panic!("{values:?} was taken"),
            Err(said) => assert!(said.contains(words), "{values:?}: {said}"),
        }
    }
}

/// Nothing is taken that the schema does not name: every object of ours in it is closed.
#[test]
fn the_schema_is_closed() {
    let text = std::fs::read_to_string(chart().join("values.schema.json")).unwrap();
    let schema: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut objects = vec![&schema];
    let mut closed = 0;
    while let Some(value) = objects.pop() {
        if let Some(map) = value.as_object() {
            if map.get("properties").is_some() && map.get("required") != Some(&serde_json::json!(["name"])) {
                assert_eq!(map.get("additionalProperties"), Some(&false.into()), "{value}");
                closed += 1;
            }
            objects.extend(map.values());
        }
        objects.extend(value.as_array().into_iter().flatten());
    }
    assert!(closed > 30, "{closed}");
}
