"""As much of a Kubernetes API server as helm asks for `lookup`: the Secrets among the objects in the file. Prints its
port, then answers."""

import http.server
import json
import sys

with open(sys.argv[1]) as file:
    OBJECTS = json.load(file)

OWNED = {"meta.helm.sh/release-name": "rel", "meta.helm.sh/release-namespace": "mail"}
SECRETS = {}
KINDS = {}
for shown in OBJECTS:
    shown.pop("decoded", None)
    KINDS.setdefault(shown["apiVersion"], set()).add(shown["kind"])
    if shown["kind"] == "Secret":
        SECRETS[shown["metadata"]["name"]] = shown
        shown["metadata"]["annotations"] = OWNED


def plural(kind):
    name = kind.lower()
    return name[:-1] + "ies" if name.endswith("y") else name + "s"


def resources(version):
    kinds = [
        {"name": plural(kind), "singularName": "", "namespaced": True, "kind": kind, "verbs": ["get"]}
        for kind in sorted(KINDS[version])
    ]
    return {"kind": "APIResourceList", "groupVersion": version, "resources": kinds}


def groups():
    listed = []
    for version in sorted(KINDS):
        if "/" in version:
            group, number = version.split("/")
            known = {"groupVersion": version, "version": number}
            listed.append({"name": group, "versions": [known], "preferredVersion": known})
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": listed}


ANSWERS = {
    "/version": {"major": "1", "minor": "34", "gitVersion": "v1.34.0"},
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": groups(),
}
for version in KINDS:
    ANSWERS[("/apis/" if "/" in version else "/api/") + version] = resources(version)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path = self.path.split("?")[0]
        answer = ANSWERS.get(path)
        if "/secrets/" in path:
            answer = SECRETS.get(path.rsplit("/", 1)[1])
        missing = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
        body = json.dumps(answer or missing).encode()
        self.send_response(200 if answer else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
