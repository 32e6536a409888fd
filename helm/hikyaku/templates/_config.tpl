{{/* hikyaku.toml of each role: what the chart knows, then what the values add. */}}

{{/* Scalars and lists of a map, one a line. JSON is TOML for them; numbers keep their digits, which toToml does not grant. */}}
{{- define "hikyaku.toml.keys" -}}
{{- range $key, $value := . }}
{{- if not (kindIs "map" $value) }}
{{ include "hikyaku.toml.word" $key }} = {{ toJson $value }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "hikyaku.toml.word" -}}
{{- if regexMatch "^[A-Za-z0-9_-]+$" . }}{{ . }}{{ else }}{{ toJson . }}{{ end -}}
{{- end -}}

{{/* A table and those in it: (dict "path" "delivery" "table" .Values.delivery.config) */}}
{{- define "hikyaku.toml.table" -}}
{{- $path := .path }}
[{{ $path }}]
{{- include "hikyaku.toml.keys" .table }}
{{- range $key, $value := .table }}
{{- if kindIs "map" $value }}
{{ include "hikyaku.toml.table" (dict "path" (printf "%s.%s" $path (include "hikyaku.toml.word" $key)) "table" $value) }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "hikyaku.nats.url" -}}
{{- if .Values.nats.enabled -}}
{{- $name := include "hikyaku.name" . -}}
{{- $scheme := ternary "tls" "nats" (not (empty (include "hikyaku.isTls" .))) -}}
{{- $urls := list -}}
{{- range $i := until (int .Values.nats.replicas) -}}
{{- $urls = append $urls (printf "%s://%s-nats-%d.%s-nats-headless.%s.svc:4222" $scheme $name $i $name $.Release.Namespace) -}}
{{- end -}}
{{- join "," $urls -}}
{{- else -}}
{{- .Values.nats.url -}}
{{- end -}}
{{- end -}}

{{/* The folder with the certificate that is shown to brokers; nothing without TLS of ours. */}}
{{- define "hikyaku.nats.tlsFolder" -}}
{{- if .Values.nats.enabled -}}
{{- if include "hikyaku.isTls" . }}/run/secrets/hikyaku-mesh{{ end -}}
{{- else if .Values.nats.tls.existingSecret -}}
/run/secrets/hikyaku-nats-tls
{{- end -}}
{{- end -}}

{{- define "hikyaku.nats.streamReplicas" -}}
{{- if .Values.nats.streamReplicas }}{{ .Values.nats.streamReplicas }}{{ else if .Values.nats.enabled }}{{ min 3 (int .Values.nats.replicas) }}{{ else }}3{{ end -}}
{{- end -}}

{{/* (dict "root" . "role" "ingress") */}}
{{- define "hikyaku.toml" -}}
{{- $root := .root -}}
{{- $values := index $root.Values .role -}}
{{- $name := include "hikyaku.name" $root -}}
{{- $listen := $root.Values.listenAddress -}}
{{- $isTls := include "hikyaku.isTls" $root -}}
hostname = {{ toJson $root.Values.hostname }}
nats = {{ include "hikyaku.nats.url" $root | toJson }}
nats_login = { user = {{ toJson $root.Values.nats.auth.user }}, password_file = "/run/secrets/hikyaku-nats/password" }
nats_system_login = { user = {{ toJson $root.Values.nats.auth.systemUser }}, password_file = "/run/secrets/hikyaku-nats/system-password" }
{{- with include "hikyaku.nats.tlsFolder" $root }}
nats_tls = { ca = "{{ . }}/ca.crt", certificate = "{{ . }}/tls.crt", key = "{{ . }}/tls.key" }
{{- end }}
shards = {{ $root.Values.nats.shards }}
replicas = {{ include "hikyaku.nats.streamReplicas" $root }}
metrics = "{{ $listen }}:9090"
{{- include "hikyaku.toml.keys" (merge (dict) $root.Values.config (dict "log" "json")) }}
{{- if eq .role "policy" }}
policy_listen = "{{ $listen }}:7002"
{{- else }}
policy = "{{ ternary "https" "http" (not (empty $isTls)) }}://{{ $name }}-policy:7002"
{{- end }}
{{- if eq .role "delivery" }}
admin_listen = "{{ $listen }}:7003"
{{- end }}
{{- if eq .role "ingress" }}
{{- $ports := $values.ports }}
smtp = [{{ if $ports.smtp.enabled }}"{{ $listen }}:2525"{{ end }}]
submission = [{{ if $ports.submission.enabled }}"{{ $listen }}:2587{{ with $ports.submission.defaultDomain }}={{ . }}{{ end }}"{{ end }}]
submissions = [{{ if $ports.submissions.enabled }}"{{ $listen }}:2465{{ with $ports.submissions.defaultDomain }}={{ . }}{{ end }}"{{ end }}]
{{- end }}
{{ include "hikyaku.toml.grpc" . }}
{{- with $root.Values.config.mail_log }}
{{ include "hikyaku.toml.table" (dict "path" "mail_log" "table" .) }}
{{- end }}
{{- if eq .role "ingress" }}
{{- if include "hikyaku.smtpTls.secret" $root }}
{{ include "hikyaku.toml.table" (dict "path" "tls" "table" (merge (dict "certificate" "/run/secrets/hikyaku-tls/tls.crt" "key" "/run/secrets/hikyaku-tls/tls.key") $values.tls.config)) }}
{{- end }}
{{ include "hikyaku.toml.table" (dict "path" "auth" "table" $values.auth) }}
{{ include "hikyaku.toml.table" (dict "path" "ingress" "table" (merge (dict "proxy_from" (ternary $values.proxyProtocol.from list $values.proxyProtocol.enabled)) $values.config)) }}
{{- else if eq .role "delivery" }}
{{ include "hikyaku.toml.table" (dict "path" "delivery" "table" $values.config) }}
{{- else if eq .role "policy" }}
{{ include "hikyaku.toml.table" (dict "path" "ldap" "table" $values.ldap) }}
{{- end }}
{{- end -}}

{{/* What it shows, whom it trusts, and who may call it. Ingress is called by nobody. */}}
{{- define "hikyaku.toml.grpc" -}}
[grpc]
{{- $mesh := "/run/secrets/hikyaku-mesh" }}
{{- if include "hikyaku.isTls" .root }}
certificate = "{{ $mesh }}/tls.crt"
key = "{{ $mesh }}/tls.key"
{{- if ne .role "ingress" }}
client_ca = "{{ $mesh }}/ca.crt"
{{- end }}
{{- if ne .role "policy" }}
ca = "{{ $mesh }}/ca.crt"
{{- end }}
{{- else }}
plaintext = true
{{- if ne .role "policy" }}
token_file = "/run/secrets/hikyaku-token/token"
{{- end }}
{{- end }}
{{- if ne .role "ingress" }}
callers = "/etc/hikyaku-callers/callers"
{{- end }}
{{- end -}}

{{/* The Secret of the SMTP listeners' certificate; nothing without TLS. */}}
{{- define "hikyaku.smtpTls.secret" -}}
{{- with .Values.ingress.tls -}}
{{- if .certManager.enabled }}{{ include "hikyaku.name" $ }}-smtp-tls{{ else }}{{ .existingSecret }}{{ end -}}
{{- end -}}
{{- end -}}
