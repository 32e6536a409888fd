{{/* nats-server.conf. Passwords, and routes with theirs, come from the environment, in quotes. */}}
{{- define "hikyaku.nats.conf" -}}
{{- $name := include "hikyaku.name" . -}}
{{- $nats := .Values.nats -}}
server_name: $POD_NAME
port: 4222
http: 8222
pid_file: "/var/run/nats/nats.pid"
max_payload: 1MB
lame_duck_grace_period: 10s
lame_duck_duration: 30s

jetstream {
  store_dir: "/data"
  max_memory_store: {{ $nats.maxMemoryStore }}
  max_file_store: {{ $nats.storage.maxFileStore }}
  # An acknowledgement means "on disk". The relay refuses mail where this is not so.
  sync_interval: always
}
{{- if include "hikyaku.isTls" . }}

tls {
  {{- include "hikyaku.nats.tlsFiles" . | nindent 2 }}
  verify: true
}
{{- end }}

accounts {
  HIKYAKU { jetstream: enabled, users: [ { user: {{ toJson $nats.auth.user }}, password: $HIKYAKU_PASSWORD } ] }
  # Reads the servers' settings and nothing else.
  SYSTEM {
    users: [
      {
        user: {{ toJson $nats.auth.systemUser }}, password: $HIKYAKU_SYSTEM_PASSWORD
        permissions: { publish: { allow: ["$SYS.REQ.SERVER.PING.VARZ"] }, subscribe: { allow: ["_INBOX.>"] } }
      }
    ]
  }
}
system_account: SYSTEM
{{- if gt (int $nats.replicas) 1 }}

cluster {
  name: {{ $name }}
  port: 6222
  # Clients know all servers by their names, to which the certificates belong.
  no_advertise: true
  authorization { user: route, password: $HIKYAKU_ROUTE_PASSWORD, timeout: 5 }
  {{- if include "hikyaku.isTls" . }}
  tls {
    {{- include "hikyaku.nats.tlsFiles" . | nindent 4 }}
    verify: true
  }
  {{- end }}
  routes: [
    {{- range $i := until (int $nats.replicas) }}
    $HIKYAKU_ROUTE_{{ $i }}
    {{- end }}
  ]
}
{{- end }}
{{- with $nats.extraConfig }}

{{ . }}
{{- end }}
{{- end -}}

{{- define "hikyaku.nats.tlsFiles" -}}
cert_file: "/run/secrets/hikyaku-mesh/tls.crt"
key_file: "/run/secrets/hikyaku-mesh/tls.key"
ca_file: "/run/secrets/hikyaku-mesh/ca.crt"
{{- end -}}
