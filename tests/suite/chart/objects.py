"""YAML documents of the standard input as one JSON list. What Secrets hold is decoded."""

import base64
import json
import sys

import yaml

objects = [document for document in yaml.safe_load_all(sys.stdin) if document]
for secret in objects:
    if secret.get("kind") == "Secret":
        data = {key: base64.b64decode(value).decode() for key, value in secret.get("data", {}).items()}
        secret["decoded"] = {**data, **secret.get("stringData", {})}
json.dump(objects, sys.stdout)
