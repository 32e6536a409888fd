{{/* How the roles and the brokers know each other: certificates, or tokens in a service mesh. */}}

{{- define "hikyaku.isTls" -}}
{{- if ne .Values.mesh.mode "plaintext" }}true{{ end -}}
{{- end -}}

{{/* The names in each certificate, as YAML. What stands first is who it is for callers. */}}
{{- define "hikyaku.mesh.names" -}}
{{- $name := include "hikyaku.name" . -}}
{{- $namespace := .Release.Namespace -}}
{{- range $role := list "ingress" "delivery" "policy" "operator" }}
{{ $role }}: [{{ $name }}-{{ $role }}, {{ $name }}-{{ $role }}.{{ $namespace }}, {{ $name }}-{{ $role }}.{{ $namespace }}.svc]
{{- end }}
{{- if .Values.nats.enabled }}
nats: [{{ $name }}-nats, {{ $name }}-nats.{{ $namespace }}, {{ $name }}-nats.{{ $namespace }}.svc, "*.{{ $name }}-nats-headless.{{ $namespace }}.svc", localhost]
{{- end }}
{{- end -}}

{{/* The Secret with a role's certificate: (dict "root" . "role" "ingress") */}}
{{- define "hikyaku.mesh.secret" -}}
{{- if eq .root.Values.mesh.mode "secrets" -}}
{{- index .root.Values.mesh.secrets .role -}}
{{- else -}}
{{- include "hikyaku.name" .root }}-{{ .role }}-mesh
{{- end -}}
{{- end -}}

{{/* The Secret with the tokens of a service mesh. */}}
{{- define "hikyaku.mesh.tokenSecret" -}}
{{- .Values.mesh.tokenSecret | default (printf "%s-tokens" (include "hikyaku.name" .)) -}}
{{- end -}}

{{/* Of the brokers' passwords. */}}
{{- define "hikyaku.nats.secret" -}}
{{- .Values.nats.auth.existingSecret | default (printf "%s-nats-auth" (include "hikyaku.name" .)) -}}
{{- end -}}

{{/* For hikyakuctl in hooks and tests: who it is, and whom it trusts. */}}
{{- define "hikyaku.operator.env" -}}
{{- if include "hikyaku.isTls" . -}}
- { name: HIKYAKU_CA, value: /run/secrets/hikyaku-mesh/ca.crt }
- { name: HIKYAKU_CERTIFICATE, value: /run/secrets/hikyaku-mesh/tls.crt }
- { name: HIKYAKU_KEY, value: /run/secrets/hikyaku-mesh/tls.key }
{{- else -}}
- { name: HIKYAKU_TOKEN_FILE, value: /run/secrets/hikyaku-token/token }
{{- end -}}
{{- end -}}

{{- define "hikyaku.operator.mounts" -}}
{{- if include "hikyaku.isTls" . -}}
- { name: mesh, mountPath: /run/secrets/hikyaku-mesh, readOnly: true }
{{- else -}}
- { name: token, mountPath: /run/secrets/hikyaku-token, readOnly: true }
{{- end -}}
{{- end -}}

{{- define "hikyaku.operator.volumes" -}}
{{- if include "hikyaku.isTls" . -}}
- name: mesh
  secret: { secretName: {{ include "hikyaku.mesh.secret" (dict "root" . "role" "operator") }}, defaultMode: 0440 }
{{- else -}}
- name: token
  secret:
    secretName: {{ include "hikyaku.mesh.tokenSecret" . }}
    defaultMode: 0440
    items: [{ key: operator, path: token }]
{{- end -}}
{{- end -}}

{{/* What a command of hikyakuctl needs to reach a role: (dict "root" . "role" "policy" "port" 7002 "flag" "--directory-server") */}}
{{- define "hikyaku.operator.args" -}}
{{- $isTls := include "hikyaku.isTls" .root -}}
- {{ .flag }}={{ ternary "https" "http" (not (empty $isTls)) }}://{{ include "hikyaku.name" .root }}-{{ .role }}:{{ .port }}
{{- if not $isTls }}
- --plaintext
{{- end }}
{{- end -}}
