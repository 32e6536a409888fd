"""Objects in JSON against the schemas of the Kubernetes API, strictly: one problem a line."""

import json
import sys

import kubernetes_validate

# Of others, whose schemas that package does not have: known by kind, group and version.
OF_OTHERS = {
    ("cert-manager.io/v1", "Certificate"),
    ("cert-manager.io/v1", "Issuer"),
    ("keda.sh/v1alpha1", "ScaledObject"),
    ("monitoring.coreos.com/v1", "PodMonitor"),
    ("monitoring.coreos.com/v1", "ServiceMonitor"),
    ("monitoring.coreos.com/v1", "PrometheusRule"),
}

for shown in json.load(sys.stdin):
    shown.pop("decoded", None)
    what = (shown.get("apiVersion"), shown.get("kind"))
    if what in OF_OTHERS:
        if not isinstance(shown.get("spec"), dict):
            print(f"{what}: no spec")
        continue
    for version in sys.argv[1:]:
        try:
            kubernetes_validate.validate(shown, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            place = ".".join(str(step) for step in error.path)
            print(f"{what[1]} {shown['metadata']['name']} ({version}): {place}: {error.message[:300]}")
        except kubernetes_validate.SchemaNotFoundError as error:
            print(f"{what}: {error.message}")
